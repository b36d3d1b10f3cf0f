//! The clock of heartbeats: CLOCK_MONOTONIC, the same in every process of a boot.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A moment in nanoseconds of CLOCK_MONOTONIC. Zero stands for "never".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic(u64);

impl Monotonic {
    /// "Never": before every other moment.
    pub const NEVER: Self = Self(0);

    /// The present moment.
    pub fn now() -> Self {
        let now =
            clock_gettime(ClockId::CLOCK_MONOTONIC).expect("CLOCK_MONOTONIC exists on every Linux");
        // Since the boot: neither negative nor beyond 584 years.
        let nanos = now.tv_sec().unsigned_abs() * NANOS_PER_SECOND + now.tv_nsec().unsigned_abs();
        Self(nanos.max(1))
    }

    /// From nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// In nanoseconds.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whether this is [`Self::NEVER`].
    pub const fn is_never(self) -> bool {
        self.0 == 0
    }

    /// Nanoseconds from `earlier` to this moment; zero when `earlier` is later.
    pub const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Time from `earlier` to this moment; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_run_backwards() {
        let first = Monotonic::now();
        let second = Monotonic::now();
        assert!(second >= first);
        assert_eq!(first.since(second), Duration::ZERO.max(first.since(second)));
        assert_eq!(Monotonic::NEVER.since(first), Duration::ZERO);
    }
}
