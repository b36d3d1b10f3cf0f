//! What workers weigh is measured in turn, and the limit that they are held to with it.

use std::time::{Duration, Instant};

use hurricane_cpu::{Root, memory_limit};
use hurricane_scoreboard::Replaced;

use crate::announcement::Announcement;
use crate::child::Child;
use crate::process;
use crate::recycle::{Lease, Recycling, memory_of};
use crate::supervisor::Supervisor;
use crate::supervisor::seat::Placed;

/// Every process is weighed once in this time. Reading the page tables of a large process takes
/// milliseconds.
const ROUND: Duration = Duration::from_secs(5);

const MIB: u64 = 1 << 20;

/// The round of weighing.
pub(super) struct Weighing {
    recycling: Recycling,
    /// The next measurement.
    due: Instant,
    /// The seat that is next; past the last one a new round begins.
    next: usize,
    /// Bytes of the processes that are not workers.
    rest: u64,
    worker_memory_max: Option<u64>,
    /// How often the server has grown over `--max-memory`.
    exceeded: u64,
}

impl Weighing {
    pub(super) fn new(recycling: Recycling, now: Instant) -> Self {
        Self {
            recycling,
            due: now,
            next: usize::MAX,
            rest: 0,
            worker_memory_max: None,
            exceeded: 0,
        }
    }

    /// As of the last round.
    pub(super) fn worker_memory_max(&self) -> Option<u64> {
        self.worker_memory_max
    }

    /// The lease of a worker that starts now.
    pub(super) fn lease(&self) -> Lease {
        Lease::draw(&self.recycling, fastrand::f64())
    }
}

impl Supervisor<'_> {
    /// Weighs the next process, if it is due. Threads share one memory: nothing is to be gained
    /// by replacing one.
    pub(super) fn weigh(&mut self) {
        let now = Instant::now();
        let is_wanted = self.weighing.recycling.weighs() && self.launcher.forks();
        if !is_wanted || now < self.weighing.due || !self.is_ready() {
            return;
        }
        let share = u32::try_from(self.seats.len() + 1).unwrap_or(u32::MAX);
        self.weighing.due = now + ROUND / share;
        if self.weighing.next < self.seats.len() {
            self.weigh_worker(self.weighing.next);
            self.weighing.next += 1;
        } else {
            self.begin_round();
            self.weighing.next = 0;
        }
    }

    fn begin_round(&mut self) {
        let control = self.control.child.as_ref().and_then(Child::pid);
        let rest = [Some(process::id()), control].into_iter().flatten().filter_map(memory_of).sum();
        let recycling = self.weighing.recycling;
        let limit = memory_limit(&Root::host());
        let max = recycling.worker_memory_max(limit.as_ref(), rest, self.seats.len());
        if max != self.weighing.worker_memory_max {
            let cause = limit.map_or_else(|| "no memory limit".to_owned(), |limit| limit.reason);
            tracing::debug!(?max, cause, "the memory that a worker may have changes");
        }
        self.weighing.rest = rest;
        self.weighing.worker_memory_max = max;
        self.board.server().set_worker_memory_max(max.unwrap_or(0));
        self.replace_largest();
    }

    fn weigh_worker(&mut self, index: usize) {
        let Some(seat) = self.seats.get_mut(index) else { return };
        let Some(Placed { slot, child }) = &seat.worker else { return };
        let Some(bytes) = child.pid().and_then(memory_of) else { return };
        if let Some(slot) = self.board.slot(*slot) {
            slot.set_memory(bytes);
        }
        let is_first = seat.lease.weighed(bytes);
        if let Some(max) = self.weighing.worker_memory_max
            && is_first
            && bytes > max
        {
            tracing::warn!(
                worker = index,
                bytes,
                max,
                "a fresh worker has more memory than it is to have: raise the memory limit or \
                 --max-worker-memory, or serve with fewer --workers; it is replaced only when it \
                 has grown by a quarter"
            );
        }
    }

    /// Holds the whole server to `--max-memory`.
    fn replace_largest(&mut self) {
        let Some(max) = self.weighing.recycling.server_memory else { return };
        let is_under_way = self.is_rolling() || self.seats.iter().any(|it| it.wanted.is_some());
        let weights = self.board.read_all().map(|(_, slot)| slot.memory_bytes);
        let total = self.weighing.rest + weights.sum::<u64>();
        if total <= max || is_under_way {
            return;
        }
        let weight =
            |placed: &Placed| self.board.slot(placed.slot).map(|it| it.read().memory_bytes);
        let grown = self.seats.iter_mut().filter_map(|seat| {
            let bytes = seat.worker.as_ref().and_then(weight)?;
            seat.lease.has_grown(bytes).then_some((bytes, seat))
        });
        if let Some((bytes, seat)) = grown.max_by_key(|(bytes, _)| *bytes) {
            seat.wanted = Some(Replaced::Memory);
            self.weighing.exceeded += 1;
            let (now, times) = (total as f64 / MIB as f64, self.weighing.exceeded);
            if !(Announcement::MemoryExceeded { now, max: max / MIB, times }).say() {
                tracing::info!(
                    total,
                    max,
                    largest = bytes,
                    "the server has grown over --max-memory"
                );
            }
        }
    }
}
