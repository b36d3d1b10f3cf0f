//! How soon a worker that died is replaced.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A worker that lived so long did not die of its start.
pub(crate) const LIFE_MIN: Duration = Duration::from_secs(10);
/// Short lives in a row after which a slot is in a crash loop.
pub(crate) const SHORT_LIVES_MAX: u32 = 5;

const DELAY_MIN: Duration = Duration::from_millis(100);
const DELAY_MAX: Duration = Duration::from_secs(10);

/// The recent deaths of one slot's workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Backoff {
    /// Workers in a row that lived shorter than [`LIFE_MIN`].
    short_lives: u32,
}

impl Backoff {
    /// A worker died after `lived`; returns how long to wait before the next: nothing after a
    /// long life, else twice as long each time, from 0.1 s to 10 s.
    pub(crate) fn died(&mut self, lived: Duration) -> Duration {
        if lived >= LIFE_MIN {
            self.short_lives = 0;
            return Duration::ZERO;
        }
        self.short_lives = self.short_lives.saturating_add(1);
        let doublings = (self.short_lives - 1).min(16);
        (DELAY_MIN * 2_u32.pow(doublings)).min(DELAY_MAX)
    }

    /// The present worker has lived for `lived`.
    pub(crate) fn lives(&mut self, lived: Duration) {
        if lived >= LIFE_MIN {
            self.short_lives = 0;
        }
    }

    /// Whether workers of this slot die as fast as they are replaced.
    pub(crate) fn is_crash_loop(self) -> bool {
        self.short_lives >= SHORT_LIVES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_ten_seconds() {
        let mut backoff = Backoff::default();
        let delays: Vec<u128> =
            (0..9).map(|_| backoff.died(Duration::from_secs(1)).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        for _ in 0..100 {
            assert_eq!(backoff.died(Duration::ZERO), DELAY_MAX);
        }
    }

    #[test]
    fn a_long_life_is_replaced_at_once() {
        let mut backoff = Backoff::default();
        backoff.died(Duration::ZERO);
        assert_eq!(backoff.died(LIFE_MIN), Duration::ZERO);
        assert_eq!(backoff.died(Duration::ZERO), DELAY_MIN);
    }

    #[test]
    fn five_short_lives_are_a_crash_loop_until_one_lives() {
        let mut backoff = Backoff::default();
        for life in 1..=SHORT_LIVES_MAX {
            assert!(!backoff.is_crash_loop());
            backoff.died(Duration::ZERO);
            assert_eq!(backoff.is_crash_loop(), life == SHORT_LIVES_MAX);
        }
        backoff.lives(Duration::from_secs(9));
        assert!(backoff.is_crash_loop());
        backoff.lives(LIFE_MIN);
        assert!(!backoff.is_crash_loop());
    }
}
