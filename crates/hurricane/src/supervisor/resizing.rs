//! The number of workers follows the CPUs that we may use.
//!
//! Kubernetes changes the CPU limit of a running container (in-place resize), and nothing tells of
//! it, so the limits are read again every two seconds. A new worker's listener gets connections
//! only after its first heartbeat; one that is retired gets none from the moment that it is told.

use std::time::{Duration, Instant};

use hurricane_cpu::{PinPlan, Survey, pin_plan, worker_count};
use hurricane_scoreboard::{Replaced, WorkerState};

use crate::child::Order;
use crate::listener::steer::steer_to_first;
use crate::supervisor::seat::Placed;
use crate::supervisor::{Seat, Supervisor};

/// How often the limits are read: a change is to be followed within 5 s.
const SURVEY_INTERVAL: Duration = Duration::from_secs(2);

/// What follows the limits.
pub(super) struct Resizing {
    /// The next look at the limits.
    due: Instant,
    /// Where workers that are started are pinned.
    pub(super) pin: PinPlan,
}

impl Resizing {
    pub(super) fn new(pin: PinPlan) -> Self {
        Self { due: Instant::now() + SURVEY_INTERVAL, pin }
    }
}

impl Supervisor<'_> {
    /// How many seats' listeners get connections: the first ones, which probes ask for.
    pub(super) fn admitted(&self) -> usize {
        self.board.server().workers_target()
    }

    /// Adds or retires workers when the limits have changed.
    pub(super) fn resize(&mut self) {
        if self.stop.has_begun() || !self.is_ready() || !self.reloading.lets_resize() {
            return;
        }
        self.admit();
        // Without limits to follow, a reload may have brought another number.
        let workers_max = self.board.workers();
        let follows = self.config.workers_follow;
        if !follows && self.seats.len() == self.config.workers.get().min(workers_max) {
            return;
        }
        let now = Instant::now();
        if now < self.resizing.due {
            return;
        }
        self.resizing.due = now + SURVEY_INTERVAL;
        let survey = Survey::of_this_process().after(&self.config.survey);
        let (workers, because) = if follows {
            let counted = worker_count(&survey);
            (counted.workers, counted.reason)
        } else {
            (self.config.workers, self.config.workers_reason.clone())
        };
        let (from, to) = (self.seats.len(), workers.get().min(workers_max));
        if to == from || !self.may_resize(to) {
            return;
        }
        tracing::info!(from, to, because, "the number of workers changes");
        self.board.server().workers_reason().set(&because);
        self.resizing.pin = pin_plan(self.config.pin_mode, &survey, workers);
        if to > from {
            self.grow(to);
        } else {
            self.shrink(to);
        }
        self.pin_again();
    }

    /// Listeners count in the order in which they began to listen, so none may be opened while a
    /// retired one is still open; and a worker has to be there to empty its queue.
    fn may_resize(&self, to: usize) -> bool {
        let door_is_closed = |slot: usize| {
            let state = self.board.slot(slot).map(|slot| slot.read().state);
            matches!(state, None | Some(WorkerState::Vacant | WorkerState::Stopping))
        };
        let retired = self.leaving.iter().map(|leaving| leaving.placed.slot);
        let mut retired = retired.filter(|slot| self.board.worker_of(*slot) >= self.seats.len());
        // Seats past the admitted ones have no connections that could be lost.
        let mut going = self.seats.iter().take(self.admitted()).skip(to);
        retired.all(door_is_closed)
            && going.all(|seat| seat.worker.is_some() && seat.was_ready && seat.successor.is_none())
    }

    fn grow(&mut self, to: usize) {
        for index in self.seats.len()..to {
            self.steer(self.admitted());
            let Some(first) = self.seats.first().and_then(|seat| seat.listener.as_ref()) else {
                return;
            };
            match self.listeners.another(first) {
                Ok(listener) => {
                    self.seats.push(Seat::new(Some(listener)));
                    self.start_worker(index);
                }
                Err(error) => {
                    tracing::error!(%error, "no listener for another worker");
                    return;
                }
            }
        }
    }

    /// Lets workers that have had their first heartbeat have connections.
    fn admit(&mut self) {
        let ready = self.seats.iter().take_while(|seat| seat.was_ready).count();
        if ready > self.admitted() {
            self.board.server().set_workers_target(ready);
            self.steer(ready);
        }
    }

    fn shrink(&mut self, to: usize) {
        let admitted = self.admitted().min(to);
        self.board.server().set_workers_target(admitted);
        self.steer(admitted);
        for seat in self.seats.split_off(to) {
            if let Some(placed) = seat.worker {
                let order = if self.listeners.is_shared() { Order::Retire } else { Order::Leave };
                self.let_leave(placed, order);
            }
        }
    }

    fn steer(&self, count: usize) {
        if self.listeners.is_shared() {
            return;
        }
        let Some(listener) = self.seats.first().and_then(|seat| seat.listener.as_ref()) else {
            return;
        };
        if let Err(error) = steer_to_first(listener, count) {
            tracing::warn!(
                %error,
                "connections cannot be steered: some may be reset while a worker retires"
            );
        }
    }

    /// Workers that sit on other CPUs than the plan says are replaced.
    fn pin_again(&mut self) {
        for (index, seat) in self.seats.iter_mut().enumerate() {
            let Some(Placed { slot, .. }) = &seat.worker else { continue };
            let sits = self.board.slot(*slot).and_then(|slot| slot.read().pin);
            if seat.was_ready && sits != self.resizing.pin.cpu(index) && seat.wanted.is_none() {
                seat.wanted = Some(Replaced::Pin);
            }
        }
    }
}
