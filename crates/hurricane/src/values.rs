//! The values that flags take: how they are written, and what is allowed.
//!
//! Every parser answers a refused text with a phrase that says what is allowed and fits behind
//! "…: expected", so that one sentence can name flag, value and rule.

use std::fmt;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use hurricane_control::{WebhookUrl, WebhookUrlError};
use hurricane_http::{Trusted, TrustedError};
use serde::{Deserialize, Serialize};

use crate::recycle::WorkerMemory;

/// Most workers that a server can have.
pub const WORKERS_MAX: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// How many workers to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// As many as the container's CPUs allow.
    Auto,
    /// Exactly so many.
    Count(NonZeroUsize),
}

impl fmt::Display for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Count(count) => count.fmt(f),
        }
    }
}

/// Whether each loop is bound to a CPU of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pin {
    /// When the CPUs are ours alone.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// How workers talk to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Io {
    /// io_uring where it can be had, else epoll.
    Auto,
    /// io_uring, or no start.
    #[value(alias = "io_uring", alias = "iouring")]
    IoUring,
    /// epoll.
    Epoll,
}

/// What `/ready` says between SIGTERM and the end of accepting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DrainReadinessValue {
    /// Ready as long as connections are accepted.
    Serving,
    /// Not ready from the signal on.
    Failing,
}

/// Whose behaviour counts where ours was changed on purpose (`--compat`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Compat {
    /// Ours.
    #[default]
    Off,
    /// That of Django-Hurricane 1.6.2.
    #[value(name = "1.6", alias = "1.6.2")]
    V1_6,
}

impl Compat {
    /// Whether behaviour that was changed on purpose is as it was in Django-Hurricane 1.6.2.
    pub fn is_legacy(self) -> bool {
        self == Self::V1_6
    }
}

/// How a Django project is entered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Interface {
    /// Below WSGI where nobody can tell the difference, else through it.
    #[default]
    Auto,
    /// The project's WSGI application is called.
    Wsgi,
    /// Django gets a request object that is filled when it is looked at.
    Django,
}

impl Interface {
    /// As it is typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Wsgi => "wsgi",
            Self::Django => "django",
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum LogFormat {
    /// The same as human.
    Auto,
    /// One line of text per event.
    Human,
    /// One JSON object per line.
    Json,
}

/// Who writes a line for each answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub enum AccessLogValue {
    /// Python where it has somebody who listens; the server, if all lines are to be JSON.
    Auto,
    /// Python's logging or structlog.
    Python,
    /// The server, on stderr.
    Native,
    /// Nobody.
    Off,
}

/// The least important event that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum LogLevel {
    /// What needs a human.
    #[value(alias = "critical")]
    Error,
    /// What may need one.
    #[value(alias = "warning")]
    Warn,
    /// Start, stop, changes of health.
    Info,
    /// Connections.
    Debug,
    /// Everything.
    Trace,
}

/// A management command: its name and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagementCommand(pub Vec<String>);

/// Words, split and quoted as for a shell.
pub(crate) fn management_command(text: &str) -> Result<ManagementCommand, String> {
    shlex::split(text)
        .filter(|words| {
            words.first().is_some_and(|name| !name.is_empty() && !name.starts_with('-'))
        })
        .map(ManagementCommand)
        .ok_or_else(|| {
            "a management command and its arguments, quoted as for a shell, such as \
             'collectstatic --no-input'"
                .to_owned()
        })
}

/// `auto` or a count up to [`WORKERS_MAX`].
pub(crate) fn workers(text: &str) -> Result<Workers, String> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(Workers::Auto);
    }
    let count = text.parse().ok().filter(|count| *count <= WORKERS_MAX);
    count.map(Workers::Count).ok_or_else(|| format!("auto or a number from 1 to {WORKERS_MAX}"))
}

/// A whole number within `allowed`.
pub(crate) fn number(
    allowed: RangeInclusive<usize>,
) -> impl Fn(&str) -> Result<usize, String> + Clone + Send + Sync + 'static {
    move |text| {
        text.parse()
            .ok()
            .filter(|number| allowed.contains(number))
            .ok_or_else(|| format!("a number from {} to {}", allowed.start(), allowed.end()))
    }
}

/// A TCP port; 0 lets the kernel choose.
pub(crate) fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "a port from 0 (the kernel chooses) to 65535".to_owned())
}

/// A TCP port that another process listens on.
pub(crate) fn amqp_port(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|port| *port > 0).ok_or_else(|| "a port from 1 to 65535".to_owned())
}

