//! New code for a running server.
//!
//! SIGHUP → a trial beside us loads everything → this process runs its program anew, which loads
//! it once more, finds what we left to it and goes on → workers are replaced one by one. Until a
//! trial has passed nothing has changed.
//!
//! Should loading fail in this process after all, it goes on without an application: its workers
//! serve on with the code that they have, and it tries again by itself. Only when one of them is
//! missing and new code still cannot be loaded, the server stops, as a stop is done.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use hurricane_scoreboard::Replaced;
use nix::sys::signal::Signal;

use crate::child::Order;
use crate::examination::stacks::StackFile;
use crate::exit::Exit;
use crate::notify;
use crate::process::{self, How};
use crate::reload::handover::{
    BoardNote, ChildNote, ControlNote, Handover, Kept, LeavingNote, Listening, Moment, PlacedNote,
    Received, SeatNote,
};
use crate::reload::image;
use crate::reload::program::Program;
use crate::reload::trial::Trial;
use crate::supervisor::seat::{Leaving, Placed};
use crate::supervisor::{ControlSeat, End, Seat, Supervisor};

/// How long a control process may take to end before its successor starts.
const CONTROL_TIME_MAX: Duration = Duration::from_secs(2);
/// Without an application: how long to wait before it is tried again.
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Where a reload is.
#[derive(Default)]
pub(super) struct Reloading {
    /// How to run our program anew; `None` where there is no code to load.
    program: Option<Program>,
    /// A reload was asked for that has not begun.
    asked: bool,
    trial: Option<Trial>,
    /// The trial has passed.
    passed: bool,
    /// Since when workers are replaced by ones with freshly loaded code.
    rolling: Option<Instant>,
    /// Without an application: how often it could not be loaded, and when it is tried again.
    keeping: Option<Keeping>,
}

struct Keeping {
    failures: u32,
    /// `None`: when something has changed.
    due: Option<Instant>,
}

impl Reloading {
    pub(super) fn new(program: Option<Program>) -> Self {
        Self { program, ..Self::default() }
    }

    /// Whether workers can be started.
    pub(super) fn has_application(&self) -> bool {
        self.keeping.is_none()
    }

    /// Whether this process is about to run its program anew: no worker may be half-way in.
    pub(super) fn has_passed(&self) -> bool {
        self.passed
    }

    /// Whether workers may come and go for their number.
    pub(super) fn lets_resize(&self) -> bool {
        self.has_application() && !self.passed
    }

    /// What a forked child lets go of.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// The process of a trial.
    pub(super) fn pid(&self) -> Option<i32> {
        self.trial.as_ref().map(Trial::pid)
    }

    /// Asks for one.
    pub(super) fn ask(&mut self) {
        self.asked = true;
    }

    pub(super) fn bury_trial(&mut self, how: How) {
        if let Some(trial) = &mut self.trial {
            trial.bury(how);
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        let is_due = |keeping: &Keeping| keeping.due.is_some_and(|due| due <= now);
        self.asked || self.keeping.as_ref().is_some_and(is_due)
    }
}

impl Supervisor<'_> {
    /// SIGHUP.
    pub(super) fn ask_to_reload(&mut self) {
        let signal = Signal::SIGHUP.as_str();
        if self.reloading.program.is_none() {
            tracing::info!(signal, "ignored: this service has no code to load; restart it");
            // Whoever asked waits for an answer.
            notify::reloading("there is no code to load");
            notify::ready("there is no code to load; a restart brings a new version");
        } else if self.stop.has_begun() {
            tracing::info!(signal, "ignored: the server is stopping");
        } else if !self.is_ready() && !self.developing.is_on() {
            tracing::info!(signal, "ignored: the server is still starting");
        } else {
            let is_busy = self.reloading.trial.is_some() || self.reloading.rolling.is_some();
            self.reloading.asked = true;
            tracing::info!(signal, after_this_one = is_busy, "new code is to be loaded");
            notify::reloading("loading new code");
        }
    }

    /// Goes on with a reload.
    pub(super) fn reload(&mut self) {
        let now = Instant::now();
        if self.stop.has_begun() {
            if let Some(trial) = self.reloading.trial.take() {
                trial.end();
            }
            self.reloading.passed = false;
            return;
        }
        self.hurry_control(now);
        self.note_end_of_rolling();
        if let Some(trial) = &mut self.reloading.trial {
            let Some(outcome) = trial.outcome(now) else { return };
            self.reloading.trial = None;
            match outcome {
                Ok(()) => self.reloading.passed = true,
                Err(cause) => self.refuse(&cause),
            }
        }
        if self.reloading.passed {
            self.go_over();
        } else if self.reloading.is_due(now) && self.may_begin() {
            if self.developing.is_on() {
                self.load_changes();
            } else {
                self.begin_trial();
            }
        }
    }

    /// One reload at a time; but one whose workers do not come up is ended by the next.
    fn may_begin(&self) -> bool {
        self.reloading.rolling.is_none() || self.seats.iter().any(|seat| seat.retry.is_some())
    }

