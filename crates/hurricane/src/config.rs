//! What the server runs with: defaults filled in, conflicts refused, CPUs counted.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use hurricane_control::{
    DrainReadiness, PatternError, Patterns, ProbePaths, VerdictLimits, WebhookOptions, Wording,
};
use hurricane_cpu::{
    Bound, CgroupVersion, CpuSet, MilliCpus, Origin, PinMode, PinPlan, Survey, pin_plan,
    worker_count,
};
use hurricane_files::{Audience, Mount};
use hurricane_http::Limits;
use hurricane_worker::{IoChoice, Proxies, Tls};
use nix::unistd::gethostname;
use serde::{Deserialize, Serialize};

use crate::behaviour::Behaviour;
use crate::cli::Args;
use crate::cli::consumer::Consume;
use crate::limit_args::connections_that_fit;
use crate::process::open_files_max;
use crate::recycle::Recycling;
use crate::termination::TerminationLog;
use crate::values::{
    AccessLogValue, Compat, DrainReadinessValue, Io, LogFormat, LogLevel, Pin, WORKERS_MAX, Workers,
};

/// How long to go on accepting after SIGTERM in a pod: endpoints are withdrawn meanwhile.
const DRAIN_DELAY_KUBERNETES: Duration = Duration::from_secs(5);
/// Where a consumer's probes are answered: where those of a server at its default port are.
const CONSUMER_PROBE_PORT: u16 = 8001;
/// What the control process and the accept queues may need besides the two periods.
const STOP_MARGIN: Duration = Duration::from_secs(2);

/// Flags that do not fit each other or this host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The next port after --port does not exist.
    #[error("--port 65535 leaves no next port for probes; choose a --probe-port")]
    NoNextPort,
    /// Two probes cannot share a path.
    #[error("{first} and {second} are both {path}; every probe needs a path of its own")]
    SamePath {
        /// One flag.
        first: &'static str,
        /// The other flag.
        second: &'static str,
        /// Their path.
        path: String,
    },
    /// A kubelet speaks HTTP at once.
    #[error(
        "--proxy-protocol demands a PROXY header of whoever probes --port, too, and no kubelet \
         sends one; give the probes a --probe-port of their own"
    )]
    ProbesBehindProxyProtocol,
    /// Only where paths are regular expressions.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// One half of what TLS needs.
    #[error("TLS needs a certificate and its key; give a {missing} too")]
    HalfOfTls {
        /// The flag of the other half.
        missing: &'static str,
    },
    /// The certificate or its key cannot be used; one sentence says why.
    #[error("{0}")]
    Tls(String),
    /// `healthcheck` and kubelets speak HTTP unless they are told otherwise.
    #[error(
        "--tls-cert makes --port speak TLS to whoever probes it, too; give the probes a \
         --probe-port of their own"
    )]
    ProbesOverTls,
    /// A consumer is not told where its broker is.
    #[error(
        "The amqp {what} must not be empty: set AMQP_{} in the environment or in the settings, or \
         give --amqp-{what}", what.to_uppercase()
    )]
    NoBroker {
        /// `host` or `port`.
        what: &'static str,
    },
}

/// What a process that consumes messages runs with, instead of a listening socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerOptions {
    /// The queue; empty: one that the broker names.
    pub queue: String,
    /// The exchange that it is bound to; empty: none.
    pub exchange: String,
    /// Where the broker is.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its virtual host.
    pub vhost: String,
    /// Whether a lost broker is connected to again.
    pub reconnect: bool,
    /// How often a message that fails is given back to its queue.
    pub redeliveries_max: usize,
}

/// Where probes are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProbePort {
    /// Nowhere.
    Off,
    /// On the application's port, by the workers.
    Integrated,
    /// On a port of their own, by the control process.
    Own(u16),
}

