//! Results of registered checks, written by the control process, read by whoever answers probes.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::Monotonic;
use crate::sequence::Sequence;
use crate::text::Text;

/// Which probe a check decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// `/ready`
    Readiness = 0,
    /// `/alive`
    Liveness = 1,
}

impl Purpose {
    /// `readiness` or `liveness`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Readiness => "readiness",
            Self::Liveness => "liveness",
        }
    }
}

/// The last result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum CheckStatus {
    /// Has not ended once.
    Pending = 0,
    /// Nothing to say.
    Passed = 1,
    /// A warning, which fails no probe.
    Warned = 2,
    /// An error.
    Failed = 3,
    /// Did not end within its time limit.
    TimedOut = 4,
    /// An error that says the database cannot be reached.
    DatabaseFailed = 5,
}

impl CheckStatus {
    fn from_raw(raw: u32) -> Self {
        match raw {
            1 => Self::Passed,
            2 => Self::Warned,
            3 => Self::Failed,
            4 => Self::TimedOut,
            5 => Self::DatabaseFailed,
            _ => Self::Pending,
        }
    }

    /// Whether a probe may succeed with this result.
    pub fn passes(self) -> bool {
        matches!(self, Self::Passed | Self::Warned)
    }

    /// Lower-case name, as in `/status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Passed => "passed",
            Self::Warned => "warned",
            Self::Failed => "failed",
            Self::TimedOut => "timed-out",
            Self::DatabaseFailed => "database-failed",
        }
    }
}

const NAME_BYTES_MAX: usize = 128;
// A traceback of some frames fits, for those who debug.
const MESSAGE_BYTES_MAX: usize = 2048;

/// The cell of one check.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct CheckCell {
    sequence: Sequence,
    in_use: AtomicU32,
    purpose: AtomicU32,
    status: AtomicU32,
    finished_ns: AtomicU64,
    duration_ns: AtomicU64,
    stale_after_ns: AtomicU64,
    name: Text<NAME_BYTES_MAX>,
    message: Text<MESSAGE_BYTES_MAX>,
}

impl CheckCell {
    /// Names the check. `stale_after`: age at which a passed result no longer counts. Text over
    /// 128 bytes is cut.
    pub fn begin(&self, name: &str, purpose: Purpose, stale_after: Duration) {
        self.begin_after(None, name, purpose, stale_after);
    }

    /// As [`Self::begin`], but with the `last` result of this check, if it has one, so that it
    /// counts until the next, or until it is stale.
    pub fn begin_after(
        &self,
        last: Option<&CheckReading>,
        name: &str,
        purpose: Purpose,
        stale_after: Duration,
    ) {
        self.sequence.write(|| {
            self.name.store(name);
            self.purpose.store(purpose as u32, Ordering::Relaxed);
            self.stale_after_ns.store(nanos(stale_after), Ordering::Relaxed);
            self.in_use.store(1, Ordering::Relaxed);
            match last {
                Some(last) => self.store(last.status, &last.message, last.finished, last.duration),
                None => self.store(CheckStatus::Pending, "", Monotonic::NEVER, Duration::ZERO),
            }
        });
    }

    /// Leaves the cell without a check.
    pub fn vacate(&self) {
        self.sequence.write(|| self.in_use.store(0, Ordering::Relaxed));
    }

    /// Records a result. A message over 2 KiB is cut.
    pub fn record(
        &self,
        status: CheckStatus,
        message: &str,
        finished: Monotonic,
        duration: Duration,
    ) {
        self.sequence.write(|| self.store(status, message, finished, duration));
    }

    fn store(&self, status: CheckStatus, message: &str, finished: Monotonic, duration: Duration) {
        self.message.store(message);
        self.status.store(status as u32, Ordering::Relaxed);
        self.finished_ns.store(finished.as_nanos(), Ordering::Relaxed);
        self.duration_ns.store(nanos(duration), Ordering::Relaxed);
    }

    /// The last result; `None` when no check uses the cell.
    pub fn read(&self) -> Option<CheckReading> {
        let in_use = || self.in_use.load(Ordering::Relaxed) != 0;
        self.sequence.read(|| in_use().then(|| self.copy())).unwrap_or_else(|| {
            // Status and moments are right one by one, the message may be half of two.
            in_use().then(|| CheckReading { message: String::new(), ..self.copy() })
        })
    }

