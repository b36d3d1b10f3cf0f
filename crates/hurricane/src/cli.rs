//! Every flag of the server, once.
//!
//! Help, man page, completions, environment variables and Django's `manage.py serve` parser all
//! come from [`Args`], and from [`ProjectArgs`] where a Django project is served. [`crate::parse`]
//! fills them from command line, settings and environment.

pub(crate) mod consumer;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgAction, CommandFactory, Parser};
use hurricane_control::WebhookUrl;

use crate::debugging::DebuggingArgs;
use crate::file_args::{FileArgs, ProjectFileArgs};
use crate::limit_args::LimitArgs;
use crate::metrics_args::MetricsArgs;
use crate::preparation_args::{DevelopmentArgs, PreparationArgs};
use crate::proxy_args::{ProxyArgs, TlsArgs};
use crate::recycle::WorkerMemory;
use crate::values::{
    AccessLogValue, Compat, DrainReadinessValue, Interface, Io, LogFormat, LogLevel, Pin, Workers,
    duration, host, mebibytes, mode, number, path, port, socket_path, switch, webhook_url,
    worker_memory, workers,
};

/// Address that stands for "every address of this host", IPv6 and IPv4.
pub(crate) const HOST_DEFAULT: &str = "::";

/// What the server is, in a line.
pub(crate) const ABOUT: &str =
    "Application server for Kubernetes: one io_uring core per worker, probes that tell the truth";
/// The same with what is true of all flags.
pub(crate) const LONG_ABOUT: &str =
    "Application server for Kubernetes: one io_uring core per worker, probes that tell the truth

Each flag can also be set in the environment; the command line wins over settings, settings over \
the environment. Durations are seconds, or carry a unit: 500ms, 5s, 2m, 1h.";

const MOMENT: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86400);
const YEAR: Duration = Duration::from_secs(366 * 86400);
/// Three periods of the kernel's CPU quota: a throttled loop may be silent for so long.
const HEARTBEAT_TIMEOUT_MIN: Duration = Duration::from_millis(300);

/// The flags of `serve`, as given.
#[derive(Clone, Debug, Parser)]
#[command(name = "hurricane", version, about = ABOUT, long_about = LONG_ABOUT,
          args_override_self = true)]
