//! `healthcheck`: asks a probe of the server on this host, for exec probes of images that have
//! neither a shell nor curl, and for people.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use clap::{ArgMatches, Args as _, Command, CommandFactory, FromArgMatches};

use crate::cli::Args;
use crate::usage::Refusal;
use crate::values::duration;

pub(crate) const NAME: &str = "healthcheck";

/// The flags that say where the server's probes are: the same as its own, so that the same
/// variables serve both.
const SHARED: [&str; 6] =
    ["host", "port", "probe_port", "liveness_probe", "readiness_probe", "startup_probe"];

/// What is asked, and for how long.
#[derive(Debug, clap::Args)]
struct Question {
    /// Ask whether the server is ready; the default
    #[arg(long, group = "probe")]
    ready: bool,

    /// Ask whether the server is alive
    #[arg(long, group = "probe")]
    alive: bool,

    /// Ask whether the server has started
    #[arg(long, group = "probe")]
    startup: bool,

    /// How long the answer may take
    #[arg(long, value_name = "DURATION", default_value = "1s",
          value_parser = duration(Duration::from_millis(1)..=Duration::from_secs(3600)))]
    timeout: Duration,
}

/// The subcommand.
pub(crate) fn command() -> Command {
    let serve = Args::command();
    let shared = serve.get_arguments().filter(|arg| SHARED.contains(&arg.get_id().as_str()));
    Question::augment_args(Command::new(NAME))
        .about("Ask a probe of the server on this host: exit code 0 if it succeeds, 1 if it fails")
        .args_override_self(true)
        .args(shared.cloned())
}

/// Asks, and says what came of it.
pub(crate) fn ask(matches: &ArgMatches) -> Refusal {
    let question = match Question::from_arg_matches(matches) {
        Ok(question) => question,
        Err(error) => return Refusal::Usage(error.to_string()),
    };
    let text = |id: &str| matches.get_one::<String>(id).cloned().unwrap_or_default();
    let port = |id: &str| matches.get_one::<u16>(id).copied();
    let Some(port) = probe_port(port("port").unwrap_or(0), port("probe_port")) else {
        return Refusal::Usage(
            "the port of the probes is not known; give --probe-port or HURRICANE_PROBE_PORT".into(),
        );
    };
    let path = text(match &question {
        Question { alive: true, .. } => "liveness_probe",
        Question { startup: true, .. } => "startup_probe",
        _ => "readiness_probe",
    });
    let authority = format!("{}:{port}", reachable(&text("host")));
    match hurricane_control::ask(&authority, &path, question.timeout) {
        Ok((200..400, body)) => Refusal::Asked(with_newline(body)),
        Ok((status, body)) if body.is_empty() => Refusal::Failed(format!("status {status}\n")),
        Ok((_, body)) => Refusal::Failed(with_newline(body)),
        Err(cause) => Refusal::Failed(format!(
            "http://{authority}{path} cannot be asked: {cause}; --host, --port and --probe-port \
             must be those of the server\n"
        )),
    }
}

/// As the server chooses it; `None` where the kernel has chosen.
fn probe_port(port: u16, probe_port: Option<u16>) -> Option<u16> {
    let next = || port.checked_add(1).filter(|_| port != 0);
    probe_port.map_or_else(next, Some).filter(|port| *port != 0)
}

/// The address of this host at which a server is reached that listens on `host`.
fn reachable(host: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
        Ok(IpAddr::V6(address)) => bracketed(address),
        _ => host.to_owned(),
    }
}

fn bracketed(address: Ipv6Addr) -> String {
    format!("[{address}]")
}

fn with_newline(mut text: String) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_port_is_found_as_the_server_finds_it() {
        for (port, probe_port, expected) in [
            (8000, None, Some(8001)),
            (8000, Some(9), Some(9)),
            (8000, Some(8000), Some(8000)),
            (0, Some(9), Some(9)),
            (0, None, None),
            (8000, Some(0), None),
            (65535, None, None),
        ] {
            assert_eq!(self::probe_port(port, probe_port), expected, "{port} {probe_port:?}");
        }
    }

    #[test]
    fn a_server_on_every_address_is_reached_over_loopback() {
        for (host, expected) in [
            ("::", "127.0.0.1"),
            ("0.0.0.0", "127.0.0.1"),
            ("::1", "[::1]"),
            ("10.1.2.3", "10.1.2.3"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(reachable(host), expected);
        }
    }

    #[test]
    fn the_definition_is_consistent_and_has_every_shared_flag() {
        let command = command();
        command.clone().debug_assert();
        for id in SHARED {
            assert!(command.get_arguments().any(|arg| arg.get_id() == id), "{id}");
        }
    }
}