/// `5`, `5s`, `500ms`, `1.5`, `2m`, `1h` within `allowed`.
pub(crate) fn duration(
    allowed: RangeInclusive<Duration>,
) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    move |text| {
        duration_from(text).filter(|duration| allowed.contains(duration)).ok_or_else(|| {
            format!(
                "a duration from {:?} to {:?}, such as 5, 1.5s, 500ms or 2m",
                allowed.start(),
                allowed.end()
            )
        })
    }
}

fn duration_from(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (amount, unit) = text.split_at(digits);
    let unit_seconds = match unit {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    let amount: f64 = amount.parse().ok()?;
    let seconds = Duration::try_from_secs_f64(amount * unit_seconds).ok()?;
    Some(Duration::from_millis(u64::try_from(seconds.as_micros().div_ceil(1000)).ok()?))
}

/// Bytes: a number with an optional suffix k, m or g (powers of 1024).
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let (amount, shift) = match lower.strip_suffix(['k', 'm', 'g']) {
        Some(amount) if lower.ends_with('k') => (amount, 10),
        Some(amount) if lower.ends_with('m') => (amount, 20),
        Some(amount) => (amount, 30),
        None => (lower.as_str(), 0),
    };
    amount
        .parse::<u64>()
        .ok()
        .and_then(|amount| amount.checked_mul(1 << shift))
        .filter(|bytes| *bytes <= i64::MAX as u64)
        .ok_or_else(|| "a number of bytes, such as 104857600, 512k, 100m or 2g".to_owned())
}

/// As [`bytes`], but a bare number counts mebibytes, which is what Django-Hurricane's
/// `--max-memory` takes.
pub(crate) fn mebibytes(text: &str) -> Result<u64, String> {
    let bare = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let explained = |_| "a number of mebibytes, such as 512, or with a unit: 512m, 2g".to_owned();
    if bare { bytes(&format!("{text}m")) } else { bytes(text) }.map_err(explained)
}

/// `auto`, `off` or a number of bytes.
pub(crate) fn worker_memory(text: &str) -> Result<WorkerMemory, String> {
    match text.to_ascii_lowercase().as_str() {
        "auto" => Ok(WorkerMemory::Auto),
        "off" => Ok(WorkerMemory::Off),
        _ => match bytes(text) {
            Ok(count) if count > 0 => Ok(WorkerMemory::Bytes(count)),
            _ => Err("auto, off, or a number of bytes, such as 512m or 2g".to_owned()),
        },
    }
}

/// A literal path of a probe: a slash in front is added, one behind is dropped.
pub(crate) fn path(text: &str) -> Result<String, String> {
    // Spaces have always been dropped, wherever they are.
    let text = text.replace(' ', "");
    let bare = text.trim().trim_start_matches('/').trim_end_matches('/');
    let literal = bare.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#%".contains(&byte));
    if bare.is_empty() || !literal || bare.len() > 200 {
        return Err("a path such as /alive, without query or percent signs".to_owned());
    }
    Ok(format!("/{bare}"))
}

/// Where a socket's file is to be; its absolute path.
pub(crate) fn socket_path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.ends_with('/') {
        return Err("the path of a socket, such as /run/shop/web.sock".to_owned());
    }
    std::path::absolute(text).map_err(|error| format!("a path ({error})"))
}

/// Permissions of a socket's file. Without its owner's they are a mistake: of a number that a
/// Django setting wrote with `0o`, decimal digits arrive here.
pub(crate) fn mode(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8)
        .ok()
        .filter(|mode| *mode <= 0o777 && mode & 0o600 == 0o600)
        .ok_or_else(|| {
            "permissions in octal, as a text, which let the owner read and write, such as 660"
                .to_owned()
        })
}

/// Proxies whose word about clients counts.
pub(crate) fn trusted(text: &str) -> Result<Trusted, String> {
    text.parse().map_err(|error: TrustedError| error.to_string())
}

/// Where webhooks go.
pub(crate) fn webhook_url(text: &str) -> Result<WebhookUrl, String> {
    text.parse().map_err(|error: WebhookUrlError| error.to_string())
}

/// An address or a host name to listen on, brackets around IPv6 allowed.
pub(crate) fn host(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let name = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
    let port_given = bare.contains(':') && bare.parse::<std::net::Ipv6Addr>().is_err();
    if bare.is_empty() || port_given || !bare.chars().all(name) {
        return Err(
            "an address or host name without a port, such as ::, 0.0.0.0 or localhost".to_owned()
        );
    }
    Ok(bare.to_owned())
}