/// What the server runs with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address or host name to listen on.
    pub host: String,
    /// Port of the application; 0 lets the kernel choose.
    pub port: u16,
    /// Where the application's Unix domain socket is, if it is served on one.
    pub uds: Option<PathBuf>,
    /// Permissions of its file.
    pub uds_mode: u32,
    /// User to run as; none: who has started it.
    pub user: Option<String>,
    /// Group to run as.
    pub group: Option<String>,
    /// Where probes are answered.
    pub probe_port: ProbePort,
    /// Paths of the probes.
    pub paths: ProbePaths,
    /// Whether the server's own metrics are among those of requests and project.
    pub metrics_extended: bool,
    /// Where changes of health are told.
    pub webhook: Option<WebhookOptions>,
    /// The application's version, if it has one.
    pub application_version: Option<String>,
    /// How many workers.
    pub workers: NonZeroUsize,
    /// Where that number comes from.
    pub workers_reason: String,
    /// What limited the CPUs at the start.
    pub survey: Survey,
    /// Whether their number follows the CPUs that we may use.
    pub workers_follow: bool,
    /// How many workers there may ever be.
    pub workers_max: NonZeroUsize,
    /// Application threads of a worker.
    pub threads: usize,
    /// Whether workers are bound to CPUs.
    pub pin_mode: PinMode,
    /// Which worker is bound to which CPU.
    pub pin: PinPlan,
    /// How to talk to the kernel.
    pub io: IoChoice,
    /// When a worker counts as stalled or stuck, and the server as full.
    pub verdict: VerdictLimits,
    /// How long to go on accepting after SIGTERM.
    pub drain_delay: Duration,
    /// How long requests may run after that.
    pub grace_period: Duration,
    /// When workers are replaced although they could go on.
    pub recycling: Recycling,
    /// How long freshly loaded code may take to be ready to serve.
    pub reload_timeout: Duration,
    /// Accept queue of each listener.
    pub backlog: usize,
    /// Limits of connections and requests.
    pub limits: Limits,
    /// How many connections the descriptors of a process are enough for.
    pub connections_fit: usize,
    /// Files that are served without the application, or that it hands out.
    pub mounts: Vec<Mount>,
    /// Who stands in front of the server.
    pub proxies: Proxies,
    /// What TLS is spoken with on the application's port.
    pub tls: Option<Tls>,
    /// Time between two runs of a check.
    pub check_interval: Duration,
    /// How long a check may run.
    pub check_timeout: Duration,
    /// Whose behaviour counts where ours was changed on purpose.
    pub compat: Compat,
    /// What that means.
    pub behaviour: &'static Behaviour,
    /// Who writes a line for each answer.
    pub access_log: AccessLogValue,
    /// Whether requests without an identifier are given one, and answers tell it.
    pub identifies: bool,
    /// Whether probes have such lines too.
    pub log_probes: bool,
    /// How log lines look.
    pub log_format: LogFormat,
    /// The least important log line.
    pub log_level: LogLevel,
    /// Where the last words of a failed exit go.
    pub termination_log: TerminationLog,
    /// Sentences to log as warnings at start.
    pub warnings: Vec<String>,
    /// What is consumed; `None` where requests are served.
    pub consumer: Option<ConsumerOptions>,
}

impl ConsumerOptions {
    /// The broker's address, as in log lines: `host:5672/vhost`.
    pub fn broker(&self) -> String {
        format!("{}:{}/{}", self.host, self.port, self.vhost.trim_start_matches('/'))
    }
}

