//! Whether a worker has to be replaced, judged from its slot.

use std::time::Duration;

use hurricane_control::VerdictLimits;
use hurricane_scoreboard::{Monotonic, SlotReading};

/// A worker that has not had its first heartbeat after this time will not have one: its
/// application may need long to start, but not that long.
const START_TIME_MAX: Duration = Duration::from_secs(20);

/// What a slot says about its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// It may go on.
    Sound,
    /// It may go on, but half the time is over until probes speak of it. `silent`: of its loop.
    Suspicious { silent: bool },
    /// Its loop has been silent for so long.
    Stalled(Duration),
    /// Its threads have made no progress for so long.
    Stuck(Duration),
}

/// Judges a worker at `now`. Probes speak of a stall after one heartbeat timeout; it is replaced
/// after two, so that a short one costs readiness but no request.
pub(crate) fn judge(slot: &SlotReading, limits: &VerdictLimits, now: Monotonic) -> Judgement {
    let silence = slot.silence(now);
    let patience = limits.heartbeat_timeout.saturating_mul(2);
    let patience = if slot.heartbeat.is_never() { patience.max(START_TIME_MAX) } else { patience };
    if silence > patience {
        return Judgement::Stalled(silence);
    }
    // A limit of zero is none.
    let stuck = slot.stuck_for(now);
    if !limits.request_timeout.is_zero() && stuck > limits.request_timeout {
        return Judgement::Stuck(stuck);
    }
    let half_stuck = !limits.request_timeout.is_zero() && stuck > limits.request_timeout / 2;
    let silent = silence > patience / 4;
    if silent || half_stuck { Judgement::Suspicious { silent } } else { Judgement::Sound }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hurricane_control::{DrainReadiness, Manners, Wording};
    use hurricane_scoreboard::Slot;

    const LIMITS: VerdictLimits = VerdictLimits {
        heartbeat_timeout: Duration::from_secs(5),
        request_timeout: Duration::from_secs(60),
        req_queue_len: 10,
        drain_readiness: DrainReadiness::Serving,
        requests_max: None,
        wording: Wording { is_bare: false, is_full: false },
        tells_pace: true,
        manners: &Manners::OURS,
    };

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_nanos(seconds * 1_000_000_000)
    }

    fn judged(slot: &Slot, seconds: u64) -> Judgement {
        judge(&slot.read(), &LIMITS, at(seconds))
    }

    #[test]
    fn a_silent_loop_is_replaced_after_two_timeouts() {
        let slot = Slot::default();
        slot.begin(at(1));
        slot.beat(at(2));
        assert_eq!(judged(&slot, 4), Judgement::Sound);
        assert_eq!(judged(&slot, 5), Judgement::Suspicious { silent: true });
        assert_eq!(judged(&slot, 12), Judgement::Suspicious { silent: true });
        assert_eq!(judged(&slot, 13), Judgement::Stalled(Duration::from_secs(11)));
    }

    #[test]
    fn the_first_heartbeat_may_take_longer() {
        let slot = Slot::default();
        slot.begin(at(1));
        assert_eq!(judged(&slot, 6), Judgement::Sound);
        assert_eq!(judged(&slot, 21), Judgement::Suspicious { silent: true });
        assert_eq!(judged(&slot, 22), Judgement::Stalled(Duration::from_secs(21)));
    }

    #[test]
    fn busy_threads_without_progress_are_replaced_after_the_request_timeout() {
        let slot = Slot::default();
        slot.begin(at(1));
        slot.set_capacity(1);
        slot.request_began(at(2));
        slot.beat(at(32));
        assert_eq!(judged(&slot, 32), Judgement::Sound);
        slot.beat(at(62));
        assert_eq!(judged(&slot, 62), Judgement::Suspicious { silent: false });
        slot.beat(at(63));
        assert_eq!(judged(&slot, 63), Judgement::Stuck(Duration::from_secs(61)));
        let unlimited = VerdictLimits { request_timeout: Duration::ZERO, ..LIMITS };
        assert_eq!(judge(&slot.read(), &unlimited, at(63)), Judgement::Sound);
    }
}