    /// Whoever develops does without a trial.
    fn load_changes(&mut self) {
        if self.is_ready() && !self.developing.is_collecting() {
            self.reloading.asked = false;
            self.reloading.passed = true;
            self.go_over();
        }
    }

    fn begin_trial(&mut self) {
        self.reloading.asked = false;
        let Some(program) = &self.reloading.program else { return };
        match Trial::start(program, self.config.reload_timeout) {
            Ok(trial) => self.reloading.trial = Some(trial),
            Err(error) => self.refuse(&format!("it cannot be tried out: {error}")),
        }
    }

    fn refuse(&mut self, cause: &str) {
        self.board.server().add_failed_reload();
        tracing::error!(cause, "new code cannot be loaded; the old serves on");
        notify::ready("the old code serves: new code cannot be loaded");
        let Some(keeping) = &mut self.reloading.keeping else { return };
        keeping.failures = keeping.failures.saturating_add(1);
        if self.developing.is_on() {
            return;
        }
        keeping.due = Some(Instant::now() + retry_delay(keeping.failures));
        let is_missing = self.seats.iter().any(|seat| seat.worker.is_none());
        if is_missing || (self.control.wanted && self.control.child.is_none()) {
            tracing::error!("a process is missing and cannot be replaced: the server stops");
            let reason = format!("a process ended while new code could not be loaded: {cause}");
            self.verdict = Some(End { exit: Exit::Failed, reason });
            self.stop.ask(true);
        }
    }

    /// Runs our program anew in this process. Returns only when that cannot be done.
    fn go_over(&mut self) {
        if self.seats.iter().any(|seat| seat.successor.is_some()) {
            // It comes up, or not, in a moment.
            return;
        }
        self.reloading.passed = false;
        let Some(program) = self.reloading.program.clone() else { return };
        let error = match self.notes().and_then(|notes| notes.write()) {
            Ok(notes) => {
                tracing::info!("{}", self.loading_sentence());
                self.launcher.flush();
                let seats = self.seats.iter().filter_map(|seat| seat.listener.as_ref());
                let workers = self.placed().map(|placed| &placed.child);
                let of_children = workers.chain(&self.control.child).flat_map(|child| {
                    let stacks = child.stacks().map(StackFile::memory);
                    [child.orders().as_fd()].into_iter().chain(stacks)
                });
                let descriptors: Vec<_> = seats
                    .chain(&self.control.listener)
                    .map(AsFd::as_fd)
                    .chain(of_children)
                    .chain([self.board.memory(), notes.as_fd()])
                    .collect();
                let errand = format!("succeed={}", notes.as_raw_fd());
                self.watchdog.suspend(self.config.reload_timeout);
                let error = image::replace(&program, &errand, descriptors.into_iter());
                self.watchdog.resume();
                error
            }
            Err(error) => error,
        };
        self.refuse(&format!("the server's process cannot run it: {error}"));
    }