impl Config {
    /// Settles flags against each other and against the CPUs of `survey`, which must have been
    /// taken before any thread was pinned.
    ///
    /// # Errors
    /// When flags contradict each other.
    pub fn resolve(args: &Args, survey: &Survey) -> Result<Self, ConfigError> {
        let behaviour = args.compat.behaviour();
        let (workers, workers_reason) = behaviour.workers(args, survey);
        let workers_follow = args.workers == Workers::Auto && !behaviour.is_one_process;
        let pin_mode = match args.pin {
            Pin::Auto => PinMode::Auto,
            Pin::On => PinMode::On,
            Pin::Off => PinMode::Off,
        };
        let drain_delay = args.drain_delay.unwrap_or(if args.surroundings.kubernetes {
            DRAIN_DELAY_KUBERNETES
        } else {
            Duration::ZERO
        });
        let connections_fit = connections_that_fit(open_files_max(), args.tls.tls_cert.is_some());
        let own = [args.limits.warning(connections_fit), stop_warning(args, drain_delay)];
        let warnings = [&args.surroundings.warnings[..], &survey.remarks].concat();
        let warnings = warnings.into_iter().chain(own.into_iter().flatten()).collect();
        Ok(Self {
            host: args.host.clone(),
            port: args.port,
            uds: args.uds.clone(),
            uds_mode: args.uds_mode,
            // A variable that is set to nothing asks for nothing.
            user: args.user.clone().filter(|user| !user.is_empty()),
            group: args.group.clone().filter(|group| !group.is_empty()),
            probe_port: probe_port(args)?,
            paths: probe_paths(args)?,
            metrics_extended: args.metrics.metrics_extended,
            webhook: webhook(args),
            application_version: args.surroundings.application_version.clone(),
            workers,
            workers_reason,
            survey: survey.clone(),
            workers_follow,
            // A reload may bring another number also where none is followed.
            workers_max: workers_max(survey).max(workers),
            threads: behaviour.threads(args, survey),
            pin_mode,
            pin: pin_plan(pin_mode, survey, workers),
            io: io_choice(args.io),
            verdict: verdict_limits(args),
            drain_delay,
            grace_period: args.grace_period,
            recycling: recycling(args),
            reload_timeout: args.reload_timeout,
            backlog: args.backlog,
            limits: Limits {
                dialect: behaviour.dialect,
                ..args.limits.limits(args.queue_size, connections_fit)
            },
            connections_fit,
            mounts: args.files.mounts(),
            proxies: args.proxies.proxies(),
            tls: args.tls.load()?,
            check_interval: args.check_interval,
            check_timeout: args.check_timeout,
            compat: args.compat,
            behaviour: args.compat.behaviour(),
            access_log: args.access_log,
            identifies: !args.no_request_id && args.compat.behaviour().identifies,
            log_probes: args.log_probes,
            log_format: args.log_format,
            log_level: args.log_level,
            termination_log: TerminationLog::at(args.termination_log.clone()),
            warnings,
            consumer: None,
        })
    }

    /// Whether `/metrics` is there to be asked.
    pub fn has_metrics(&self) -> bool {
        self.paths.metrics.is_some() && self.probe_port != ProbePort::Off
    }

    /// The mounts whose files only the application hands out.
    pub fn sendfile_mounts(&self) -> Vec<Mount> {
        let handed_out = |mount: &&Mount| mount.audience == Audience::Application;
        self.mounts.iter().filter(handed_out).cloned().collect()
    }

    /// The same for a consumer: one worker that listens nowhere. Its messages are in the broker's
    /// hands, so there is nothing to wait for before it stops to take them.
    ///
    /// # Errors
    /// When flags contradict each other, or no broker is named.
    pub fn resolve_consumer(consume: &Consume, survey: &Survey) -> Result<Self, ConfigError> {
        let Consume { consumer, args, development } = consume;
        let host = consumer.amqp_host.clone().filter(|host| !host.is_empty());
        let options = ConsumerOptions {
            queue: consumer.queue.clone(),
            exchange: consumer.exchange.clone(),
            host: host.ok_or(ConfigError::NoBroker { what: "host" })?,
            port: consumer.amqp_port.ok_or(ConfigError::NoBroker { what: "port" })?,
            vhost: consumer.amqp_vhost.clone(),
            reconnect: consumer.reconnect,
            redeliveries_max: consumer.max_redeliveries,
        };
        let args = Args {
            workers: Workers::Count(NonZeroUsize::MIN),
            threads: 1,
            pin: Pin::Off,
            io: Io::Epoll,
            drain_delay: Some(Duration::ZERO),
            request_timeout: consumer.message_timeout,
            // The port that the probes' default follows is nobody's.
            probe_port: Some(args.probe_port.unwrap_or(CONSUMER_PROBE_PORT)),
            port: 0,
            ..args.clone()
        };
        let mut config = Self::resolve(&args, survey)?;
        config.verdict.wording.is_full = development.debug;
        Ok(Self { workers_max: NonZeroUsize::MIN, consumer: Some(options), ..config })
    }

    /// The CPU quotas that count as those of the server's start, in thousandths.
    pub(crate) fn quotas(&self) -> Vec<u64> {
        let is_quota = |bound: &&Bound| matches!(bound.origin, Origin::Quota { .. });
        self.survey.limits.iter().filter(is_quota).map(|bound| bound.cpus.0).collect()
    }

