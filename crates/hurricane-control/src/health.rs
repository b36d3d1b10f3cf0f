//! The log of health changes: verdicts, looked at once a second, and check results. It also reads
//! the cgroup's numbers every few seconds.
//!
//! It has a thread of its own, because whoever reads our log may be slow, and neither a probe
//! nor the runner of the checks may wait for that.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use hurricane_cpu::Root;
use hurricane_scoreboard::{CheckStatus, Monotonic, Scoreboard};

use crate::error::ControlError;
use crate::host;
use crate::manners::Manners;
use crate::thread::spawn;
use crate::verdict::{self, Snapshot, Subject, Verdict, VerdictLimits};

/// The running log. Dropping it (and every [`Changes`]) ends it.
pub(crate) struct HealthLog {
    changes: Changes,
}

/// A check that has another result than before.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) name: String,
    pub(crate) from: CheckStatus,
    pub(crate) to: CheckStatus,
    pub(crate) message: String,
}

/// The way to the log.
#[derive(Clone)]
pub(crate) struct Changes(SyncSender<Change>);

impl Changes {
    /// Logs a change; when the log cannot keep up the line is lost, never the caller's time.
    pub(crate) fn tell(&self, change: Change) {
        let _ = self.0.try_send(change);
    }
}

const PERIOD: Duration = Duration::from_secs(1);
/// How often the cgroup is read, in periods.
const HOST_PERIODS: u64 = 5;
/// Every check can change twice before a line is lost.
const CHANGES_MAX: usize = 256;

impl HealthLog {
    pub(crate) fn start(board: Scoreboard, limits: VerdictLimits) -> Result<Self, ControlError> {
        let (changes, heard) = mpsc::sync_channel(CHANGES_MAX);
        spawn("health".into(), move || keep(&board, &limits, &heard))?;
        Ok(Self { changes: Changes(changes) })
    }

    pub(crate) fn changes(&self) -> Changes {
        self.changes.clone()
    }
}

fn keep(board: &Scoreboard, limits: &VerdictLimits, changes: &Receiver<Change>) {
    let (mut readiness, mut liveness) =
        (Watch::new("readiness", limits.manners), Watch::new("liveness", limits.manners));
    let mut due = Instant::now();
    let (root, mut looks) = (Root::host(), 0_u64);
    loop {
        match changes.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(change) if limits.manners.logs_checks => change.log(),
            Ok(_) => {}
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                due = Instant::now() + PERIOD;
                let snapshot = Snapshot::take(board, Monotonic::now());
                readiness.look(&verdict::readiness(&snapshot, limits));
                liveness.look(&verdict::liveness(&snapshot, limits));
                if looks.is_multiple_of(HOST_PERIODS) {
                    board.control().set_host(&host::read(&root));
                }
                looks += 1;
            }
        }
    }
}

impl Change {
    fn log(&self) {
        let Self { name, from, to, message } = self;
        let (from, to) = (from.as_str(), to.as_str());
        match self.to {
            CheckStatus::Passed | CheckStatus::Pending => {
                tracing::info!(check = name, from, to, "check has another result");
            }
            _ => tracing::warn!(check = name, from, to, message, "check has another result"),
        }
    }
}

/// One probe's verdict as it was last logged.
struct Watch {
    probe: &'static str,
    /// What fails it; numbers may change without being news. Starting is no news at the start.
    subjects: Vec<Subject>,
    /// Whether it is news that a check fails.
    logs_checks: bool,
}

impl Watch {
    fn new(probe: &'static str, manners: &Manners) -> Self {
        let logs_checks = manners.logs_checks;
        Self { probe, subjects: vec![Subject::Startup], logs_checks }
    }

    /// Logs the verdict if it fails for other reasons than before. Returns whether it did.
    fn look(&mut self, verdict: &Verdict) -> bool {
        let about = |verdict: &Verdict| -> Vec<Subject> {
            match verdict.reasons.iter().any(|reason| reason.subject == Subject::Startup) {
                true => vec![Subject::Startup],
                false => verdict.reasons.iter().map(|reason| reason.subject.clone()).collect(),
            }
        };
        let subjects = about(verdict);
        if subjects == self.subjects {
            return false;
        }
        let probe = self.probe;
        let expected = |subject: &Subject| matches!(subject, Subject::Startup | Subject::Phase);
        let is_of_checks = |subjects: &[Subject]| {
            subjects.iter().any(|subject| matches!(subject, Subject::Check(_)))
        };
        if !self.logs_checks && (is_of_checks(&subjects) || is_of_checks(&self.subjects)) {
            // Neither that they fail nor that they do not any more.
        } else if verdict.passes() {
            tracing::info!(probe, "probe succeeds");
        } else if subjects.iter().all(expected) {
            tracing::info!(probe, reasons = %verdict.body().replace('\n', "; "), "probe fails");
        } else {
            tracing::warn!(probe, reasons = %verdict.body().replace('\n', "; "), "probe fails");
        }
        self.subjects = subjects;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hurricane_scoreboard::{Phase, WorkerState};

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_change_is_news_once_and_the_start_is_none() {
        let limits = VerdictLimits::OF_TESTS;
        let board = Scoreboard::new(1).unwrap();
        let mut watch = Watch::new("readiness", &Manners::OURS);
        let mut look = |now| {
            let snapshot = Snapshot::take(&board, now);
            watch.look(&verdict::readiness(&snapshot, &limits))
        };
        assert!(!look(at(1)), "starting at the start");
        board.server().set_workers_target(1);
        let slot = board.slot(0).unwrap();
        slot.begin(at(1));
        assert!(!look(at(2)), "still starting");
        slot.beat(at(2));
        slot.set_state(WorkerState::Serving);
        board.server().set_startup_finished(at(2));
        board.server().set_phase(Phase::Serving);
        assert!(look(at(3)), "ready");
        assert!(!look(at(4)), "as ready as before");
        assert!(look(at(8)), "stalled");
        assert!(!look(at(9)), "as stalled as before, for longer");
        board.server().set_phase(Phase::Stopping);
        assert!(look(at(10)), "stopping as well");
        slot.beat(at(11));
        assert!(look(at(11)), "only stopping");
    }

    #[test]
    fn a_full_log_loses_lines_and_no_time() {
        let (changes, heard) = mpsc::sync_channel(1);
        let changes = Changes(changes);
        for _ in 0..10 {
            let (name, message) = ("db".to_owned(), String::new());
            let (from, to) = (CheckStatus::Passed, CheckStatus::Failed);
            changes.tell(Change { name, from, to, message });
        }
        assert_eq!(heard.try_iter().count(), 1);
    }
}
