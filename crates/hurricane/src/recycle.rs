//! How long a worker may serve before a fresh one takes its place.
//!
//! Applications leak: memory, connections, threads. A worker that has answered many requests, has
//! lived long or has grown large is replaced, one at a time, while it still answers.

use std::fs;
use std::time::Duration;

use hurricane_cpu::MemoryLimit;
use hurricane_scoreboard::{Replaced, SlotReading};

/// Each worker may serve longer by a random part of this share, so that workers which started
/// together do not end together.
const JITTER_SHARE: f64 = 0.1;
/// The share of the cgroup's memory that all processes of the server may have together before the
/// kernel has to look for some: the rest is for page cache, sockets and a successor's start.
const MEMORY_SHARE: f64 = 0.9;
/// A worker has to grow by this much since its start to be replaced for its memory: a fresh one
/// would not be better off.
const GROWTH_MIN: f64 = 1.25;

/// When a worker counts as large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerMemory {
    /// Above its share of the cgroup's memory limit; never where there is none.
    Auto,
    /// Never.
    Off,
    /// Above so many bytes.
    Bytes(u64),
}

/// When workers are replaced although they could go on. `None`: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recycling {
    /// Requests that a worker answers.
    pub requests: Option<u64>,
    /// How long it serves.
    pub lifetime: Option<Duration>,
    /// Its memory.
    pub worker_memory: WorkerMemory,
    /// Memory of the whole server in bytes; above it the largest worker is replaced.
    pub server_memory: Option<u64>,
}

impl Recycling {
    /// Whether memory has to be measured.
    pub(crate) fn weighs(&self) -> bool {
        self.worker_memory != WorkerMemory::Off || self.server_memory.is_some()
    }

    /// Memory in bytes above which one of `workers` workers is replaced. `rest` bytes are taken by
    /// processes that are not workers.
    pub(crate) fn worker_memory_max(
        &self,
        limit: Option<&MemoryLimit>,
        rest: u64,
        workers: usize,
    ) -> Option<u64> {
        match self.worker_memory {
            WorkerMemory::Off => None,
            WorkerMemory::Bytes(bytes) => Some(bytes),
            WorkerMemory::Auto => {
                let usable = share(limit?.bytes, MEMORY_SHARE).saturating_sub(rest);
                Some(usable / u64::try_from(workers.max(1)).unwrap_or(u64::MAX))
            }
        }
    }
}

/// How long one worker may serve, drawn at its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lease {
    requests: Option<u64>,
    lifetime: Option<Duration>,
    /// Memory at its first weighing, in bytes; 0: not weighed yet.
    fresh: u64,
}

impl Lease {
    /// `chance`: a random number from 0 to 1.
    pub(crate) fn draw(recycling: &Recycling, chance: f64) -> Self {
        let factor = 1.0 + JITTER_SHARE * chance;
        Self {
            requests: recycling.requests.map(|requests| share(requests, factor)),
            lifetime: recycling.lifetime.map(|lifetime| lifetime.mul_f64(factor)),
            fresh: 0,
        }
    }

    /// Takes note of what the worker weighs. True at its first weighing.
    pub(crate) fn weighed(&mut self, bytes: u64) -> bool {
        let is_first = self.fresh == 0;
        if is_first {
            self.fresh = bytes;
        }
        is_first
    }

    /// Whether a fresh worker would weigh less.
    pub(crate) fn has_grown(&self, bytes: u64) -> bool {
        self.fresh > 0 && bytes >= share(self.fresh, GROWTH_MIN)
    }

    /// Why the worker has served long enough, if it has. `memory_max` as of
    /// [`Recycling::worker_memory_max`].
    pub(crate) fn ended(
        &self,
        slot: &SlotReading,
        lived: Duration,
        memory_max: Option<u64>,
    ) -> Option<Replaced> {
        if self.requests.is_some_and(|requests| slot.served() >= requests) {
            return Some(Replaced::Requests);
        }
        if self.lifetime.is_some_and(|lifetime| lived >= lifetime) {
            return Some(Replaced::Lifetime);
        }
        let is_large = memory_max.is_some_and(|max| slot.memory_bytes > max);
        (is_large && self.has_grown(slot.memory_bytes)).then_some(Replaced::Memory)
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count need not be exact"
)]
fn share(of: u64, share: f64) -> u64 {
    (of as f64 * share) as u64
}

/// Memory of a process in bytes: its own pages and its part of the shared ones. `None` if it is
/// gone or not ours.
pub(crate) fn memory_of(pid: i32) -> Option<u64> {
    let sum = |file: &str, name: &str| {
        let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1024)
    };
    // Without CONFIG_PROC_PAGE_MONITOR there is no smaps_rollup; its own pages are the best then.
    sum("smaps_rollup", "Pss:").or_else(|| sum("status", "RssAnon:"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hurricane_scoreboard::{Monotonic, Slot};

    const NEVER: Recycling = Recycling {
        requests: None,
        lifetime: None,
        worker_memory: WorkerMemory::Auto,
        server_memory: None,
    };
    const MIB: u64 = 1 << 20;

    #[test]
    fn a_lease_ends_by_requests_or_time_with_jitter() {
        let recycling =
            Recycling { requests: Some(100), lifetime: Some(Duration::from_secs(100)), ..NEVER };
        let slot = Slot::default();
        slot.begin(Monotonic::from_nanos(1));
        (0..100).for_each(|_| slot.answered(200));
        let reading = slot.read();
        let ended = |chance, lived| {
            Lease::draw(&recycling, chance).ended(&reading, Duration::from_secs(lived), None)
        };
        assert_eq!(ended(0.0, 1), Some(Replaced::Requests));
        assert_eq!(ended(1.0, 1), None);
        assert_eq!(ended(1.0, 109), None);
        assert_eq!(ended(1.0, 110), Some(Replaced::Lifetime));
        assert_eq!(Lease::draw(&NEVER, 0.5).ended(&reading, Duration::MAX, None), None);
    }

    #[test]
    fn a_large_worker_is_replaced_only_if_a_fresh_one_is_smaller() {
        let slot = Slot::default();
        slot.begin(Monotonic::from_nanos(1));
        let mut lease = Lease::draw(&NEVER, 0.0);
        assert!(lease.weighed(100 * MIB));
        assert!(!lease.weighed(200 * MIB));
        for (bytes, max, expected) in [
            (130 * MIB, 120 * MIB, Some(Replaced::Memory)),
            (130 * MIB, 140 * MIB, None),
            (110 * MIB, 90 * MIB, None),
        ] {
            slot.set_memory(bytes);
            assert_eq!(lease.ended(&slot.read(), Duration::ZERO, Some(max)), expected);
        }
    }

    #[test]
    fn the_share_of_a_worker_follows_the_limit_of_the_cgroup() {
        let limit = MemoryLimit { bytes: 1000 * MIB, kills: true, reason: String::new() };
        assert_eq!(NEVER.worker_memory_max(Some(&limit), 100 * MIB, 4), Some(200 * MIB));
        assert_eq!(NEVER.worker_memory_max(Some(&limit), 2000 * MIB, 4), Some(0));
        assert_eq!(NEVER.worker_memory_max(None, 0, 4), None);
        let fixed = Recycling { worker_memory: WorkerMemory::Bytes(5), ..NEVER };
        assert_eq!(fixed.worker_memory_max(Some(&limit), 0, 4), Some(5));
    }

    #[test]
    fn this_process_weighs_something() {
        let own = memory_of(std::process::id().cast_signed()).unwrap();
        assert!(own > MIB / 4, "{own}");
        assert_eq!(memory_of(i32::MAX), None);
    }
}
