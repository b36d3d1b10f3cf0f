//! The flags of `manage.py consume`: those of every server that mean something without a
//! listening socket, and the broker's.
//!
//! What is shared is taken from [`ProjectArgs`] by name, so that help, variable and parser are the same.

use std::ffi::OsString;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, Parser};

use super::{ABOUT, Args, DAY, Flag, LONG_ABOUT, ProjectArgs, describe};
use crate::preparation_args::DevelopmentArgs;
use crate::values::{amqp_port, duration, number, switch};

/// The flags of every server that a consumer has too.
const SHARED: [&str; 29] = [
    "autoreload",
    "compat",
    "debug",
    "host",
    "probe-port",
    "liveness-probe",
    "readiness-probe",
    "startup-probe",
    "status-path",
    "server-metrics",
    "metrics",
    "no-metrics",
    "metrics-extended",
    "no-probe",
    "webhook-url",
    "max-lifetime",
    "req-queue-len",
    "heartbeat-timeout",
    "max-worker-lifetime",
    "max-worker-memory",
    "max-memory",
    "grace-period",
    "reload-timeout",
    "check-interval",
    "check-timeout",
    "log-format",
    "log-level",
    "log-probes",
    "termination-log",
];

/// A broker that counts deliveries has a limit of its own; more is a mistake.
const REDELIVERIES_MAX: usize = 1_000;

/// The flags of `manage.py consume`, as given.
#[derive(Clone, Debug, Parser)]
#[command(name = "hurricane", version, about = ABOUT, long_about = LONG_ABOUT,
          args_override_self = true)]
pub struct ConsumerArgs {
    /// Queue to consume from; it is declared. Without one the broker makes a queue with a name of
    /// its own, which ends with the consumer
    #[arg(long, env = "HURRICANE_QUEUE", value_name = "NAME", default_value = "")]
    pub queue: String,

    /// Exchange to declare and to bind the queue to; without one the queue gets what is sent to it
    /// by its name
    #[arg(long, env = "HURRICANE_EXCHANGE", value_name = "NAME", default_value = "")]
    pub exchange: String,

    /// Host of the message broker
    #[arg(long, env = "AMQP_HOST", value_name = "HOST")]
    pub amqp_host: Option<String>,

    /// Port of the message broker
    #[arg(long, env = "AMQP_PORT", value_name = "PORT", value_parser = amqp_port)]
    pub amqp_port: Option<u16>,

    /// Virtual host of the message broker
    #[arg(long, env = "AMQP_VHOST", value_name = "NAME", default_value = "/")]
    pub amqp_vhost: String,

    /// Connect again when the broker cannot be reached or is lost, after 0.5 s at first and up to
    /// 30 s; without it the consumer ends with exit code 6
    #[arg(long, env = "HURRICANE_RECONNECT", value_name = "BOOLEAN",
          action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_value = "false",
          default_missing_value = "true", value_parser = switch)]
    pub reconnect: bool,

    /// How often a message on which the handler raises is given back to its queue before it is
    /// rejected for good, into the dead-letter exchange if there is one. Classic queues do not count
    /// deliveries: there more than one is one
    #[arg(long, env = "HURRICANE_MAX_REDELIVERIES", value_name = "N",
          default_value = "1", value_parser = number(0..=REDELIVERIES_MAX))]
    pub max_redeliveries: usize,

    /// How long a message may run before the consumer counts as stuck and is replaced; 0 for ever.
    /// RabbitMQ itself takes a message back after 30 minutes
    #[arg(long, env = "HURRICANE_MESSAGE_TIMEOUT", value_name = "DURATION", default_value = "30m",
          value_parser = duration(Duration::ZERO..=DAY))]
    pub message_timeout: Duration,
}

/// All that `manage.py consume` was given.
#[derive(Clone, Debug)]
pub struct Consume {
    /// Its own flags.
    pub consumer: ConsumerArgs,
    /// The flags of every server, at their defaults where a consumer does not have them.
    pub args: Args,
    /// What helps whoever writes the handler.
    pub development: DevelopmentArgs,
}

/// The command line of `manage.py consume`.
pub(crate) fn command_line() -> Command {
    ConsumerArgs::command().args(shared())
}

/// Describes every flag of `manage.py consume`, its own first.
pub fn consumer_flags() -> Vec<Flag> {
    command_line().get_arguments().filter_map(|arg| describe(arg, true)).collect()
}

/// What the matches of [`command_line`] hold of the flags of every server, as a command line.
pub(crate) fn shared_words(matches: &ArgMatches) -> Vec<OsString> {
    let mut words = vec![OsString::from("consume")];
    for arg in shared() {
        let id = arg.get_id().as_str();
        if matches.value_source(id) != Some(ValueSource::CommandLine) {
            continue;
        }
        for value in matches.get_raw(id).into_iter().flatten() {
            let mut word = OsString::from(format!("--{}=", arg.get_long().unwrap_or_default()));
            word.push(value);
            words.push(word);
        }
    }
    words
}

fn shared() -> Vec<Arg> {
    let everywhere = ProjectArgs::command();
    let is_shared = |arg: &&Arg| arg.get_long().is_some_and(|name| SHARED.contains(&name));
    everywhere.get_arguments().filter(is_shared).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent_and_every_shared_flag_exists() {
        command_line().debug_assert();
        assert_eq!(shared().len(), SHARED.len());
    }

    #[test]
    fn flags_of_the_broker_come_first_and_have_their_variables() {
        let flags = consumer_flags();
        let found: Vec<(&str, &str)> =
            flags.iter().map(|flag| (flag.name.as_str(), flag.env.as_str())).collect();
        assert_eq!(found[2], ("amqp-host", "AMQP_HOST"));
        assert!(found.contains(&("probe-port", "HURRICANE_PROBE_PORT")));
        assert!(!found.iter().any(|(name, _)| *name == "workers"));
        assert!(flags.iter().all(|flag| flag.help.len() > 10));
    }
}