pub struct Args {
    /// Address to listen on; the default is every IPv6 and IPv4 address
    #[arg(long, env = "HURRICANE_HOST", value_name = "ADDRESS",
          default_value = HOST_DEFAULT, value_parser = host)]
    pub host: String,

    /// Port of the application; 0 lets the kernel choose and logs the choice
    #[arg(long, env = "HURRICANE_PORT", value_name = "PORT",
          default_value = "8000", value_parser = port)]
    pub port: u16,

    /// Serve the application on a Unix domain socket at this path instead of TCP, for a proxy on the
    /// same host; probes keep their port
    #[arg(long, env = "HURRICANE_UDS", value_name = "PATH", value_parser = socket_path)]
    pub uds: Option<PathBuf>,

    /// Permissions of that socket, in octal: who may write may connect; by default our user and
    /// group, to which the proxy's user is added
    #[arg(long, env = "HURRICANE_UDS_MODE", value_name = "MODE",
          default_value = "660", value_parser = mode)]
    pub uds_mode: u32,

    /// User to run as once the server listens, by name or number, for a start as root: it and all that
    /// it starts, the application too, have no other rights then
    #[arg(long, env = "HURRICANE_USER", value_name = "USER")]
    pub user: Option<String>,

    /// Group to run as [default: that of --user]; supplementary groups are those of --user
    #[arg(long, env = "HURRICANE_GROUP", value_name = "GROUP")]
    pub group: Option<String>,

    /// Port of the probes [default: the next after --port]; the same as --port answers them there
    #[arg(long, env = "HURRICANE_PROBE_PORT", value_name = "PORT", value_parser = port)]
    pub probe_port: Option<u16>,

    /// Path of the liveness probe
    #[arg(long, env = "HURRICANE_LIVENESS_PROBE", value_name = "PATH",
          default_value = "/alive", value_parser = path)]
    pub liveness_probe: String,

    /// Path of the readiness probe
    #[arg(long, env = "HURRICANE_READINESS_PROBE", value_name = "PATH",
          default_value = "/ready", value_parser = path)]
    pub readiness_probe: String,

    /// Path of the startup probe
    #[arg(long, env = "HURRICANE_STARTUP_PROBE", value_name = "PATH",
          default_value = "/startup", value_parser = path)]
    pub startup_probe: String,

    /// Path of the whole picture as JSON, on the probe port
    #[arg(long, env = "HURRICANE_STATUS_PATH", value_name = "PATH",
          default_value = "/status", value_parser = path)]
    pub status_path: String,

    /// What Prometheus is offered.
    #[command(flatten)]
    pub metrics: MetricsArgs,

    /// Answer no probes and run no checks
    #[arg(long, env = "HURRICANE_NO_PROBE", value_name = "BOOLEAN",
          action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_value = "false",
          default_missing_value = "true", value_parser = switch)]
    pub no_probe: bool,

    /// Where to post start, changes of the probes, drain and shutdown as JSON; http or https
    #[arg(long, env = "HURRICANE_WEBHOOK_URL", value_name = "URL", value_parser = webhook_url)]
    pub webhook_url: Option<WebhookUrl>,

    /// Requests after which the liveness probe fails, so that the pod is restarted; 0 never
    #[arg(long, env = "HURRICANE_MAX_LIFETIME", value_name = "N",
          default_value = "0", value_parser = number(0..=1_000_000_000_000))]
    pub max_lifetime: usize,

    /// Workers, one core each; auto takes what CPU limit, cpuset and affinity leave
    #[arg(long, env = "HURRICANE_WORKERS", value_name = "auto|N",
          default_value = "auto", value_parser = workers)]
    pub workers: Workers,

    /// Threads of a worker that may run application code. Few, as each may hold a database
    /// connection (pods x workers x threads); they start only when a view blocks
    #[arg(long, env = "HURRICANE_THREADS", value_name = "N",
          default_value = "4", value_parser = number(1..=256))]
    pub threads: usize,

    /// Bind each worker to a CPU; auto does so only where the CPUs are ours alone
    #[arg(
        long,
        env = "HURRICANE_PIN",
        value_name = "WHEN",
        default_value = "auto",
        ignore_case = true
    )]
    pub pin: Pin,

    /// How to talk to the kernel; io-uring refuses to start where it cannot be had
    #[arg(
        long,
        env = "HURRICANE_IO",
        value_name = "ENGINE",
        default_value = "auto",
        ignore_case = true
    )]
    pub io: Io,

    /// Not ready when so many requests wait or run, over all workers; 0 is never ready
    #[arg(long, env = "HURRICANE_REQ_QUEUE_LEN", value_name = "N",
          default_value = "10", value_parser = number(0..=1_000_000))]
    pub req_queue_len: usize,

    /// Requests of a worker that may wait for a thread; more are answered 503 at once
    #[arg(long, env = "HURRICANE_QUEUE_SIZE", value_name = "N",
          default_value = "1024", value_parser = number(1..=1_000_000))]
    pub queue_size: usize,

    /// Silence after which a worker's loop counts as stalled: not ready; replaced after twice that
    #[arg(long, env = "HURRICANE_HEARTBEAT_TIMEOUT", value_name = "DURATION", default_value = "5s",
          value_parser = duration(HEARTBEAT_TIMEOUT_MIN..=HOUR))]
    pub heartbeat_timeout: Duration,

    /// Time without progress on all threads after which a worker counts as stuck and is
    /// replaced; 0 never
    #[arg(long, env = "HURRICANE_REQUEST_TIMEOUT", value_name = "DURATION", default_value = "60s",
          value_parser = duration(Duration::ZERO..=DAY))]
    pub request_timeout: Duration,

    /// Requests after which a worker is replaced, one at a time and without losing any; up to 10 %
    /// more, so that workers do not all end together; 0 never
    #[arg(long, env = "HURRICANE_MAX_WORKER_REQUESTS", value_name = "N",
          default_value = "0", value_parser = number(0..=1_000_000_000_000))]
    pub max_worker_requests: usize,

    /// Time after which a worker is replaced in the same way; up to 10 % more; 0 never
    #[arg(long, env = "HURRICANE_MAX_WORKER_LIFETIME", value_name = "DURATION",
          default_value = "0", value_parser = duration(Duration::ZERO..=YEAR))]
    pub max_worker_lifetime: Duration,

    /// Memory above which a worker is replaced in the same way: bytes (suffix k, m, g), off, or auto
    /// for its share of nine tenths of the cgroup's memory limit
    #[arg(long, env = "HURRICANE_MAX_WORKER_MEMORY", value_name = "auto|off|BYTES",
          default_value = "auto", value_parser = worker_memory)]
    pub max_worker_memory: WorkerMemory,

    /// Memory of the whole server above which its largest worker is replaced: MiB, or with a suffix
    /// (k, m, g); 0 no limit
    #[arg(long, env = "HURRICANE_MAX_MEMORY", value_name = "MIB",
          default_value = "0", value_parser = mebibytes)]
    pub max_memory: u64,

    /// How long to go on accepting after SIGTERM [default: 5s in Kubernetes, else 0]
    #[arg(long, env = "HURRICANE_DRAIN_DELAY", value_name = "DURATION",
          value_parser = duration(Duration::ZERO..=HOUR))]
    pub drain_delay: Option<Duration>,

    /// How long requests may still run after accepting has ended; with --drain-delay it should
    /// stay below the pod's terminationGracePeriodSeconds
    #[arg(long, env = "HURRICANE_GRACE_PERIOD", value_name = "DURATION", default_value = "20s",
          value_parser = duration(Duration::ZERO..=DAY))]
    pub grace_period: Duration,

    /// How long freshly loaded code may take to be ready to serve after SIGHUP; after that the old
    /// code serves on
    #[arg(long, env = "HURRICANE_RELOAD_TIMEOUT", value_name = "DURATION", default_value = "2m",
          value_parser = duration(SECOND..=HOUR))]
    pub reload_timeout: Duration,

    /// The pod's terminationGracePeriodSeconds, to warn when stopping may take longer
    #[arg(long, env = "HURRICANE_TERMINATION_GRACE_PERIOD", value_name = "DURATION",
          value_parser = duration(Duration::ZERO..=DAY))]
    pub termination_grace_period: Option<Duration>,

    /// What the readiness probe says while stopping but still accepting
    #[arg(
        long,
        env = "HURRICANE_DRAIN_READINESS",
        value_name = "ANSWER",
        default_value = "serving",
        ignore_case = true
    )]
    pub drain_readiness: DrainReadinessValue,

    /// Connections of a worker that the kernel may complete before they are accepted
    #[arg(long, env = "HURRICANE_BACKLOG", value_name = "N",
          default_value = "1024", value_parser = number(1..=65535))]
    pub backlog: usize,

    /// What clients may have, and how long they may take.
    #[command(flatten)]
    pub limits: LimitArgs,

    /// Time between two runs of a check
    #[arg(long, env = "HURRICANE_CHECK_INTERVAL", value_name = "DURATION", default_value = "10s",
          value_parser = duration(MOMENT..=DAY))]
    pub check_interval: Duration,

    /// How long a check may run before it counts as failed
    #[arg(long, env = "HURRICANE_CHECK_TIMEOUT", value_name = "DURATION", default_value = "5s",
          value_parser = duration(MOMENT..=HOUR))]
    pub check_timeout: Duration,

    /// Brings back what Django-Hurricane 1.6.2 did where Hurricane does something else on purpose, but
    /// for what was a danger, a hang or a loss, for projects that move in two steps: flags, probes,
    /// webhooks, HTTP, exit codes, one process; docs/migrating-from-django-hurricane.md lists it all
    #[arg(
        long,
        env = "HURRICANE_COMPAT",
        value_name = "VERSION",
        default_value = "off",
        ignore_case = true
    )]
    pub compat: Compat,

    /// Who writes a line for each answer: python, the logger hurricane.server.access (or structlog);
    /// native, the server itself, on stderr; auto is python, but native with --log-format json
    #[arg(
        long,
        env = "HURRICANE_ACCESS_LOG",
        value_name = "WRITER",
        default_value = "auto",
        ignore_case = true
    )]
    pub access_log: AccessLogValue,

    /// Leave requests and answers without X-Request-ID where the client or the application sets none;
    /// else a request that brings no usable one is given one, and its answer tells it
    #[arg(long, env = "HURRICANE_NO_REQUEST_ID", value_name = "BOOLEAN",
          action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_value = "false",
          default_missing_value = "true", value_parser = switch)]
    pub no_request_id: bool,

    /// Have lines for probes in the access log too
    #[arg(long, env = "HURRICANE_LOG_PROBES", value_name = "BOOLEAN",
          action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_value = "false",
          default_missing_value = "true", value_parser = switch)]
    pub log_probes: bool,

    /// How log lines look on stderr; auto is human
    #[arg(
        long,
        env = "HURRICANE_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "auto",
        ignore_case = true
    )]
    pub log_format: LogFormat,

    /// The least important line that is logged
    #[arg(
        long,
        env = "HURRICANE_LOG_LEVEL",
        value_name = "LEVEL",
        default_value = "info",
        ignore_case = true
    )]
    pub log_level: LogLevel,

    /// File for the last words of a server that fails; the default is /dev/termination-log where
    /// it is there, as Kubernetes makes it
    #[arg(long, env = "HURRICANE_TERMINATION_LOG", value_name = "PATH")]
    pub termination_log: Option<PathBuf>,

    /// Files that the server serves itself.
    #[command(flatten)]
    pub files: FileArgs,

    /// Who stands in front of the server.
    #[command(flatten)]
    pub proxies: ProxyArgs,
    /// TLS without a proxy.
    #[command(flatten)]
    pub tls: TlsArgs,

    /// What the environment says beyond flags; filled by [`crate::parse`].
    #[arg(skip)]
    pub surroundings: Surroundings,
}

