//! One worker at a time is replaced by a fresh one, without losing a request.
//!
//! A successor starts beside the worker, in the other slot of the scoreboard, and accepts from the
//! same listening socket. With its first heartbeat it becomes the current one, and the worker is
//! told to accept no more: what it has accepted it answers, closing each connection with its next
//! answer. A successor that does not come up costs nothing: the worker serves on.

use std::time::{Duration, Instant};

use hurricane_scoreboard::{Monotonic, Replaced, WorkerState};

use crate::child::Order;
use crate::examination::Remains;
use crate::process::{self, How};
use crate::supervisor::Supervisor;
use crate::supervisor::mending::cause_of;
use crate::supervisor::seat::{Leaving, Placed};
use crate::watch::{Judgement, judge};

/// How long a worker that has left for longer than the grace period may take to close idle
/// connections before it is killed.
const HURRY: Duration = Duration::from_secs(2);

impl Supervisor<'_> {
    /// Whether a worker starts or leaves while others serve.
    pub(super) fn is_rolling(&self) -> bool {
        !self.leaving.is_empty() || self.seats.iter().any(|seat| seat.successor.is_some())
    }

    /// Goes on with replacing workers.
    pub(super) fn roll(&mut self) {
        self.hurry_leaving();
        if self.stop.has_begun() || !self.is_ready() || self.verdict.is_some() {
            return;
        }
        if !self.reloading.has_application() {
            return;
        }
        self.end_leases();
        self.make_room();
        match self.seats.iter().position(|seat| seat.successor.is_some()) {
            Some(index) => self.hand_over_if_ready(index),
            None if self.reloading.has_passed() => {}
            None => self.start_next_successor(),
        }
    }

    /// Workers that have served long enough are to be replaced.
    fn end_leases(&mut self) {
        let memory_max = self.weighing.worker_memory_max();
        for seat in self.seats.iter_mut().filter(|seat| seat.wanted.is_none()) {
            let Some(Placed { slot, child }) = &seat.worker else { continue };
            let Some(slot) = self.board.slot(*slot) else { continue };
            seat.wanted = seat.lease.ended(&slot.read(), child.lived(), memory_max);
        }
    }

    /// At most a quarter of the workers leaves at a time: each may still have all its memory.
    fn start_next_successor(&mut self) {
        let is_crowded = self.leaving.len() >= (self.seats.len() / 4).max(1);
        if is_crowded && !self.developing.is_on() {
            return;
        }
        let now = Instant::now();
        let next = (0..self.seats.len()).find(|index| {
            let seat = &self.seats[*index];
            seat.wanted.is_some()
                && seat.worker.is_some()
                && seat.retry.is_none_or(|retry| retry <= now)
                && !self.has_leaving(self.board.other(*index))
        });
        let Some(index) = next else { return };
        match self.start_in(index, self.board.other(index)) {
            Ok(successor) => self.seats[index].successor = Some(successor),
            Err(error) => {
                tracing::error!(worker = index, %error, "could not start a successor");
                self.retry_later(index, Duration::ZERO);
            }
        }
    }

    fn retry_later(&mut self, index: usize, lived: Duration) {
        let seat = &mut self.seats[index];
        seat.retry = Some(Instant::now() + seat.succession.died(lived));
    }

    fn hand_over_if_ready(&mut self, index: usize) {
        let Some(successor) = &self.seats[index].successor else { return };
        let Some(slot) = self.board.slot(successor.slot) else { return };
        let slot = slot.read();
        if slot.has_started() && slot.state == WorkerState::Serving {
            return self.hand_over(index);
        }
        if let Judgement::Stalled(silence) = judge(&slot, &self.config.verdict, Monotonic::now()) {
            tracing::error!(
                worker = index,
                ?silence,
                "its successor does not come up and is killed"
            );
            successor.child.pid().into_iter().for_each(process::end_at_once);
        }
    }

    fn hand_over(&mut self, index: usize) {
        let seat = &mut self.seats[index];
        let Some(successor) = seat.successor.take() else { return };
        let pid = successor.child.pid();
        self.board.set_current(successor.slot);
        let replaced = seat.worker.replace(successor);
        let reason = seat.wanted.take();
        (seat.retry, seat.succession) = (None, Default::default());
        seat.lease = self.weighing.lease();
        if let Some(reason) = reason {
            self.board.server().add_replaced(reason);
        }
        let Some(old) = replaced else { return };
        let served = self.board.slot(old.slot).map(|slot| slot.read().served());
        tracing::info!(
            worker = index,
            pid,
            predecessor = old.child.pid(),
            reason = reason.map(Replaced::as_str),
            lived = ?old.child.lived(),
            served,
            "worker is replaced by a fresh one"
        );
        self.let_leave(old, Order::Retire);
    }

    /// From now on a worker only ends what it runs.
    pub(super) fn let_leave(&mut self, placed: Placed, order: Order) {
        if let Some(slot) = self.board.slot(placed.slot) {
            slot.retire();
        }
        placed.child.tell(order);
        if order == Order::Retire && self.developing.is_on() {
            // A browser would get the old code once more on a connection that it has kept.
            placed.child.tell(Order::CloseIdle);
        }
        let until = Instant::now() + self.config.grace_period;
        self.leaving.push(Leaving { placed, until, was_hurried: false });
    }

    /// Ends workers that leave for too long.
    fn hurry_leaving(&mut self) {
        let now = Instant::now();
        for leaving in self.leaving.iter_mut().filter(|leaving| leaving.until <= now) {
            let Placed { slot, child } = &leaving.placed;
            leaving.until = now + HURRY;
            if !std::mem::replace(&mut leaving.was_hurried, true) {
                // Idle connections may speak once more.
                child.tell(Order::Stop);
                continue;
            }
            let Some(slot) = self.board.slot(*slot) else { continue };
            let requests = child.remains(slot, None).requests;
            let slot = slot.read();
            tracing::warn!(
                pid = child.pid(),
                running = slot.running,
                queued = slot.queued,
                requests,
                "a worker that was replaced has not ended in the grace period; it is killed"
            );
            child.pid().into_iter().for_each(process::end_at_once);
        }
    }

    pub(super) fn bury_successor(&mut self, index: usize, how: Option<How>) {
        let Some(Placed { slot, child }) = self.seats[index].successor.take() else { return };
        let cause = cause_of(child.last_words(), how);
        if let Some(slot) = self.board.slot(slot) {
            slot.vacate();
        }
        if self.stop.has_begun() {
            return;
        }
        tracing::error!(
            worker = index,
            pid = child.pid(),
            cause,
            "a successor did not come up; the worker serves on"
        );
        self.retry_later(index, child.lived());
    }

    pub(super) fn bury_leaving(&mut self, at: usize, how: Option<How>) {
        let Leaving { placed: Placed { slot, child }, was_hurried, .. } = self.leaving.remove(at);
        let failure = child.last_words();
        let Some(slot) = self.board.slot(slot) else { return };
        let reading = slot.read();
        let Remains { requests, stacks } = child.remains(slot, how);
        slot.vacate();
        let ended_well = failure.is_none() && how.is_none_or(|how| how == How::Exited(0));
        if ended_well {
            tracing::debug!(pid = child.pid(), lived = ?child.lived(), "a replaced worker has ended");
        } else if !was_hurried {
            let cause = cause_of(failure, how);
            let (running, queued) = (reading.running, reading.queued);
            tracing::error!(
                pid = child.pid(),
                cause,
                running,
                queued,
                requests,
                stacks,
                "a leaving worker died"
            );
        }
    }
}
