//! The access log: one line for each answer, written by the server itself (`native`) or handed to
//! the language that the application is written in (`handover`).
//!
//! Invariants:
//! - Whoever has answered never waits for a reader of the log. Lines for which there is no room are
//!   dropped; the caller is told, and counts them.
//! - A line holds printable ASCII only, whatever a peer has sent.

mod handover;
mod line;
mod native;

use std::sync::Arc;
use std::time::Duration;

pub use handover::{Handover, Heard};
pub use line::{Line, Severity};

use crate::access::native::Native;
use crate::config::Config;
use crate::values::{AccessLogValue, LogFormat};

/// Bytes of lines that may wait: some thousand lines, and a second of a busy worker.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// Where the lines of this process go. Made before the first fork; each process has queues and
/// threads of its own.
#[derive(Clone, Debug, Default)]
pub struct AccessLog(Option<Destination>);

#[derive(Clone, Debug)]
enum Destination {
    Native(Arc<Native>),
    Handover(Arc<Handover>),
}

impl AccessLog {
    /// What `--access-log` asks for. `handover`: whether there is somebody to hand lines to.
    pub fn new(config: &Config, handover: bool) -> Self {
        let native = || Destination::Native(Arc::new(Native::new(config)));
        Self(match config.access_log {
            AccessLogValue::Off => None,
            AccessLogValue::Native => Some(native()),
            // Who asks for JSON wants every line as JSON.
            AccessLogValue::Auto if config.log_format == LogFormat::Json => Some(native()),
            AccessLogValue::Auto | AccessLogValue::Python if handover => {
                Some(Destination::Handover(Arc::default()))
            }
            AccessLogValue::Auto | AccessLogValue::Python => None,
        })
    }

    /// Whether there is an access log at all.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a line about this status code would be seen by anybody.
    pub fn wants(&self, status: u16) -> bool {
        match &self.0 {
            None => false,
            Some(Destination::Native(native)) => native.wants(status),
            Some(Destination::Handover(handover)) => handover.wants(status),
        }
    }

    /// Takes a line; false when it had to be dropped.
    #[must_use]
    pub fn write(&self, line: Line) -> bool {
        match &self.0 {
            None => true,
            Some(Destination::Native(native)) => native.write(&line),
            Some(Destination::Handover(handover)) => handover.push(line),
        }
    }

    /// Who takes lines out again, where they are handed over.
    pub fn handover(&self) -> Option<&Arc<Handover>> {
        match &self.0 {
            Some(Destination::Handover(handover)) => Some(handover),
            _ => None,
        }
    }

    /// Waits until every line is written, for `patience` at most.
    pub fn flush(&self, patience: Duration) {
        match &self.0 {
            None => {}
            Some(Destination::Native(native)) => native.flush(patience),
            Some(Destination::Handover(handover)) => handover.flush(patience),
        }
    }
}
