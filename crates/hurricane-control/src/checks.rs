//! Registered checks, run in the background, each on a thread of its own with a time limit.
//!
//! Invariants:
//! - One thread, the runner, writes the cells and keeps the time; it never runs a check, so a
//!   check that hangs delays nothing and nobody.
//! - No check runs while the server prepares: what it asks may be about to be made.
//! - A check has at most one run at a time. A run over its limit is reported at once, and its
//!   thread is left alone until it ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::time::{Duration, Instant};

use hurricane_scoreboard::{
    CHECKS_MAX, CheckCell, CheckReading, CheckStatus, Monotonic, Phase, Purpose, Scoreboard,
};

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::error::ControlError;
use crate::health::{Change, Changes, HealthLog};
use crate::thread::spawn;

/// A check, registered by the service or the application.
#[derive(Clone)]
pub struct Check {
    /// Names it in probe answers and logs.
    pub name: String,
    /// The probe that it decides.
    pub purpose: Purpose,
    /// From the begin of one run to the begin of the next.
    pub interval: Duration,
    /// A run that takes longer counts as failed.
    pub timeout: Duration,
    /// One run. May block, and call Python; a panic counts as failed.
    pub run: Arc<dyn Fn() -> CheckOutcome + Send + Sync>,
}

/// What one run of a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckOutcome {
    /// Nothing to say.
    Passed,
    /// A warning, which fails no probe.
    Warned(String),
    /// An error.
    Failed(String),
    /// An error that says the database cannot be reached.
    DatabaseFailed(String),
}

impl CheckOutcome {
    fn into_parts(self) -> (CheckStatus, String) {
        match self {
            Self::Passed => (CheckStatus::Passed, String::new()),
            Self::Warned(message) => (CheckStatus::Warned, message),
            Self::Failed(message) => (CheckStatus::Failed, message),
            Self::DatabaseFailed(message) => (CheckStatus::DatabaseFailed, message),
        }
    }
}

/// The shortest interval; keeps a check registered with zero from spinning.
const INTERVAL_MIN: Duration = Duration::from_millis(10);
/// Intervals and limits over a day are taken as a day, so that sums of them stay far from
/// overflow.
const INTERVAL_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Without checks the runner only waits to be stopped.
const IDLE_WAIT: Duration = Duration::from_secs(60);
/// How often the runner looks whether preparation is over.
const PREPARATION_TICK: Duration = Duration::from_millis(50);

/// The running checks. Dropping it stops them without waiting for a run.
pub(crate) struct Runner {
    events: Sender<Event>,
}

enum Event {
    Ended(Run),
    Asked(Purpose, oneshot::Sender<()>),
    Stop,
}

/// A run that has ended.
struct Run {
    index: usize,
    outcome: CheckOutcome,
    took: Duration,
}

impl Runner {
    /// Takes the cells in order of registration and starts the first run of every check, unless
    /// checks run only when somebody `asks`.
    pub(crate) fn start(
        checks: Vec<Check>,
        board: &Scoreboard,
        health: &HealthLog,
        asks: bool,
    ) -> Result<Self, ControlError> {
        if checks.len() > CHECKS_MAX {
            return Err(ControlError::TooManyChecks { count: checks.len() });
        }
        let (events, ended) = mpsc::channel();
        // Of an earlier control process, whose checks may have been others in another order.
        let earlier = board.read_checks();
        let mut tracks = Vec::with_capacity(checks.len());
        for (index, check) in checks.into_iter().enumerate() {
            let is_its =
                |last: &&CheckReading| last.name == check.name && last.purpose == check.purpose;
            let last = earlier.iter().find(is_its);
            let mut track = Track::start(index, check, last, board, events.clone())?;
            if asks {
                track.state = TrackState::Waiting { due: Instant::now() + track.interval };
            }
            tracks.push(track);
        }
        (tracks.len()..earlier.len()).filter_map(|i| board.check(i)).for_each(CheckCell::vacate);
        board.control().set_has_checks();
        let (board, changes) = (board.clone(), health.changes());
        spawn("checks".into(), move || keep_time(tracks, &board, &ended, &changes))?;
        Ok(Self { events })
    }
}

