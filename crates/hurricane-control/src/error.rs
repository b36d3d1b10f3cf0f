//! Why the control process does not start, or ends before it is told to.

use std::io;

use hurricane_scoreboard::CHECKS_MAX;

/// Why the control process cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// More checks than cells on the scoreboard.
    #[error("{count} checks are registered, at most {CHECKS_MAX} can be")]
    TooManyChecks {
        /// How many were registered.
        count: usize,
    },
    /// The kernel gave no thread (a process limit of the container, perhaps).
    #[error("cannot start the thread {name}")]
    Thread {
        /// The thread's name.
        name: String,
        /// The cause.
        source: io::Error,
    },
    /// Neither runtime could be made.
    #[error("cannot make the runtime of the control process")]
    Runtime(#[source] io::Error),
    /// A probe listener or the supervisor's socket was not accepted by the runtime.
    #[error("cannot use {what} in the control process")]
    Socket {
        /// Which socket.
        what: &'static str,
        /// The cause.
        source: io::Error,
    },
}
