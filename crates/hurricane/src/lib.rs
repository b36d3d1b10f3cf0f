//! An application server for Kubernetes: one core per worker, probes that tell the truth.
//!
//! A service brings a function from requests to responses, and gets workers (one per CPU that
//! the container has, each with a loop, a listener and connections of its own), probes on a port
//! of their own, checks in the background, a stop that loses no request, and all flags of
//! [`Args`].
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use hurricane::{Check, CheckOutcome, Config, Exit, Purpose, Response, Server, service};
//!
//! fn main() -> Exit {
//!     let config = match Config::from_command_line() {
//!         Ok(config) => config,
//!         Err(exit) => return exit,
//!     };
//!     let disk = Check {
//!         name: "disk".into(),
//!         purpose: Purpose::Readiness,
//!         interval: config.check_interval,
//!         timeout: config.check_timeout,
//!         run: Arc::new(|| CheckOutcome::Passed),
//!     };
//!     Server::new(config)
//!         .check(disk)
//!         .run(|_context| service(|_request| async { Response::text("hello") }))
//! }
//! ```
//!
//! A service in a language with a runtime of its own (Python) runs its workers as processes
//! instead: see [`Server::run_forked`].
//!
//! Invariants:
//! - Flags are defined once, in `cli`; nothing below [`Config`] sees them.
//! - The supervisor is one thread; in forked mode it starts no thread, ring or connection, so
//!   that it can fork at any time.
//! - A start that fails says why in one sentence, and exits with a code of [`exit`].

mod access;
pub mod announcement;
mod backoff;
mod behaviour;
mod child;
mod cli;
mod config;
mod consumer;
mod debugging;
mod development;
mod examination;
pub mod exit;
mod file_args;
mod healthcheck;
mod last_words;
mod launch;
mod limit_args;
mod listener;
mod loading;
mod logging;
mod metrics_args;
mod notify;
mod outlook;
mod page;
mod preparation_args;
mod privileges;
mod process;
mod proxy_args;
mod recycle;
mod reload;
mod server;
mod signal;
mod stop;
mod supervisor;
mod terminal;
mod termination;
mod usage;
mod values;
mod watch;

pub use access::{AccessLog, Handover, Heard, Line, Severity};
pub use cli::consumer::{Consume, ConsumerArgs, consumer_flags};
pub use cli::{Args, Flag, ProjectArgs, Surroundings, flags};
pub use config::{Config, ConfigError, ConsumerOptions, ProbePort};
pub use consumer::{Consumer, ConsumerEnd};
pub use debugging::DebuggingArgs;
pub use development::Development;
pub use examination::stacks::stack_signal;
pub use exit::Exit;
pub use file_args::{DirectoryMount, FileArgs, ProjectFileArgs, ProjectMount};
pub use last_words::last_words;
pub use launch::{ChildRole, Forking, Load, Preparation, Prepare, WorkerContext};
pub use limit_args::{Connections, LimitArgs};
pub use loading::{heed_signals, release_signals};
pub use logging::{ExtraLayer, Logging};
pub use metrics_args::MetricsArgs;
pub use notify::MANAGER_VARIABLES;
pub use page::{ProjectPart, Scrape};
pub use preparation_args::{DevelopmentArgs, PreparationArgs};
pub use proxy_args::{ForwardedHeaders, ProxyArgs, TlsArgs};
pub use recycle::{Recycling, WorkerMemory};
pub use reload::changes::{Place, Watched};
pub use reload::errand;
pub use reload::program::{Program, remember_origin};
pub use server::{Entrance, Server, keep};
pub use termination::TerminationLog;
pub use usage::{Asked, Compress, Refusal, Serve, console, consumer, parse, project};
pub use values::{
    AccessLogValue, Compat, DrainReadinessValue, Interface, Io, LogFormat, LogLevel,
    ManagementCommand, Pin, WORKERS_MAX, Workers,
};

pub use hurricane_control::{
    Check, CheckOutcome, OwnWebhooks, ProjectMetrics, Purpose, Tell, WebhookKind, WebhookOptions,
    WebhookStatus, WebhookUrl, post,
};
pub use hurricane_files::Mount;
pub use hurricane_http::{Answered, Application, Limits, Request, Response, Scheme, service};
pub use hurricane_scoreboard::Scoreboard;
pub use hurricane_worker::{stand_back, unsent_bytes};

/// The version of the server.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

impl Config {
    /// All that a native service does before it serves: reads command line and environment,
    /// counts CPUs, sets up logging. The command line may also be `healthcheck`: then a probe of
    /// the service that runs is asked.
    ///
    /// # Errors
    /// The exit code to end with; the sentence, help or version is printed already.
    pub fn from_command_line() -> Result<Self, Exit> {
        let argv: Vec<_> = std::env::args_os().collect();
        let args = usage::binary(&argv).map_err(|refusal| refusal.report())?;
        let config = Self::of_this_process(&args).map_err(|refusal| refusal.report())?;
        Logging::new(config.log_format, config.log_level).install();
        Ok(config)
    }

    /// Resolves flags against the CPUs of this process. Must be called before any thread is
    /// pinned.
    ///
    /// # Errors
    /// The sentence that says what is wrong.
    pub fn of_this_process(args: &Args) -> Result<Self, Refusal> {
        let survey = hurricane_cpu::Survey::of_this_process();
        Self::resolve(args, &survey).map_err(|error| Refusal::Usage(error.to_string()))
    }

    /// The same for a consumer of messages.
    ///
    /// # Errors
    /// When flags contradict each other, or no broker is named.
    pub fn of_this_consumer(consume: &Consume) -> Result<Self, ConfigError> {
        Self::resolve_consumer(consume, &hurricane_cpu::Survey::of_this_process())
    }
}
