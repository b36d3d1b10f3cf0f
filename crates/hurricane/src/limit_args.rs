//! The flags of what clients may have and how long they may take, and what follows from the limit of
//! open files.

use std::time::Duration;

use hurricane_http::Limits;

use crate::values::{bytes, duration, number};

const MOMENT: Duration = Duration::from_millis(100);
const DAY: Duration = Duration::from_secs(86400);
/// Descriptors that are the application's, and the server's own.
const OTHER_FILES: u64 = 256;
/// Those of a connection: its socket, and two for a long body.
const FILES_EACH: u64 = 3;
/// Over TLS it has a pair of sockets besides.
const FILES_EACH_TLS: u64 = 5;
/// What a server gets by on however few descriptors there are.
const CONNECTIONS_MIN: u64 = 16;

/// A number of connections, or what follows from the surroundings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connections {
    /// What there is room for.
    Auto,
    /// As many as this.
    Count(usize),
}

/// What clients may have, and how long they may take.
#[derive(Clone, Debug, clap::Args)]
pub struct LimitArgs {
    /// Largest request body in bytes (suffix k, m, g); more is answered 413
    #[arg(long, env = "HURRICANE_MAX_BODY_SIZE", value_name = "BYTES",
          default_value = "104857600", value_parser = bytes)]
    pub max_body_size: u64,

    /// Most bytes of a request that are kept in memory (suffix k, m, g): of its head, which is
    /// answered 431 when it is longer than this or than 64k, and of its body, which goes to a file
    /// when it is longer than this or than 1m
    #[arg(long, env = "HURRICANE_MAX_BUFFER_SIZE", value_name = "BYTES",
          default_value = "104857600", value_parser = bytes)]
    pub max_buffer_size: u64,

    /// Most bytes that a worker keeps in memory for clients (suffix k, m, g), all together: half for
    /// requests, of which bodies go to files beyond it and long heads are answered 503, half for
    /// answers that are taken slowly, beyond which threads wait
    #[arg(long, env = "HURRICANE_MAX_BUFFERED_BYTES", value_name = "BYTES",
          default_value = "134217728", value_parser = bytes)]
    pub max_buffered_bytes: u64,

    /// Open connections of a worker, more are answered 503; auto is 16384, or what the limit of open
    /// files (ulimit -n) is enough for
    #[arg(long, env = "HURRICANE_MAX_CONNECTIONS", value_name = "auto|N",
          default_value = "auto", value_parser = connections)]
    pub max_connections: Connections,

    /// Open connections of all workers together; auto is as many as each of them may have
    #[arg(long, env = "HURRICANE_MAX_TOTAL_CONNECTIONS", value_name = "auto|N",
          default_value = "auto", value_parser = connections)]
    pub max_total_connections: Connections,

    /// How long an idle connection is kept; longer than the load balancer's own limit
    #[arg(long, env = "HURRICANE_KEEP_ALIVE_TIMEOUT", value_name = "DURATION",
          default_value = "75s",
          value_parser = duration(MOMENT..=DAY))]
    pub keep_alive_timeout: Duration,

    /// How old a connection may become before an answer ends it, less up to a tenth at random, so
    /// that clients with long connections find new pods; 0 as old as it likes
    #[arg(long, env = "HURRICANE_MAX_CONNECTION_AGE", value_name = "DURATION",
          default_value = "0",
          value_parser = duration(Duration::ZERO..=DAY))]
    pub max_connection_age: Duration,

    /// Requests of a connection before an answer ends it; 0 any number
    #[arg(long, env = "HURRICANE_MAX_REQUESTS_PER_CONNECTION", value_name = "N",
          default_value = "0", value_parser = number(0..=1_000_000_000))]
    pub max_requests_per_connection: usize,

    /// How long a client may take for a request's head
    #[arg(long, env = "HURRICANE_HEAD_TIMEOUT", value_name = "DURATION", default_value = "30s",
          value_parser = duration(MOMENT..=DAY))]
    pub head_timeout: Duration,

    /// How long a client may be silent inside a request's body, or behind --min-body-rate
    #[arg(long, env = "HURRICANE_BODY_TIMEOUT", value_name = "DURATION", default_value = "30s",
          value_parser = duration(MOMENT..=DAY))]
    pub body_timeout: Duration,

    /// Least bytes a second of a request's body; a client that has fallen behind by --body-timeout is
    /// answered 408; 0 any
    #[arg(long, env = "HURRICANE_MIN_BODY_RATE", value_name = "BYTES",
          default_value = "240", value_parser = bytes)]
    pub min_body_rate: u64,

    /// How long a client may take no byte of a response, or be behind --min-write-rate
    #[arg(long, env = "HURRICANE_WRITE_TIMEOUT", value_name = "DURATION", default_value = "30s",
          value_parser = duration(MOMENT..=DAY))]
    pub write_timeout: Duration,

    /// Least bytes a second of a response that a client takes; one that has fallen behind by
    /// --write-timeout is cut; 0 any
    #[arg(long, env = "HURRICANE_MIN_WRITE_RATE", value_name = "BYTES",
          default_value = "240", value_parser = bytes)]
    pub min_write_rate: u64,
}