    /// The server has started under these quotas, and has read its flags and limits again since.
    pub(crate) fn started_under(&mut self, quotas: &[u64]) {
        let now = self.survey.clone();
        self.survey.limits.retain(|bound| !matches!(bound.origin, Origin::Quota { .. }));
        self.survey.limits.extend(quotas.iter().map(|cpus| Bound {
            cpus: MilliCpus(*cpus),
            origin: Origin::Quota { cgroup: "/".to_owned(), version: CgroupVersion::V2 },
        }));
        if self.workers_follow {
            let now = now.after(&self.survey);
            let counted = worker_count(&now);
            self.workers = counted.workers.min(WORKERS_MAX);
            self.workers_reason = counted.reason;
            self.pin = pin_plan(self.pin_mode, &now, self.workers);
        }
    }
}

/// The node has no more CPUs than it has online; a limit cannot give us others.
fn workers_max(survey: &Survey) -> NonZeroUsize {
    let online = survey.online.as_ref().map_or(0, CpuSet::len);
    let cpus = NonZeroUsize::new(online.max(survey.affinity.len()));
    cpus.unwrap_or(NonZeroUsize::MIN).min(WORKERS_MAX)
}

fn io_choice(io: Io) -> IoChoice {
    match io {
        Io::Auto => IoChoice::Auto,
        Io::IoUring => IoChoice::IoUring,
        Io::Epoll => IoChoice::Epoll,
    }
}

fn recycling(args: &Args) -> Recycling {
    Recycling {
        requests: Some(args.max_worker_requests as u64).filter(|requests| *requests > 0),
        lifetime: Some(args.max_worker_lifetime).filter(|lifetime| !lifetime.is_zero()),
        worker_memory: args.max_worker_memory,
        server_memory: Some(args.max_memory).filter(|bytes| *bytes > 0),
    }
}

fn probe_port(args: &Args) -> Result<ProbePort, ConfigError> {
    match args.probe_port {
        _ if args.no_probe => Ok(ProbePort::Off),
        // Two ports that the kernel chooses are two ports.
        Some(port) if port == args.port && port != 0 && args.uds.is_none() => {
            match (args.proxies.proxy_protocol, &args.tls.tls_cert) {
                (true, _) => Err(ConfigError::ProbesBehindProxyProtocol),
                (false, Some(_)) => Err(ConfigError::ProbesOverTls),
                (false, None) => Ok(ProbePort::Integrated),
            }
        }
        Some(port) => Ok(ProbePort::Own(port)),
        None if args.port == 0 => Ok(ProbePort::Own(0)),
        None => args.port.checked_add(1).map(ProbePort::Own).ok_or(ConfigError::NoNextPort),
    }
}

fn probe_paths(args: &Args) -> Result<ProbePaths, ConfigError> {
    let behaviour = args.compat.behaviour();
    let metrics = (!args.metrics.no_metrics).then_some(&args.metrics.metrics.tidied);
    let mut named = vec![
        ("--liveness-probe", &args.liveness_probe),
        ("--readiness-probe", &args.readiness_probe),
        ("--startup-probe", &args.startup_probe),
        ("--status-path", &args.status_path),
        ("--server-metrics", &args.metrics.server_metrics),
    ];
    named.extend(metrics.map(|metrics| ("--metrics", metrics)));
    for (index, (second, path)) in named.iter().enumerate() {
        if let Some((first, _)) = named[..index].iter().find(|(_, earlier)| earlier == path) {
            return Err(ConfigError::SamePath { first, second, path: (*path).clone() });
        }
    }
    let wanted = [&args.startup_probe, &args.readiness_probe, &args.liveness_probe];
    let patterns = match behaviour.has_patterns {
        true => Some(Patterns::new(wanted.map(String::as_str))?),
        false => None,
    };
    Ok(ProbePaths {
        startup: args.startup_probe.clone(),
        readiness: args.readiness_probe.clone(),
        liveness: args.liveness_probe.clone(),
        status: args.status_path.clone(),
        server_metrics: args.metrics.server_metrics.clone(),
        metrics: metrics.map(|_| match behaviour.has_patterns {
            true => args.metrics.metrics.typed.clone(),
            false => args.metrics.metrics.tidied.clone(),
        }),
        patterns,
    })
}