/// The flags of `manage.py serve`: those of every server, and what needs a Django project.
#[derive(Clone, Debug, Parser)]
#[command(name = "hurricane", version, about = ABOUT, long_about = LONG_ABOUT,
          args_override_self = true)]
pub struct ProjectArgs {
    /// The flags of every server.
    #[command(flatten)]
    pub args: Args,
    /// Its files that the server serves itself.
    #[command(flatten)]
    pub files: ProjectFileArgs,
    /// What happens before it serves.
    #[command(flatten)]
    pub preparation: PreparationArgs,
    /// What only those want who develop it.
    #[command(flatten)]
    pub development: DevelopmentArgs,

    /// How Django is entered: through the project's WSGI application; below it, with a request
    /// object that is filled when it is looked at; auto does the latter for Django's own WSGI
    /// handler, unless something has wrapped or changed it
    #[arg(
        long,
        env = "HURRICANE_INTERFACE",
        value_name = "INTERFACE",
        default_value = "auto",
        ignore_case = true
    )]
    pub interface: Interface,
    /// Who may debug it.
    #[command(flatten)]
    pub debugging: DebuggingArgs,
}

/// What the environment says beyond flags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Whether the process runs in a pod (`KUBERNETES_SERVICE_HOST` is set).
    pub kubernetes: bool,
    /// The application's version (`HURRICANE_VERSION`, a setting or variable): `--version` tells
    /// the server's.
    pub application_version: Option<String>,
    /// Sentences to log as warnings once logging is set up.
    pub warnings: Vec<String>,
}

