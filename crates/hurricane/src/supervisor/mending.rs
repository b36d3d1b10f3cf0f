//! Children that died are replaced, workers that cannot go on are killed.

use std::time::{Duration, Instant};

use hurricane_scoreboard::{Monotonic, Phase, Replaced, SlotReading};

use crate::child::{Child, Failure};
use crate::examination::Remains;
use crate::exit::Exit;
use crate::process::{self, How};
use crate::supervisor::seat::Placed;
use crate::supervisor::{End, Supervisor, TICK_MAX};
use crate::watch::{Judgement, judge};

/// What the control process may need, beyond the time of a check, to say that one takes too long.
const CHECKS_MARGIN: Duration = Duration::from_secs(2);

impl Supervisor<'_> {
    /// Takes note of children that have ended.
    pub(super) fn bury(&mut self) {
        if self.launcher.forks() {
            self.memory_kills.look();
            while let Some(ended) = process::reap() {
                let how = self.memory_kills.explain(ended.how);
                self.bury_process(ended.pid, how);
            }
            return;
        }
        if self.control.child.as_ref().is_some_and(Child::is_finished_thread) {
            self.bury_control(None);
        }
        let over = self.placed().filter(|placed| placed.child.is_finished_thread());
        let slots: Vec<usize> = over.map(|placed| placed.slot).collect();
        for slot in slots {
            self.bury_placed(slot, None);
        }
    }

    /// Of PID 1 this may also be an orphan of another process, which needs no more than that.
    fn bury_process(&mut self, pid: i32, how: How) {
        if self.reloading.pid() == Some(pid) {
            return self.reloading.bury_trial(how);
        }
        if self.control.child.as_ref().and_then(Child::pid) == Some(pid) {
            return self.bury_control(Some(how));
        }
        if self.preparation().and_then(Child::pid) == Some(pid) {
            return self.bury_preparation(how);
        }
        if self.developing.pid() == Some(pid) {
            return self.bury_collection(how);
        }
        let ended = self.placed().find(|placed| placed.child.pid() == Some(pid));
        if let Some(slot) = ended.map(|placed| placed.slot) {
            self.bury_placed(slot, Some(how));
            if matches!(how, How::Killed(_)) {
                self.developing.restore_terminal();
            }
        }
    }

    fn bury_placed(&mut self, slot: usize, how: Option<How>) {
        if let Some(at) = self.leaving.iter().position(|leaving| leaving.placed.slot == slot) {
            return self.bury_leaving(at, how);
        }
        let index = self.board.worker_of(slot);
        let is_it = |placed: &Option<Placed>| placed.as_ref().is_some_and(|it| it.slot == slot);
        let Some(seat) = self.seats.get(index) else { return };
        if is_it(&seat.successor) {
            self.bury_successor(index, how);
        } else if is_it(&seat.worker) {
            self.bury_worker(index, how);
        }
    }

    fn bury_control(&mut self, how: Option<How>) {
        let Some(child) = self.control.child.take() else { return };
        let failure = child.last_words();
        if self.stop.is_leaving() {
            return;
        }
        if self.control.ends_by.take().is_some() {
            self.control.due = Some(Instant::now());
            return;
        }
        let cause = cause_of(failure, how);
        let delay = self.control.backoff.died(child.lived());
        tracing::error!(cause, ?delay, "control process ended and is replaced");
        self.control.due = Some(Instant::now() + delay);
    }

    fn bury_worker(&mut self, index: usize, how: Option<How>) {
        let Some(Placed { slot, child }) = self.seats[index].worker.take() else { return };
        let failure = child.last_words();
        let Some(slot) = self.board.slot(slot) else { return };
        let reading = slot.read();
        let Remains { requests, stacks } = child.remains(slot, how);
        slot.vacate();
        self.seats[index].was_ready |= reading.has_started();
        let ended_well = failure.is_none() && how.is_none_or(|how| how == How::Exited(0));
        if ended_well && !self.stop.accepts() {
            return;
        }
        if self.ends_all(failure.as_ref()) {
            return;
        }
        let cause = cause_of(failure, how);
        let (pid, lived) = (child.pid(), child.lived());
        let (running, queued) = (reading.running, reading.queued);
        if !self.stop.accepts() {
            if !self.stop.was_cut() {
                tracing::error!(
                    worker = index,
                    pid,
                    cause,
                    running,
                    queued,
                    requests,
                    stacks,
                    "worker died while stopping"
                );
            }
            return;
        }
        let seat = &mut self.seats[index];
        self.board.server().add_replaced(seat.trouble.take().unwrap_or(Replaced::Died));
        if let Some(successor) = seat.successor.take() {
            tracing::error!(
                worker = index,
                pid,
                cause,
                ?lived,
                requests,
                stacks,
                "worker died; its successor is there"
            );
            self.board.set_current(successor.slot);
            seat.worker = Some(successor);
            seat.wanted = None;
            seat.lease = self.weighing.lease();
            return;
        }
        let delay = seat.backoff.died(lived);
        tracing::error!(
            worker = index,
            pid,
            cause,
            ?lived,
            running,
            queued,
            ?delay,
            requests,
            stacks,
            "worker died and is replaced"
        );
        self.seats[index].due = Some(Instant::now() + delay);
        self.give_up_if_hopeless(index, &cause);
    }

    /// Ends the server where no other start of a worker would go better; says whether it does.
    fn ends_all(&mut self, failure: Option<&Failure>) -> bool {
        match failure {
            Some(Failure::RingRefused(cause)) if !self.is_ready() => {
                tracing::error!("{cause}");
                self.fail(Exit::Failed, cause.clone());
            }
            Some(Failure::Disconnected(cause)) if self.stop.accepts() => {
                tracing::error!("{cause}");
                self.end_disconnected(cause.clone());
            }
            _ => return false,
        }
        true
    }

    /// Ends a consumer that has lost its broker and is not to wait for it: in order, because
    /// nothing is under way.
    fn end_disconnected(&mut self, reason: String) {
        if !self.is_ready() {
            return self.fail(self.config.behaviour.disconnected, reason);
        }
        let server = self.board.server();
        server.failure().set(&reason);
        server.set_phase(Phase::Stopping);
        self.verdict = Some(End { exit: self.config.behaviour.disconnected, reason });
        self.stop.ask(false);
    }

    /// Ends a server whose workers die before it was ever ready: no probe would ever succeed.
    pub(super) fn give_up_if_hopeless(&mut self, index: usize, cause: &str) {
        let seat = &self.seats[index];
        if seat.backoff.is_crash_loop() && !seat.was_ready && !self.is_ready() {
            tracing::error!(worker = index, cause, "giving up: a worker dies at every start");
            self.fail(Exit::CrashLoop, format!("worker {index} dies at every start: {cause}"));
        }
    }

    /// Starts what is due.
    pub(super) fn replace(&mut self) {
        if !self.reloading.has_application() {
            return;
        }
        let now = Instant::now();
        if self.control.due.is_some_and(|due| due <= now) {
            self.start_control();
        }
        for index in 0..self.seats.len() {
            let is_due = self.seats[index].due.is_some_and(|due| due <= now);
            if is_due && self.stop.accepts() && self.verdict.is_none() {
                self.start_worker(index);
            }
        }
    }

    /// Looks at every slot: is the server ready, is a worker to be replaced?
    pub(super) fn look(&mut self) {
        let (instant, now) = (Instant::now(), Monotonic::now());
        let timeout = self.config.verdict.heartbeat_timeout;
        if instant - self.last_look > TICK_MAX + timeout {
            // We were stopped or frozen, and everybody with us.
            self.amnesty = instant + timeout * 2;
        }
        self.last_look = instant;
        let slots = self.board.read_workers();
        if !self.is_ready()
            && !self.stop.has_begun()
            && slots.iter().all(SlotReading::has_started)
            && self.has_checked(instant)
        {
            self.board.server().set_startup_finished(now);
            self.board.server().set_phase(Phase::Serving);
            (self.on_ready)(self.board);
        }
        for seat in &mut self.seats {
            let Some(Placed { slot, child }) = &seat.worker else { continue };
            seat.was_ready |= self.board.slot(*slot).is_some_and(|slot| slot.read().has_started());
            seat.backoff.lives(child.lived());
        }
        // A worker that was added and does not come up takes nothing from those that serve.
        let mut admitted = self.seats.iter().take(self.admitted());
        let crash_loop = admitted.any(|seat| seat.backoff.is_crash_loop());
        self.board.server().set_crash_loop(crash_loop);
        // Nobody is killed who could not be replaced.
        if instant >= self.amnesty && self.stop.accepts() && self.reloading.has_application() {
            for index in 0..self.seats.len() {
                self.mend(index, now);
            }
        }
    }

    /// Whether every check has ended once, so that whoever reads that the server has started finds
    /// it ready. That is not waited for longer than a check may take.
    fn has_checked(&mut self, now: Instant) -> bool {
        let since = *self.served_since.get_or_insert(now);
        let longest = self.config.check_timeout + CHECKS_MARGIN;
        // Those that a probe runs have ended when it is answered.
        let is_asked = self.config.verdict.manners.asks_checks && self.control.listener.is_some();
        let is_decided = !self.control.wanted || is_asked || self.board.have_checks_ended();
        is_decided || now - since > longest
    }

    /// Kills a worker that cannot go on. It is replaced when its end is noted.
    fn mend(&mut self, index: usize, now: Monotonic) {
        let seat = &mut self.seats[index];
        let Some(Placed { slot, child }) = &mut seat.worker else { return };
        let Some(cells) = self.board.slot(*slot) else { return };
        let slot = cells.read();
        let judgement = judge(&slot, &self.config.verdict, now);
        let findings = child.examine(judgement, cells);
        let (reason, trouble, lasting) = match judgement {
            Judgement::Sound | Judgement::Suspicious { .. } => {
                seat.trouble = None;
                return;
            }
            Judgement::Stalled(lasting) => (Replaced::Stalled, "its loop is silent", lasting),
            Judgement::Stuck(lasting) => (Replaced::Stuck, "its threads make no progress", lasting),
        };
        let Some(findings) = findings else { return };
        if seat.trouble.replace(reason).is_some() {
            return;
        }
        let oldest = if slot.oldest.is_never() { now } else { slot.oldest };
        tracing::error!(
            worker = index,
            pid = child.pid(),
            trouble,
            ?lasting,
            cause = findings.cause,
            requests = findings.requests,
            running = slot.running,
            queued = slot.queued,
            connections = slot.connections,
            oldest_request = ?now.since(oldest),
            engine = slot.engine.as_str(),
            cpu = slot.pin,
            remedy = if child.pid().is_some() {
                "it is killed and replaced"
            } else {
                "none: a thread cannot be killed, liveness fails"
            },
            stacks = findings.stacks,
            "worker cannot go on"
        );
        child.pid().into_iter().for_each(process::end_at_once);
    }
}

/// Why a child ended, in a few words: what it said, else what the kernel says.
pub(super) fn cause_of(failure: Option<Failure>, how: Option<How>) -> String {
    match (failure, how) {
        (Some(failure), _) => failure.into_sentence(),
        (None, Some(how)) => how.to_string(),
        (None, None) => "returned without being told to".to_owned(),
    }
}