pub(crate) fn webhook(args: &Args) -> Option<WebhookOptions> {
    let behaviour = args.compat.behaviour();
    // A pod's host name is its name.
    let podname = || gethostname().unwrap_or_default().to_string_lossy().into_owned();
    args.webhook_url.clone().map(|url| WebhookOptions {
        url: if behaviour.shows_webhook_url { url.shown_in_full() } else { url },
        podname: podname(),
        version: args.surroundings.application_version.clone(),
        attempts_max: behaviour.webhook_attempts_max,
    })
}

fn verdict_limits(args: &Args) -> VerdictLimits {
    let behaviour = args.compat.behaviour();
    let is_counted = !(behaviour.counts_by_metrics && args.metrics.no_metrics);
    let lifetime = Some(args.max_lifetime as u64).filter(|requests| *requests > 0 && is_counted);
    VerdictLimits {
        heartbeat_timeout: args.heartbeat_timeout,
        request_timeout: args.request_timeout,
        req_queue_len: args.req_queue_len,
        drain_readiness: match args.drain_readiness {
            DrainReadinessValue::Serving => DrainReadiness::Serving,
            DrainReadinessValue::Failing => DrainReadiness::Failing,
        },
        requests_max: lifetime,
        wording: Wording { is_bare: behaviour.is_bare, is_full: false },
        tells_pace: !args.metrics.no_metrics,
        manners: behaviour.manners,
    }
}