/// One flag, described so that another parser (Django's `manage.py serve`) can offer it too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// Long name without dashes, such as `probe-port`.
    pub name: String,
    /// Environment variable.
    pub env: String,
    /// Default as one would type it; `None` when it depends on the surroundings.
    pub default: Option<String>,
    /// Help text.
    pub help: String,
    /// Placeholder of the value.
    pub value_name: String,
    /// Whether the flag alone means true. It may still be given a boolean, as `--flag=false`.
    pub is_switch: bool,
    /// Whether it may be given several times, and its variable holds a list.
    pub is_repeatable: bool,
    /// Whether only `manage.py serve` has it.
    pub needs_project: bool,
    /// All values, where they are few.
    pub possible_values: Vec<String>,
}

/// Describes every flag of `manage.py serve`.
pub fn flags() -> Vec<Flag> {
    let everywhere = Args::command();
    let is_everywhere =
        |arg: &Arg| everywhere.get_arguments().any(|own| own.get_id() == arg.get_id());
    let command = ProjectArgs::command();
    command.get_arguments().filter_map(|arg| describe(arg, !is_everywhere(arg))).collect()
}

/// `None` of what is no flag with a value.
fn describe(arg: &Arg, needs_project: bool) -> Option<Flag> {
    let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
    let values = arg.get_possible_values();
    Some(Flag {
        name: arg.get_long()?.to_owned(),
        env: arg.get_env().map(text)?,
        default: arg.get_default_values().first().map(|default| text(default)),
        help: arg.get_help().map(ToString::to_string).unwrap_or_default(),
        value_name: arg.get_value_names()?.first()?.to_string(),
        is_switch: arg.is_require_equals_set(),
        is_repeatable: is_repeatable(arg),
        needs_project,
        possible_values: values.iter().map(|value| value.get_name().to_owned()).collect(),
    })
}

/// Whether a flag's variable and setting hold a list.
pub(crate) fn is_repeatable(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        ProjectArgs::command().debug_assert();
    }

    #[test]
    fn every_flag_has_its_variable_and_help() {
        let flags = flags();
        assert!(flags.len() > 30);
        for flag in &flags {
            let variable = flag.name.to_uppercase().replace('-', "_");
            assert_eq!(flag.env, format!("HURRICANE_{variable}"));
            assert!(flag.help.len() > 10, "{}", flag.name);
        }
    }

    #[test]
    fn flags_tell_switches_defaults_and_values() {
        let flags = flags();
        let named = |name: &str| flags.iter().find(|flag| flag.name == name).unwrap();
        assert_eq!(named("port").default.as_deref(), Some("8000"));
        assert_eq!(named("probe-port").default, None);
        assert!(named("no-probe").is_switch && !named("port").is_switch);
        assert!(named("command").is_repeatable && !named("port").is_repeatable);
        assert!(named("check-migrations").needs_project && !named("port").needs_project);
        assert_eq!(named("io").possible_values, ["auto", "io-uring", "epoll"]);
        assert_eq!(named("workers").value_name, "auto|N");
    }
}
