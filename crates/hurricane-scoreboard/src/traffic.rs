//! What a worker's answers took and weighed, and by which paths they were asked for: the part of a
//! slot that metrics are made of.
//!
//! Written once for each answer, with relaxed additions. It is never reset: a successor goes on
//! with the sums of the worker before it, so that no counter falls.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::PathId;
use crate::paths::PATHS_MAX;

/// Upper bounds of the buckets for time, in nanoseconds; one more is without bound. They are the
/// defaults of Python's `prometheus_client`.
pub const TIME_BOUNDS_NS: [u64; 14] = [
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    75_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    750_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    7_500_000_000,
    10_000_000_000,
];

/// Upper bounds of the buckets for sizes, in bytes; one more is without bound. The first six are
/// those that whole numbers fall into when the bounds are [`TIME_BOUNDS_NS`] taken as bytes, which
/// some dashboards expect; the others tell sizes apart.
pub const SIZE_BOUNDS: [u64; 16] = [
    0,
    1,
    2,
    5,
    7,
    10,
    256,
    1 << 10,
    4 << 10,
    16 << 10,
    64 << 10,
    256 << 10,
    1 << 20,
    4 << 20,
    16 << 20,
    64 << 20,
];

const TIME_BUCKETS: usize = TIME_BOUNDS_NS.len() + 1;
const SIZE_BUCKETS: usize = SIZE_BOUNDS.len() + 1;

/// An answer of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status code.
    pub status: u16,
    /// Nanoseconds from the moment that the request was whole.
    pub took_ns: u64,
    /// Bytes of the body that are sent, without their framing.
    pub body_bytes: u64,
    /// Where the request is counted.
    pub path: PathId,
}

#[derive(Debug)]
#[repr(C)]
pub(crate) struct Traffic {
    times: [AtomicU64; TIME_BUCKETS],
    time_ns: AtomicU64,
    sizes: [AtomicU64; SIZE_BUCKETS],
    size_bytes: AtomicU64,
    paths: [AtomicU64; PATHS_MAX + 1],
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            times: std::array::from_fn(|_| AtomicU64::default()),
            time_ns: AtomicU64::default(),
            sizes: std::array::from_fn(|_| AtomicU64::default()),
            size_bytes: AtomicU64::default(),
            paths: std::array::from_fn(|_| AtomicU64::default()),
        }
    }
}

impl Traffic {
    pub(crate) fn count(&self, answer: &Answer, add: impl Fn(&AtomicU64, u64)) {
        let nanos = answer.took_ns;
        add(&self.times[TIME_BOUNDS_NS.partition_point(|bound| *bound < nanos)], 1);
        add(&self.time_ns, nanos);
        let bytes = answer.body_bytes;
        add(&self.sizes[SIZE_BOUNDS.partition_point(|bound| *bound < bytes)], 1);
        add(&self.size_bytes, bytes);
        add(&self.paths[answer.path.index()], 1);
    }

    /// How many answers were counted, and the time of all together.
    pub(crate) fn timed(&self) -> (u64, Duration) {
        let answers = self.times.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        (answers, Duration::from_nanos(self.time_ns.load(Ordering::Relaxed)))
    }

    pub(crate) fn add_to(&self, sums: &mut TrafficReading) {
        let add = |sums: &mut [u64], counters: &[AtomicU64]| {
            for (sum, counter) in sums.iter_mut().zip(counters) {
                *sum += counter.load(Ordering::Relaxed);
            }
        };
        add(&mut sums.times, &self.times);
        add(&mut sums.sizes, &self.sizes);
        add(&mut sums.paths, &self.paths);
        sums.time += Duration::from_nanos(self.time_ns.load(Ordering::Relaxed));
        sums.size_bytes += self.size_bytes.load(Ordering::Relaxed);
    }
}

/// Sums over slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrafficReading {
    /// Answers by time: for each of [`TIME_BOUNDS_NS`] those above the bound before it, then the
    /// rest.
    pub times: [u64; TIME_BUCKETS],
    /// Time of all.
    pub time: Duration,
    /// Answers by size: the same with [`SIZE_BOUNDS`].
    pub sizes: [u64; SIZE_BUCKETS],
    /// Bytes of all.
    pub size_bytes: u64,
    paths: Vec<u64>,
}

impl Default for TrafficReading {
    fn default() -> Self {
        Self {
            times: [0; TIME_BUCKETS],
            time: Duration::ZERO,
            sizes: [0; SIZE_BUCKETS],
            size_bytes: 0,
            paths: vec![0; PATHS_MAX + 1],
        }
    }
}

impl TrafficReading {
    /// How many answers there were.
    pub fn answers(&self) -> u64 {
        self.times.iter().sum()
    }

    /// Answers to requests for this path.
    pub fn by_path(&self, path: PathId) -> u64 {
        self.paths.get(path.index()).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Monotonic, Scoreboard};

    fn answer(took: Duration, body_bytes: u64, path: PathId) -> Answer {
        let took_ns = u64::try_from(took.as_nanos()).unwrap();
        Answer { status: 200, took_ns, body_bytes, path }
    }

    #[test]
    fn answers_fall_into_the_bucket_whose_bound_they_reach() {
        let traffic = Traffic::default();
        for (millis, bytes) in [(0, 0), (5, 1), (6, 3), (10_000, 256), (10_001, 1 << 40)] {
            let answer = answer(Duration::from_millis(millis), bytes, PathId::OTHER);
            traffic.count(&answer, |counter, by| {
                counter.fetch_add(by, Ordering::Relaxed);
            });
        }
        let mut sums = TrafficReading::default();
        traffic.add_to(&mut sums);
        assert_eq!(sums.times, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(sums.sizes, [1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!((sums.answers(), sums.by_path(PathId::OTHER)), (5, 5));
        assert_eq!(sums.time, Duration::from_millis(20_012));
        assert_eq!(traffic.timed(), (5, sums.time));
        assert_eq!(sums.size_bytes, (1 << 40) + 260);
    }

    #[test]
    fn sums_are_over_all_slots_and_outlive_workers() {
        let board = Scoreboard::new(2).unwrap();
        let books = board.paths().find("GET", b"/books", true);
        for slot in [0, 1, 2] {
            let slot = board.slot(slot).unwrap();
            slot.begin(Monotonic::from_nanos(1));
            slot.count(&answer(Duration::from_millis(7), 100, books));
            slot.vacate();
            slot.begin(Monotonic::from_nanos(2));
        }
        let sums = board.read_traffic();
        assert_eq!((sums.by_path(books), sums.by_path(PathId::OTHER)), (3, 0));
        assert_eq!((sums.answers(), sums.size_bytes), (3, 300));
        assert_eq!(board.slot(2).unwrap().read().responses, [0, 1, 0, 0, 0]);
    }
}