fn stop_warning(args: &Args, drain_delay: Duration) -> Option<String> {
    let allowed = args.termination_grace_period?;
    let needed = drain_delay + args.grace_period + STOP_MARGIN;
    (needed > allowed).then(|| {
        format!(
            "--drain-delay {drain_delay:?} and --grace-period {:?} with {STOP_MARGIN:?} to end \
             exceed terminationGracePeriodSeconds {allowed:?}: requests may be killed; raise it \
             or lower --grace-period",
            args.grace_period
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use hurricane_cpu::Root;

    fn args(argv: &[&str]) -> Args {
        Args::try_parse_from(std::iter::once(&"test").chain(argv)).unwrap()
    }

    fn resolved(argv: &[&str]) -> Config {
        Config::resolve(&args(argv), &survey()).unwrap()
    }

    fn survey() -> Survey {
        Survey::take(&Root::host(), hurricane_cpu::affinity_mask(), |_| None)
    }

    #[test]
    fn the_probe_port_follows_the_port() {
        for (argv, expected) in [
            (&["--port", "9000"][..], ProbePort::Own(9001)),
            (&["--port", "0"], ProbePort::Own(0)),
            (&["--port", "0", "--probe-port", "0"], ProbePort::Own(0)),
            (&["--port", "9000", "--probe-port", "9000"], ProbePort::Integrated),
            (&["--port", "9000", "--probe-port", "0"], ProbePort::Own(0)),
            (&["--no-probe"], ProbePort::Off),
            (&["--uds", "/run/a.sock", "--port", "9", "--probe-port", "9"], ProbePort::Own(9)),
        ] {
            assert_eq!(resolved(argv).probe_port, expected, "{argv:?}");
        }
        let error = Config::resolve(&args(&["--port", "65535"]), &survey()).unwrap_err();
        assert_eq!(error, ConfigError::NoNextPort);
    }

    #[test]
    fn probes_do_not_come_through_a_load_balancer() {
        let argv = ["--port=9000", "--probe-port=9000", "--proxy-protocol"];
        let error = Config::resolve(&args(&argv), &survey()).unwrap_err();
        assert_eq!(error, ConfigError::ProbesBehindProxyProtocol);
        assert!(resolved(&argv[2..]).proxies.has_header);
    }

    #[test]
    fn an_empty_list_of_proxies_is_none() {
        assert!(resolved(&["--forwarded-allow-ips", ""]).proxies.trusted.is_none());
        assert!(resolved(&["--forwarded-allow-ips", "10.0.0.0/8"]).proxies.trusted.is_some());
    }

    #[test]
    fn probes_need_paths_of_their_own() {
        let error = Config::resolve(&args(&["--startup-probe", "/alive"]), &survey()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--liveness-probe and --startup-probe are both /alive; every probe needs a path of \
             its own"
        );
    }

    #[test]
    fn draining_is_delayed_in_kubernetes_only() {
        assert_eq!(resolved(&[]).drain_delay, Duration::ZERO);
        let mut in_pod = args(&[]);
        in_pod.surroundings.kubernetes = true;
        assert_eq!(
            Config::resolve(&in_pod, &survey()).unwrap().drain_delay,
            DRAIN_DELAY_KUBERNETES
        );
        in_pod.drain_delay = Some(Duration::ZERO);
        assert_eq!(Config::resolve(&in_pod, &survey()).unwrap().drain_delay, Duration::ZERO);
    }

    #[test]
    fn a_stop_that_does_not_fit_the_pod_is_warned_of() {
        let fits = ["--termination-grace-period", "30", "--drain-delay", "3"];
        assert!(resolved(&fits).warnings.is_empty());
        let exceeds = ["--termination-grace-period", "30", "--drain-delay", "10"];
        assert_eq!(resolved(&exceeds).warnings.len(), 1);
    }

    #[test]
    fn a_reload_goes_on_under_the_quotas_of_the_start() {
        let variable = |name: &str| (name == "HURRICANE_CPU_LIMIT").then(|| "1".to_owned());
        let cpus = CpuSet::from_iter(0..8);
        let survey = Survey::take(&Root::new("/nonexistent"), cpus, variable);
        let mut config = Config::resolve(&args(&[]), &survey).unwrap();
        assert_eq!((config.workers.get(), config.quotas()), (1, vec![]));
        // The variable repeats the quota of the start, which is gone by now.
        config.started_under(&[1000]);
        assert_eq!((config.workers.get(), config.quotas()), (8, vec![1000]));
    }

    #[test]
    fn webhooks_carry_the_pods_name_and_the_applications_version() {
        assert!(resolved(&[]).webhook.is_none());
        let mut args = args(&["--webhook-url", "http://hooks/x"]);
        args.surroundings.application_version = Some("1.2".into());
        let webhook = Config::resolve(&args, &survey()).unwrap().webhook.unwrap();
        assert_eq!(webhook.url.to_string(), "http://hooks/…");
        assert_eq!(webhook.version.as_deref(), Some("1.2"));
        assert!(!webhook.podname.is_empty());
    }

    #[test]
    fn a_lifetime_of_zero_has_no_end() {
        assert_eq!(resolved(&[]).verdict.requests_max, None);
        assert_eq!(resolved(&["--max-lifetime", "7"]).verdict.requests_max, Some(7));
    }

    #[test]
    fn a_consumer_listens_for_probes_only_and_needs_a_broker() {
        let consume = |argv: &[&str]| {
            let argv = std::iter::once(&"test").chain(argv);
            let argv: Vec<_> = argv.map(std::ffi::OsString::from).collect();
            Config::resolve_consumer(&crate::usage::consumer(&argv, &[]).unwrap(), &survey())
        };
        let broker = ["--amqp-host=b", "--amqp-port=5672", "--message-timeout=9"];
        let config = consume(&broker).unwrap();
        assert_eq!(config.probe_port, ProbePort::Own(8001));
        assert_eq!((config.workers.get(), config.workers_max.get()), (1, 1));
        assert_eq!(config.verdict.request_timeout, Duration::from_secs(9));
        let options = config.consumer.unwrap();
        assert_eq!((options.vhost.as_str(), options.redeliveries_max), ("/", 1));
        let error = consume(&broker[..1]).unwrap_err().to_string();
        assert!(error.starts_with("The amqp port must not be empty: set AMQP_PORT"), "{error}");
        assert_eq!(consume(&["--amqp-host="]).unwrap_err(), ConfigError::NoBroker { what: "host" });
    }

    #[test]
    fn limits_come_from_flags() {
        let config = resolved(&["--max-buffer-size", "2k"]);
        assert_eq!(
            (config.limits.head_bytes_max, config.limits.body_memory_bytes_max),
            (2048, 2048)
        );
        let ours = Limits::default();
        assert_eq!(resolved(&[]).limits.head_bytes_max, ours.head_bytes_max);
        assert_eq!(resolved(&[]).limits.body_memory_bytes_max, ours.body_memory_bytes_max);
        let config = resolved(&["--max-body-size", "1k", "--queue-size", "7", "--workers", "3"]);
        assert_eq!(config.limits.body_bytes_max, 1024);
        assert_eq!(config.limits.queue_len_max, 7);
        assert_eq!((config.workers.get(), config.workers_reason.as_str()), (3, "--workers"));
    }
}