/// A switch given a value: environment variables and settings are real booleans.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" | "" => Ok(false),
        _ => Err("true or false (1, yes, on; 0, no, off)".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_units_and_fractions() {
        let any = duration(Duration::ZERO..=Duration::from_secs(86400));
        for (text, millis) in [
            ("5", 5000),
            ("5s", 5000),
            ("500ms", 500),
            ("1.5", 1500),
            ("2m", 120_000),
            ("0", 0),
            ("0.0001", 1),
            ("1h", 3_600_000),
        ] {
            assert_eq!(any(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1", "1d", "5 s", "1.2.3", "nan", "inf", "1e3", "99999999999999999"]
        {
            assert!(any(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_duration_out_of_range_says_the_range() {
        let bounded = duration(Duration::from_millis(300)..=Duration::from_secs(3600));
        assert_eq!(
            bounded("0.1").unwrap_err(),
            "a duration from 300ms to 3600s, such as 5, 1.5s, 500ms or 2m"
        );
    }

    #[test]
    fn bytes_take_suffixes_of_powers_of_1024() {
        for (text, count) in
            [("0", 0), ("512", 512), ("2k", 2048), ("1M", 1 << 20), ("2g", 2 << 30)]
        {
            assert_eq!(bytes(text), Ok(count), "{text}");
        }
        for text in ["", "k", "-1", "1.5m", "1t", "99999999999g"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn memory_limits_take_what_users_write() {
        for (text, count) in [("0", 0), ("200", 200 << 20), ("512M", 512 << 20), ("1g", 1 << 30)] {
            assert_eq!(mebibytes(text), Ok(count), "{text}");
        }
        assert!(mebibytes("").is_err() && mebibytes("1.5").is_err());
        assert_eq!(worker_memory("AUTO"), Ok(WorkerMemory::Auto));
        assert_eq!(worker_memory("off"), Ok(WorkerMemory::Off));
        assert_eq!(worker_memory("300m"), Ok(WorkerMemory::Bytes(300 << 20)));
        assert!(worker_memory("0").is_err() && worker_memory("much").is_err());
    }

    #[test]
    fn probe_paths_are_literal_and_lead_with_one_slash() {
        for text in ["alive", "/alive", "//alive/", " /alive ", "/ali ve"] {
            assert_eq!(path(text).as_deref(), Ok("/alive"), "{text}");
        }
        for text in ["", "/", " ", "/a?b", "/a#b", "/%61", "/é"] {
            assert!(path(text).is_err(), "{text}");
        }
    }

    #[test]
    fn modes_are_octal_texts_that_let_the_owner_in() {
        for text in ["660", "0660", "0o660"] {
            assert_eq!(mode(text), Ok(0o660), "{text}");
        }
        // What the numbers 0o600, 0o660, 0o666, 0o770 and 0o777 look like in decimal.
        for text in ["384", "432", "438", "504", "511", "", "rw", "1777", "60"] {
            assert!(mode(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_socket_has_an_absolute_path() {
        assert_eq!(socket_path("/run/web.sock"), Ok(PathBuf::from("/run/web.sock")));
        assert!(socket_path("web.sock").unwrap().is_absolute());
        assert!(socket_path("").is_err() && socket_path("/run/").is_err());
    }

    #[test]
    fn hosts_have_no_port() {
        for (text, bare) in
            [("[::]", "::"), ("::1", "::1"), ("0.0.0.0", "0.0.0.0"), ("localhost", "localhost")]
        {
            assert_eq!(host(text).as_deref(), Ok(bare));
        }
        for text in ["", "localhost:80", "[::1]:80", "a/b", "a b"] {
            assert!(host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn workers_are_auto_or_counted() {
        assert_eq!(workers("auto"), Ok(Workers::Auto));
        assert_eq!(workers("2").map(|count| count.to_string()).as_deref(), Ok("2"));
        for text in ["0", "1025", "-1", "two", ""] {
            assert!(workers(text).is_err(), "{text}");
        }
    }

    #[test]
    fn commands_are_split_as_by_a_shell() {
        for (text, words) in [
            ("migrate", &["migrate"][..]),
            ("  collectstatic   --no-input ", &["collectstatic", "--no-input"]),
            (r#"shell -c "print('a b')" x\ y"#, &["shell", "-c", "print('a b')", "x y"]),
            ("loaddata ''", &["loaddata", ""]),
        ] {
            let expected = words.iter().map(ToString::to_string).collect();
            assert_eq!(management_command(text), Ok(ManagementCommand(expected)), "{text}");
        }
        for text in ["", "  ", "shell -c 'open", "--no-input", "''"] {
            assert!(management_command(text).is_err(), "{text}");
        }
    }

    #[test]
    fn switches_are_real_booleans() {
        for text in ["1", "true", "Yes", "ON"] {
            assert_eq!(switch(text), Ok(true));
        }
        for text in ["0", "false", "No", "off", ""] {
            assert_eq!(switch(text), Ok(false));
        }
        assert!(switch("maybe").is_err());
    }
}