impl LimitArgs {
    /// `fit`: how many connections the descriptors of a process are enough for.
    pub(crate) fn limits(&self, queue_len_max: usize, fit: usize) -> Limits {
        let defaults = Limits::default();
        let at_most = |most: usize, bytes: u64| most.min(usize::try_from(bytes).unwrap_or(most));
        let buffered = usize::try_from(self.max_buffered_bytes / 2).unwrap_or(usize::MAX);
        Limits {
            head_bytes_max: at_most(defaults.head_bytes_max, self.max_buffer_size),
            body_bytes_max: self.max_body_size,
            body_memory_bytes_max: at_most(defaults.body_memory_bytes_max, self.max_buffer_size),
            request_memory_bytes_max: buffered,
            response_memory_bytes_max: buffered,
            connections_max: match self.max_connections {
                Connections::Auto => defaults.connections_max.min(fit),
                Connections::Count(count) => count,
            },
            connections_in_all_max: match self.max_total_connections {
                Connections::Auto => defaults.connections_in_all_max,
                Connections::Count(count) => count,
            },
            queue_len_max,
            head_timeout: self.head_timeout,
            body_timeout: self.body_timeout,
            body_rate_min: self.min_body_rate,
            write_timeout: self.write_timeout,
            write_rate_min: self.min_write_rate,
            keep_alive_timeout: self.keep_alive_timeout,
            connection_age_max: self.max_connection_age,
            connection_requests_max: self.max_requests_per_connection,
            ..defaults
        }
    }

    /// Says that there are fewer descriptors than connections may want.
    pub(crate) fn warning(&self, fit: usize) -> Option<String> {
        match self.max_connections {
            Connections::Count(count) if count > fit => Some(format!(
                "--max-connections {count} may need more open files than there can be, which are \
                 enough for {fit}: beyond that new connections wait; raise the hard limit \
                 (ulimit -Hn) or lower --max-connections"
            )),
            _ => None,
        }
    }
}

/// How many connections so many descriptors are enough for.
pub(crate) fn connections_that_fit(open_files: u64, is_tls: bool) -> usize {
    let each = if is_tls { FILES_EACH_TLS } else { FILES_EACH };
    let fit = (open_files.saturating_sub(OTHER_FILES) / each).max(CONNECTIONS_MIN);
    usize::try_from(fit).unwrap_or(usize::MAX)
}

/// A number of connections, or auto.
fn connections(text: &str) -> Result<Connections, String> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(Connections::Auto);
    }
    let count = number(1..=1_000_000)(text).map_err(|allowed| format!("auto, or {allowed}"))?;
    Ok(Connections::Count(count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Args;
    use clap::Parser;

    fn limits(argv: &[&str], fit: usize) -> (Limits, Option<String>) {
        let args = Args::try_parse_from(std::iter::once(&"test").chain(argv)).unwrap();
        (args.limits.limits(args.queue_size, fit), args.limits.warning(fit))
    }

    #[test]
    fn connections_follow_the_limit_of_open_files() {
        assert_eq!(connections_that_fit(1024, false), 256);
        assert_eq!(connections_that_fit(1024, true), 153);
        assert_eq!(connections_that_fit(64, false), 16);
        assert!(connections_that_fit(u64::MAX, false) > 1 << 60);
        assert_eq!(limits(&[], 256).0.connections_max, 256);
        assert_eq!(limits(&[], usize::MAX).0.connections_max, Limits::default().connections_max);
        let (asked, warning) = limits(&["--max-connections", "300"], 256);
        assert_eq!((asked.connections_max, warning.is_some()), (300, true));
        assert!(limits(&["--max-connections", "256"], 256).1.is_none());
    }

    #[test]
    fn connections_are_a_number_or_auto() {
        assert_eq!(connections("AUTO"), Ok(Connections::Auto));
        assert_eq!(connections("7"), Ok(Connections::Count(7)));
        assert_eq!(connections("0").unwrap_err(), "auto, or a number from 1 to 1000000");
        let (limits, _) = limits(&["--max-total-connections", "9"], 256);
        assert_eq!(limits.connections_in_all_max, 9);
    }

    #[test]
    fn defaults_of_flags_are_those_of_the_limits() {
        assert_eq!(limits(&[], usize::MAX).0, Limits::default());
    }
}