    fn copy(&self) -> CheckReading {
        CheckReading {
            name: self.name.load(),
            purpose: match self.purpose.load(Ordering::Relaxed) {
                1 => Purpose::Liveness,
                _ => Purpose::Readiness,
            },
            status: CheckStatus::from_raw(self.status.load(Ordering::Relaxed)),
            message: self.message.load(),
            finished: Monotonic::from_nanos(self.finished_ns.load(Ordering::Relaxed)),
            duration: Duration::from_nanos(self.duration_ns.load(Ordering::Relaxed)),
            stale_after: Duration::from_nanos(self.stale_after_ns.load(Ordering::Relaxed)),
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A copy of a check's cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReading {
    /// As registered, cut to 128 bytes.
    pub name: String,
    /// The probe that it decides.
    pub purpose: Purpose,
    /// Last result.
    pub status: CheckStatus,
    /// What the check said, cut to 2 KiB.
    pub message: String,
    /// When the last run ended; never while pending.
    pub finished: Monotonic,
    /// How long the last run took.
    pub duration: Duration,
    /// Age at which a passed result no longer counts.
    pub stale_after: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scoreboard;

    #[test]
    fn a_result_is_read_as_written_and_cut_at_a_character() {
        let board = Scoreboard::new(1).unwrap();
        let cell = board.check(0).unwrap();
        assert_eq!(cell.read(), None);
        cell.begin("db", Purpose::Readiness, Duration::from_secs(30));
        assert_eq!(cell.read().unwrap().status, CheckStatus::Pending);
        let long = "ä".repeat(1500);
        cell.record(CheckStatus::Failed, &long, Monotonic::from_nanos(7), Duration::from_millis(3));
        let reading = cell.read().unwrap();
        assert_eq!(reading.message, "ä".repeat(1024));
        assert_eq!(reading.duration, Duration::from_millis(3));
        assert!(!reading.status.passes());
    }

    #[test]
    fn a_check_that_goes_on_keeps_its_last_result() {
        let board = Scoreboard::new(1).unwrap();
        let cell = board.check(0).unwrap();
        cell.begin("db", Purpose::Readiness, Duration::from_secs(30));
        cell.record(CheckStatus::Warned, "slow", Monotonic::from_nanos(7), Duration::from_secs(1));
        let last = cell.read().unwrap();
        cell.begin_after(Some(&last), "db", Purpose::Readiness, Duration::from_secs(60));
        let expected = CheckReading { stale_after: Duration::from_secs(60), ..last };
        assert_eq!(cell.read().unwrap(), expected);
        cell.vacate();
        assert_eq!(cell.read(), None);
    }

    #[test]
    fn a_reader_never_sees_half_a_result() {
        let board = Scoreboard::new(1).unwrap();
        let cell = board.check(0).unwrap();
        cell.begin("torn", Purpose::Liveness, Duration::from_secs(1));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..20_000_u64 {
                    let text = if round % 2 == 0 { "aaaaaaaa" } else { "bbbbbbbbbbbbbbbb" };
                    cell.record(
                        CheckStatus::Passed,
                        text,
                        Monotonic::from_nanos(round),
                        Duration::ZERO,
                    );
                }
            });
            for _ in 0..20_000 {
                let message = cell.read().unwrap().message;
                assert!(
                    message.is_empty() || message == "a".repeat(8) || message == "b".repeat(16),
                    "torn: {message:?}"
                );
            }
        });
    }

    #[test]
    fn a_writer_killed_half_way_does_not_block_readers_or_its_successor() {
        let board = Scoreboard::new(1).unwrap();
        let cell = board.check(0).unwrap();
        cell.begin("killed", Purpose::Readiness, Duration::from_secs(1));
        cell.sequence.begin();
        assert_eq!(cell.read().unwrap().name, "killed");
        cell.record(CheckStatus::Passed, "", Monotonic::from_nanos(1), Duration::ZERO);
        assert_eq!(cell.read().unwrap().status, CheckStatus::Passed);
    }
}