/// Has checks run for whoever asks, instead of every now and then.
#[derive(Clone)]
pub(crate) struct Asker {
    events: Sender<Event>,
    /// What the longest check may take.
    within: Duration,
}

/// What the runner may need to say that a check takes too long.
const ASKER_MARGIN: Duration = Duration::from_secs(1);

impl Asker {
    /// Returns when every check of that purpose has ended, or takes too long. Those who ask at the
    /// same time share a run.
    pub(crate) async fn ask(&self, purpose: Purpose) {
        let (tell, told) = oneshot::channel();
        if self.events.send(Event::Asked(purpose, tell)).is_ok() {
            let _ = timeout(self.within, told).await;
        }
    }
}

/// Somebody who has asked for results.
struct Waiting {
    /// Checks that have not ended since.
    indexes: Vec<usize>,
    /// Told, or dropped, when there are none.
    _tell: oneshot::Sender<()>,
}

impl Runner {
    /// The way to ask for results.
    pub(crate) fn asker(&self, within: Duration) -> Asker {
        Asker { events: self.events.clone(), within: within + ASKER_MARGIN }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        // The runner may be gone; then there is nothing to stop.
        let _ = self.events.send(Event::Stop);
    }
}

/// The runner: starts runs when they are due, records how they end or that they do not.
fn keep_time(
    mut tracks: Vec<Track>,
    board: &Scoreboard,
    ended: &Receiver<Event>,
    changes: &Changes,
) {
    let mut waiting: Vec<Waiting> = Vec::new();
    loop {
        let now = Instant::now();
        let wait = if board.server().phase() == Phase::Preparing {
            PREPARATION_TICK
        } else {
            let next = tracks.iter_mut().filter_map(|track| track.advance(now, board, changes));
            let next = next.min();
            next.map_or(IDLE_WAIT, |next| next.saturating_duration_since(Instant::now()))
        };
        for one in &mut waiting {
            one.indexes.retain(|index| tracks.get(*index).is_some_and(Track::is_awaited));
        }
        waiting.retain(|one| !one.indexes.is_empty());
        match ended.recv_timeout(wait) {
            Ok(Event::Ended(run)) => {
                if let Some(track) = tracks.get_mut(run.index) {
                    track.end(run, Instant::now(), board, changes);
                }
            }
            Ok(Event::Asked(purpose, tell)) if board.server().phase() != Phase::Preparing => {
                let asked = tracks.iter_mut().filter(|track| track.purpose == purpose);
                let indexes = asked.filter_map(|track| track.ask(Instant::now())).collect();
                waiting.push(Waiting { indexes, _tell: tell });
            }
            // Who asks too early hears at once that the start has not finished.
            Ok(Event::Asked(..)) | Err(RecvTimeoutError::Timeout) => {}
            Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// One check as the runner sees it.
struct Track {
    index: usize,
    name: String,
    purpose: Purpose,
    interval: Duration,
    timeout: Duration,
    /// Starts a run. Dropping it ends the check's thread, now or after its run.
    go: SyncSender<()>,
    state: TrackState,
    last: CheckStatus,
    /// Somebody waits for the result of its next run, or of the one that is under way.
    is_asked: bool,
}

enum TrackState {
    Waiting {
        due: Instant,
    },
    Running {
        began: Instant,
        /// Whether the limit has passed and was reported.
        overdue: bool,
    },
    /// The thread is gone.
    Lost,
}

impl Track {
    fn start(
        index: usize,
        check: Check,
        last: Option<&CheckReading>,
        board: &Scoreboard,
        events: Sender<Event>,
    ) -> Result<Self, ControlError> {
        let interval = check.interval.clamp(INTERVAL_MIN, INTERVAL_MAX);
        let timeout = check.timeout.min(INTERVAL_MAX);
        if let Some(cell) = board.check(index) {
            cell.begin_after(last, &check.name, check.purpose, interval * 3 + timeout);
        }
        let (go, gone) = mpsc::sync_channel(1);
        let run = check.run;
        spawn(format!("check-{index}"), move || run_on_demand(index, &*run, &gone, &events))?;
        let state = TrackState::Waiting { due: Instant::now() };
        let last = last.map_or(CheckStatus::Pending, |last| last.status);
        let (name, purpose) = (check.name, check.purpose);
        Ok(Self { index, name, purpose, interval, timeout, go, state, last, is_asked: false })
    }

    /// Somebody wants to know: a run begins, unless one is under way. Returns the index if its end
    /// is worth waiting for.
    fn ask(&mut self, now: Instant) -> Option<usize> {
        match &mut self.state {
            TrackState::Waiting { due } => *due = now,
            TrackState::Running { overdue: false, .. } => {}
            TrackState::Running { overdue: true, .. } | TrackState::Lost => return None,
        }
        self.is_asked = true;
        Some(self.index)
    }

    fn is_awaited(&self) -> bool {
        self.is_asked
    }

    /// Does what is due at `now` and returns the moment of the next thing; `None` when only the
    /// end of the run is awaited.
    fn advance(&mut self, now: Instant, board: &Scoreboard, changes: &Changes) -> Option<Instant> {
        match self.state {
            TrackState::Waiting { due } if due > now => Some(due),
            TrackState::Waiting { .. } if self.go.try_send(()).is_err() => {
                self.state = TrackState::Lost;
                let message = "the thread of this check is gone";
                self.record(CheckStatus::Failed, message, Duration::ZERO, board, changes);
                None
            }
            TrackState::Waiting { .. } => {
                self.state = TrackState::Running { began: now, overdue: false };
                Some(now + self.timeout)
            }
            TrackState::Running { overdue: true, .. } | TrackState::Lost => None,
            TrackState::Running { began, .. } if began + self.timeout > now => {
                Some(began + self.timeout)
            }
            TrackState::Running { began, .. } => {
                self.state = TrackState::Running { began, overdue: true };
                let message = format!("has not ended within {} s", self.timeout.as_secs_f64());
                self.record(CheckStatus::TimedOut, &message, now - began, board, changes);
                None
            }
        }
    }

    fn end(&mut self, run: Run, now: Instant, board: &Scoreboard, changes: &Changes) {
        let TrackState::Running { began, overdue } = self.state else { return };
        // At its interval; after a long run at once, with a breath in between.
        let due = (began + self.interval).max(now + self.interval / 10);
        self.state = TrackState::Waiting { due };
        let (status, message) = match run.outcome.into_parts() {
            (CheckStatus::Passed | CheckStatus::Warned, _)
                if overdue || run.took > self.timeout =>
            {
                let (took, limit) = (run.took.as_secs_f64(), self.timeout.as_secs_f64());
                (CheckStatus::TimedOut, format!("took {took:.1} s (limit {limit} s)"))
            }
            parts => parts,
        };
        self.record(status, &message, run.took, board, changes);
    }

    fn record(
        &mut self,
        status: CheckStatus,
        message: &str,
        took: Duration,
        board: &Scoreboard,
        changes: &Changes,
    ) {
        self.is_asked = false;
        if let Some(cell) = board.check(self.index) {
            cell.record(status, message, Monotonic::now(), took);
        }
        if status != self.last {
            let (name, message) = (self.name.clone(), message.to_owned());
            changes.tell(Change { name, from: self.last, to: status, message });
            self.last = status;
        }
    }
}

/// The body of a check's thread: a run for every word of the runner.
fn run_on_demand(
    index: usize,
    check: &(dyn Fn() -> CheckOutcome + Send + Sync),
    go: &Receiver<()>,
    events: &Sender<Event>,
) {
    while let Ok(()) = go.recv() {
        let began = Instant::now();
        // What a panic leaves behind is the check's own; the next run meets it as it is.
        let outcome = catch_unwind(AssertUnwindSafe(check))
            .unwrap_or_else(|panic| CheckOutcome::Failed(format!("panicked: {}", said(&*panic))));
        let run = Run { index, outcome, took: began.elapsed() };
        if events.send(Event::Ended(run)).is_err() {
            return;
        }
    }
}

/// The message of a panic.
fn said(panic: &(dyn std::any::Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    let formatted = || panic.downcast_ref::<String>().map(String::as_str);
    literal.or_else(formatted).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VerdictLimits;
    use hurricane_scoreboard::CheckReading;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const OVERDUE: &str = "has not ended within 0.1 s";

    /// A check whose runs end when the test sends their outcome; dropping the sender makes the
    /// run panic.
    fn scripted(outcomes: Receiver<CheckOutcome>) -> Check {
        let outcomes = Mutex::new(outcomes);
        Check {
            name: "scripted".into(),
            purpose: Purpose::Readiness,
            interval: Duration::from_millis(10),
            timeout: Duration::from_millis(100),
            run: Arc::new(move || outcomes.lock().unwrap().recv().expect("no outcome is left")),
        }
    }

    fn start(checks: Vec<Check>) -> (Runner, Scoreboard) {
        let board = Scoreboard::new(1).unwrap();
        (start_on(checks, &board), board)
    }

    fn start_on(checks: Vec<Check>, board: &Scoreboard) -> Runner {
        let limits = VerdictLimits::OF_TESTS;
        let health = HealthLog::start(board.clone(), limits).unwrap();
        Runner::start(checks, board, &health, false).unwrap()
    }

    /// Waits for a result. Its words too: a reader that meets a preempted writer gets none.
    fn wait_for(
        board: &Scoreboard,
        index: usize,
        status: CheckStatus,
        message: &str,
    ) -> CheckReading {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let reading = board.check(index).unwrap().read().unwrap();
            if reading.status == status && reading.message == message {
                return reading;
            }
            assert!(Instant::now() < deadline, "not {status:?} but {reading:?}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn outcomes_are_recorded_with_their_words() {
        let (script, outcomes) = mpsc::channel();
        let patient = Check { timeout: Duration::from_secs(60), ..scripted(outcomes) };
        let (_runner, board) = start(vec![patient]);
        for (outcome, status, message) in [
            (CheckOutcome::Passed, CheckStatus::Passed, ""),
            (CheckOutcome::Warned("old".into()), CheckStatus::Warned, "old"),
            (CheckOutcome::Failed("broken".into()), CheckStatus::Failed, "broken"),
            (CheckOutcome::DatabaseFailed("gone".into()), CheckStatus::DatabaseFailed, "gone"),
        ] {
            script.send(outcome).unwrap();
            wait_for(&board, 0, status, message);
        }
    }

    #[test]
    fn a_run_over_its_limit_is_reported_while_it_goes_on_and_the_check_recovers() {
        let (script, outcomes) = mpsc::channel();
        let (_runner, board) = start(vec![scripted(outcomes)]);
        let reading = wait_for(&board, 0, CheckStatus::TimedOut, OVERDUE);
        assert!(reading.duration >= Duration::from_millis(100));
        // The late run does not pass; the next, which has its answer ready, does.
        script.send(CheckOutcome::Passed).unwrap();
        script.send(CheckOutcome::Passed).unwrap();
        wait_for(&board, 0, CheckStatus::Passed, "");
    }

    #[test]
    fn a_late_run_that_fails_says_what_it_found() {
        let (script, outcomes) = mpsc::channel();
        let (_runner, board) = start(vec![scripted(outcomes)]);
        wait_for(&board, 0, CheckStatus::TimedOut, OVERDUE);
        script.send(CheckOutcome::Failed("disk is full".into())).unwrap();
        wait_for(&board, 0, CheckStatus::Failed, "disk is full");
    }

    #[test]
    fn a_check_never_has_two_runs_at_once() {
        let (release, held) = mpsc::channel::<()>();
        let held = Mutex::new(held);
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = runs.clone();
        let slow = Check {
            name: "slow".into(),
            purpose: Purpose::Readiness,
            interval: Duration::from_millis(10),
            timeout: Duration::from_millis(100),
            run: Arc::new(move || {
                counted.fetch_add(1, Ordering::SeqCst);
                let _ = held.lock().unwrap().recv();
                CheckOutcome::Passed
            }),
        };
        // Its neighbour runs on, and shows that intervals of the slow one have gone by.
        let turns = Arc::new(AtomicUsize::new(0));
        let turned = turns.clone();
        let brisk = Check {
            name: "brisk".into(),
            run: Arc::new(move || {
                turned.fetch_add(1, Ordering::SeqCst);
                CheckOutcome::Passed
            }),
            ..slow.clone()
        };
        let (_runner, board) = start(vec![slow, brisk]);
        wait_for(&board, 0, CheckStatus::TimedOut, OVERDUE);
        let before = turns.load(Ordering::SeqCst);
        let deadline = Instant::now() + Duration::from_secs(20);
        while turns.load(Ordering::SeqCst) < before + 5 {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        drop(release);
        wait_for(&board, 0, CheckStatus::Passed, "");
    }

    #[test]
    fn no_check_runs_while_the_server_prepares() {
        let board = Scoreboard::new(1).unwrap();
        board.server().set_phase(Phase::Preparing);
        let (script, outcomes) = mpsc::channel();
        script.send(CheckOutcome::Passed).unwrap();
        let _runner = start_on(vec![scripted(outcomes)], &board);
        let end = Instant::now() + PREPARATION_TICK * 3;
        while Instant::now() < end {
            assert_eq!(board.check(0).unwrap().read().unwrap().status, CheckStatus::Pending);
            std::thread::yield_now();
        }
        board.server().set_phase(Phase::Starting);
        wait_for(&board, 0, CheckStatus::Passed, "");
    }

    #[test]
    fn a_panic_is_a_failure_and_the_next_run_comes() {
        let runs = AtomicUsize::new(0);
        let check = Check {
            name: "panics".into(),
            purpose: Purpose::Liveness,
            interval: Duration::from_millis(200),
            timeout: Duration::from_secs(20),
            run: Arc::new(move || match runs.fetch_add(1, Ordering::SeqCst) {
                0 => panic!("no {}", "luck"),
                _ => CheckOutcome::Passed,
            }),
        };
        let (_runner, board) = start(vec![check]);
        wait_for(&board, 0, CheckStatus::Failed, "panicked: no luck");
        wait_for(&board, 0, CheckStatus::Passed, "");
    }

    #[test]
    fn dropping_the_runner_ends_its_threads_without_waiting_for_a_run() {
        let (script, outcomes) = mpsc::channel();
        let check = scripted(outcomes);
        let run = Arc::downgrade(&check.run);
        let (runner, board) = start(vec![check]);
        wait_for(&board, 0, CheckStatus::TimedOut, OVERDUE);
        drop(runner);
        // The run is still going on; when it ends its thread does.
        assert!(run.upgrade().is_some());
        script.send(CheckOutcome::Passed).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while run.upgrade().is_some() {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_successor_goes_on_from_the_last_results_of_the_checks_that_it_still_has() {
        let (script, outcomes) = mpsc::channel();
        let (dropped, none) = mpsc::channel();
        let kept = Check { timeout: Duration::from_secs(60), ..scripted(outcomes) };
        let former = Check { name: "former".into(), timeout: kept.timeout, ..scripted(none) };
        let (runner, board) = start(vec![former, kept.clone()]);
        script.send(CheckOutcome::Warned("slow".into())).unwrap();
        wait_for(&board, 1, CheckStatus::Warned, "slow");
        drop((runner, dropped));
        let _runner = start_on(vec![kept], &board);
        let checks = board.read_checks();
        let results: Vec<_> = checks.iter().map(|c| (c.name.as_str(), c.status)).collect();
        assert_eq!(results, [("scripted", CheckStatus::Warned)]);
    }

    #[test]
    fn more_checks_than_cells_are_refused() {
        let board = Scoreboard::new(1).unwrap();
        let (changes, limits) = (mpsc::channel().1, VerdictLimits::OF_TESTS);
        let health = HealthLog::start(board.clone(), limits).unwrap();
        let checks = vec![scripted(changes); CHECKS_MAX + 1];
        let refused = Runner::start(checks, &board, &health, false);
        assert!(matches!(refused, Err(ControlError::TooManyChecks { count: 129 })));
    }
}
