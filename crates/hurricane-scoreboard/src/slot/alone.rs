//! A slot in which one thread alone counts.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Slot;
use crate::Monotonic;
use crate::traffic::Answer;

/// Adds to a counter that nobody else writes.
fn add_alone(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
}

/// A slot in which one thread alone runs requests and counts answers: it needs no locked
/// instruction, each of which takes as long as twenty others. Counts are lost when a second thread
/// counts in the same slot meanwhile, by this or without it.
#[derive(Clone, Copy, Debug)]
pub struct Alone<'a>(&'a Slot);

impl Slot {
    /// The slot for a worker whose loop alone runs requests and counts answers.
    pub fn alone(&self) -> Alone<'_> {
        Alone(self)
    }
}

impl Alone<'_> {
    /// See [`Slot::request_began`].
    pub fn request_began(self, now: Monotonic) {
        let Slot { running, progress_ns, .. } = self.0;
        running.store(running.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        progress_ns.store(now.as_nanos(), Ordering::Relaxed);
    }

    /// See [`Slot::request_ended`].
    pub fn request_ended(self) {
        let Slot { running, .. } = self.0;
        running.store(running.load(Ordering::Relaxed).wrapping_sub(1), Ordering::Relaxed);
    }

    /// See [`Slot::count`].
    pub fn count(self, answer: &Answer) {
        self.0.count_with(answer, add_alone);
    }

    /// See [`Slot::answered`].
    pub fn answered(self, status: u16) {
        self.0.answered_with(status, add_alone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PathId, TrafficReading};

    #[test]
    fn one_that_counts_alone_counts_the_same() {
        let answer = |status| Answer {
            status,
            took_ns: 7,
            body_bytes: u64::from(status),
            path: PathId::OTHER,
        };
        let (shared, alone) = (Slot::default(), Slot::default());
        for status in [200, 204, 404] {
            shared.request_began(Monotonic::from_nanos(1));
            shared.count(&answer(status));
            shared.answered(status);
            alone.alone().request_began(Monotonic::from_nanos(1));
            alone.alone().count(&answer(status));
            alone.alone().answered(status);
        }
        shared.request_ended();
        alone.alone().request_ended();
        assert_eq!(alone.read(), shared.read());
        assert_eq!((alone.read().requests, alone.read().running), (6, 2));
        let [mut first, mut second] = [(); 2].map(|()| TrafficReading::default());
        shared.add_traffic(&mut first);
        alone.add_traffic(&mut second);
        assert_eq!(second, first);
    }
}
