//! Where log lines go and how they look.
//!
//! Lines go to stderr: `human`, one line of time, level, sentence and fields, coloured on a
//! terminal only (and never with `NO_COLOR`); or `json`, one flat object per line. `auto` is
//! `human`, wherever stderr goes, so that a line never looks different in a pod than on a desk.

use std::io::{IsTerminal, stderr};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt};

use crate::values::{LogFormat, LogLevel};

/// A further destination of events, such as Python's logging.
pub type ExtraLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// How to log.
pub struct Logging {
    /// How lines look.
    pub format: LogFormat,
    /// The least important line.
    pub level: LogLevel,
    /// Whether lines go to stderr. Without it only `extra` sees them.
    pub to_stderr: bool,
    /// A further destination.
    pub extra: Option<ExtraLayer>,
}

impl Logging {
    /// Lines on stderr, nothing else.
    pub fn new(format: LogFormat, level: LogLevel) -> Self {
        Self { format, level, to_stderr: true, extra: None }
    }

    /// Installs this for the whole process. False, and without effect, when the process has
    /// logging already.
    pub fn install(self) -> bool {
        let level = match self.level {
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Trace => LevelFilter::TRACE,
        };
        let lines = self.to_stderr.then(|| match self.format {
            LogFormat::Json => fmt::layer()
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .with_writer(stderr)
                .boxed(),
            LogFormat::Auto | LogFormat::Human => fmt::layer()
                .compact()
                .with_target(false)
                .with_ansi(stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
                .with_writer(stderr)
                .boxed(),
        });
        tracing_subscriber::registry().with(self.extra).with(lines).with(level).try_init().is_ok()
    }
}
