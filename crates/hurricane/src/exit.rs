//! How the server ends, as every process manager sees it.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | stopped by a signal, every accepted request answered; also before the server had started |
//! | 1 | could not start: port taken, application does not load, io_uring demanded but refused; or a worker ended while a reload could not load code |
//! | 2 | a flag, setting or environment variable is wrong |
//! | 3 | workers died again and again before the server was ever ready |
//! | 4 | stopped, but the grace period ran out: requests, or a command before the start, were cut |
//! | 5 | a management command or a migration before the start failed |
//! | 6 | the message broker was lost, or could not be reached (`consume` without `--reconnect`) |
//! | 130 | ended at once by a second SIGINT |
//! | 131 | ended at once by SIGQUIT |
//! | 143 | ended at once by a second SIGTERM |

use std::process::{ExitCode, Termination};

/// The exit code of the server. See the table in the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Stopped by a signal, every accepted request answered.
    Clean = 0,
    /// Could not start.
    Failed = 1,
    /// A flag, setting or environment variable is wrong.
    Usage = 2,
    /// Workers died again and again before the server was ever ready.
    CrashLoop = 3,
    /// Stopped, but the grace period ran out and what still ran was cut.
    GraceExceeded = 4,
    /// What had to be done before the start failed.
    PreparationFailed = 5,
    /// The message broker was lost, or could not be reached.
    Disconnected = 6,
    /// Ended at once by a second SIGINT.
    Interrupted = 130,
    /// Ended at once by SIGQUIT.
    Quit = 131,
    /// Ended at once by a second SIGTERM.
    Terminated = 143,
}

impl Exit {
    /// The code itself.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}