    fn loading_sentence(&self) -> &'static str {
        if self.developing.is_on() {
            "loading what has changed"
        } else {
            "new code has passed its trial; loading it"
        }
    }

    fn notes(&self) -> io::Result<Handover> {
        let threads = || io::Error::other("threads cannot be handed over");
        let placed = |placed: &Placed| {
            let child = ChildNote::of(&placed.child).ok_or_else(threads)?;
            io::Result::Ok(PlacedNote { slot: placed.slot, child })
        };
        let seat = |seat: &Seat| {
            let listener = seat.listener.as_ref().map(AsRawFd::as_raw_fd);
            let worker = seat.worker.as_ref().map(placed).transpose()?;
            let (backoff, was_ready) = (seat.backoff, seat.was_ready);
            io::Result::Ok(SeatNote { listener, worker, backoff, was_ready })
        };
        let leaving = |leaving: &Leaving| {
            let (until, was_hurried) = (Moment::of(leaving.until), leaving.was_hurried);
            io::Result::Ok(LeavingNote { placed: placed(&leaving.placed)?, until, was_hurried })
        };
        let control = ControlNote {
            wanted: self.control.wanted,
            listener: self.control.listener.as_ref().map(AsRawFd::as_raw_fd),
            child: self.control.child.as_ref().and_then(ChildNote::of),
            backoff: self.control.backoff,
        };
        Ok(Handover {
            listening: Listening::of(self.config, self.listeners),
            board: BoardNote::of(self.board),
            seats: self.seats.iter().map(seat).collect::<Result<_, _>>()?,
            leaving: self.leaving.iter().map(leaving).collect::<Result<_, _>>()?,
            control,
            quotas: self.config.quotas(),
            blocked: self.signals.blocked_before(),
            asked_again: self.reloading.asked,
            kept: Kept::of(self.config),
            developing: self.developing.note(),
            failed: None,
            failures: self.reloading.keeping.as_ref().map_or(0, |keeping| keeping.failures),
        })
    }

    /// Goes on with the children of the image before.
    pub(super) fn adopt(&mut self, received: &Received) -> io::Result<()> {
        let notes = &received.handover;
        for (note, seat) in notes.seats.iter().zip(&mut self.seats) {
            seat.worker = note.worker.as_ref().map(|it| place(it, received)).transpose()?;
            seat.backoff = note.backoff;
            seat.was_ready = note.was_ready;
            seat.lease = self.weighing.lease();
            seat.due = seat.worker.is_none().then(Instant::now);
        }
        for note in &notes.leaving {
            let (until, was_hurried) = (note.until.instant(), note.was_hurried);
            let placed = place(&note.placed, received)?;
            self.leaving.push(Leaving { placed, until, was_hurried });
        }
        let child = notes.control.child.as_ref();
        self.control.child = child.map(|note| received.child(note)).transpose()?;
        self.control.backoff = notes.control.backoff;
        if let Some(note) = &notes.developing {
            self.developing.adopt(note, self.launcher.has_application());
        }
        Ok(())
    }

    /// Brings the code that this image has loaded to every process.
    pub(super) fn begin_rolling(&mut self, asked_again: bool) {
        tracing::info!(workers = self.seats.len(), "new code is loaded; replacing workers");
        let (wanted, workers_max) = (self.config.workers.get(), self.board.workers());
        if wanted > workers_max {
            tracing::warn!(wanted, workers_max, "more workers than that need a restart");
        }
        self.board.server().workers_reason().set(&self.config.workers_reason);
        self.reloading.asked = asked_again;
        self.reloading.rolling = Some(Instant::now());
        for seat in self.seats.iter_mut().filter(|seat| seat.worker.is_some()) {
            seat.wanted = Some(Replaced::Reload);
        }
        // One after the other: the cells of the checks have one writer, and probes wait in the
        // queue of the listener for the moment in between.
        match &self.control.child {
            Some(child) => {
                child.tell(Order::Retire);
                self.control.ends_by = Some(Instant::now() + CONTROL_TIME_MAX);
            }
            None => self.start_control(),
        }
    }

    /// Goes on without an application.
    pub(super) fn begin_keeping(&mut self, notes: &Handover) {
        let retry = retry_delay(notes.failures);
        let due = (!self.developing.is_on()).then(|| Instant::now() + retry);
        self.reloading.keeping = Some(Keeping { failures: notes.failures, due });
        match &notes.failed {
            Some(cause) if self.developing.is_on() && self.developing.ends_without_code => {
                tracing::error!(cause, "the code cannot be loaded; the server ends");
                let reason = format!("changed code cannot be loaded: {cause}");
                self.verdict = Some(End { exit: Exit::Failed, reason });
                self.stop.ask(true);
            }
            Some(cause) if self.developing.is_on() => {
                self.board.server().add_failed_reload();
                tracing::error!(
                    cause,
                    "the code cannot be loaded; the old serves on, and the next change is waited for"
                );
            }
            Some(cause) => {
                self.board.server().add_failed_reload();
                tracing::error!(
                    cause,
                    ?retry,
                    "new code cannot be loaded although it has passed its trial; the old serves \
                     on, and it is tried again"
                );
            }
            None => tracing::info!("new code is not waited for"),
        }
    }

    fn hurry_control(&mut self, now: Instant) {
        let Some(child) = &self.control.child else { return };
        if self.control.ends_by.is_some_and(|by| by <= now) {
            child.pid().into_iter().for_each(process::end_at_once);
        }
    }

    fn note_end_of_rolling(&mut self) {
        let Some(since) = self.reloading.rolling else { return };
        let is_over = |seat: &Seat| {
            seat.worker.is_some()
                && seat.successor.is_none()
                && seat.wanted != Some(Replaced::Reload)
        };
        if self.seats.iter().all(is_over) && self.control.ends_by.is_none() {
            self.reloading.rolling = None;
            self.board.server().add_reload();
            let took = since.elapsed();
            tracing::info!(?took, "every worker runs the new code");
            self.tell_of_reload();
            notify::ready("every worker runs the new code");
        }
    }
}

fn retry_delay(failures: u32) -> Duration {
    (RETRY_MIN * 2_u32.pow(failures.clamp(1, 16) - 1)).min(RETRY_MAX)
}

fn place(note: &PlacedNote, received: &Received) -> io::Result<Placed> {
    Ok(Placed { slot: note.slot, child: received.child(&note.child)? })
}

impl Seat {
    /// The seats of the image before, still without their workers.
    pub(crate) fn all_of(received: &Received) -> io::Result<Vec<Self>> {
        let seats = received.handover.seats.iter();
        let seat = |note: &SeatNote| {
            let listener = note.listener.map(|number| received.descriptor(number)).transpose()?;
            Ok(Self::new(listener.map(Into::into)))
        };
        seats.map(seat).collect()
    }
}

impl ControlSeat {
    /// The same of the control process.
    pub(crate) fn of(received: &Received) -> io::Result<Self> {
        let note = &received.handover.control;
        let listener = note.listener.map(|number| received.descriptor(number)).transpose()?;
        Ok(Self::new(note.wanted, listener.map(Into::into)))
    }
}
