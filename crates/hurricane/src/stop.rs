//! The order in which the server stops, as a state machine without clock or processes.
//!
//! serving → (signal) → draining for `drain_delay` → stopping for at most `grace_period` →
//! leaving, when only the probe listener is left → done. A server that never was ready, or has
//! no delay, does not drain.

use std::time::{Duration, Instant};

/// How long the last workers may take to end when they are cut off.
const LEAVE_TIME: Duration = Duration::from_secs(1);
/// How long the control process may take then: it sends the webhooks that are left.
const CONTROL_TIME: Duration = Duration::from_secs(2);
/// The same when a start has failed: it says why, and no pod's time runs out meanwhile.
const LAST_WORDS_TIME: Duration = Duration::from_secs(6);

/// What the supervisor has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Tell workers to go on accepting, and to close connections with their answers.
    Drain,
    /// Close the doors, tell workers to stop.
    Stop,
    /// The grace period is over: end the workers that are left.
    CutOff,
    /// The last worker has ended: tell the control process to stop.
    Leave,
    /// Everything has ended, or never will by itself.
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Serving,
    Asked { was_ready: bool },
    Draining { until: Instant },
    Stopping { until: Instant },
    CutOff { until: Instant },
    Leaving { until: Instant },
}

/// Where the server is on its way down.
#[derive(Clone, Debug)]
pub(crate) struct StopSequence {
    stage: Stage,
    drain_delay: Duration,
    grace_period: Duration,
    control_time: Duration,
    was_cut: bool,
}

impl StopSequence {
    pub(crate) fn new(drain_delay: Duration, grace_period: Duration) -> Self {
        Self {
            stage: Stage::Serving,
            drain_delay,
            grace_period,
            control_time: CONTROL_TIME,
            was_cut: false,
        }
    }

    /// A signal asks to stop. False when one has asked before.
    pub(crate) fn ask(&mut self, was_ready: bool) -> bool {
        let is_first = self.stage == Stage::Serving;
        if is_first {
            self.stage = Stage::Asked { was_ready };
        }
        is_first
    }

    /// The start has failed: as if a signal had asked, with time to say so.
    pub(crate) fn fail(&mut self) {
        self.control_time = LAST_WORDS_TIME;
        self.ask(false);
    }

    /// Whether dead workers are still replaced: as long as connections are accepted.
    pub(crate) fn accepts(&self) -> bool {
        matches!(self.stage, Stage::Serving | Stage::Asked { .. } | Stage::Draining { .. })
    }

    /// Whether workers have been told to drain, so that a new one must be told as well.
    pub(crate) fn drains(&self) -> bool {
        matches!(self.stage, Stage::Draining { .. })
    }

    /// Whether the server is on its way down.
    pub(crate) fn has_begun(&self) -> bool {
        self.stage != Stage::Serving
    }

    /// Whether the control process has been told to stop.
    pub(crate) fn is_leaving(&self) -> bool {
        matches!(self.stage, Stage::Leaving { .. })
    }

    /// Whether the grace period ran out.
    pub(crate) fn was_cut(&self) -> bool {
        self.was_cut
    }

    /// When time alone makes the next step.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.stage {
            Stage::Draining { until }
            | Stage::Stopping { until }
            | Stage::CutOff { until }
            | Stage::Leaving { until } => Some(until),
            Stage::Serving | Stage::Asked { .. } => None,
        }
    }

    /// The next step at `now`, if one is due. Call again until there is none.
    pub(crate) fn next(
        &mut self,
        now: Instant,
        workers_alive: usize,
        control_alive: bool,
    ) -> Option<Step> {
        let (stage, step) = match self.stage {
            Stage::Asked { was_ready: true } if !self.drain_delay.is_zero() => {
                (Stage::Draining { until: now + self.drain_delay }, Step::Drain)
            }
            Stage::Asked { .. } => (Stage::Stopping { until: now + self.grace_period }, Step::Stop),
            Stage::Draining { until } if now >= until => {
                (Stage::Stopping { until: now + self.grace_period }, Step::Stop)
            }
            Stage::Stopping { .. } | Stage::CutOff { .. } if workers_alive == 0 => {
                (Stage::Leaving { until: now + self.control_time }, Step::Leave)
            }
            Stage::Stopping { until } if now >= until => {
                self.was_cut = true;
                (Stage::CutOff { until: now + LEAVE_TIME }, Step::CutOff)
            }
            // Threads cannot be ended: they go with the process.
            Stage::CutOff { until } if now >= until => {
                (Stage::Leaving { until: now + self.control_time }, Step::Leave)
            }
            Stage::Leaving { until } if !control_alive || now >= until => {
                return Some(Step::Done);
            }
            _ => return None,
        };
        self.stage = stage;
        Some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAIN: Duration = Duration::from_secs(5);
    const GRACE: Duration = Duration::from_secs(25);

    #[test]
    fn a_ready_server_drains_stops_and_leaves() {
        let start = Instant::now();
        let mut stop = StopSequence::new(DRAIN, GRACE);
        assert_eq!(stop.next(start, 2, true), None);
        assert!(stop.ask(true));
        assert_eq!(stop.next(start, 2, true), Some(Step::Drain));
        assert!(stop.accepts() && stop.drains());
        assert_eq!(stop.next(start + DRAIN / 2, 2, true), None);
        assert_eq!(stop.deadline(), Some(start + DRAIN));
        assert_eq!(stop.next(start + DRAIN, 2, true), Some(Step::Stop));
        assert!(!stop.accepts());
        assert_eq!(stop.next(start + DRAIN, 1, true), None);
        assert_eq!(stop.next(start + DRAIN, 0, true), Some(Step::Leave));
        assert_eq!(stop.next(start + DRAIN, 0, true), None);
        assert_eq!(stop.next(start + DRAIN, 0, false), Some(Step::Done));
        assert!(!stop.was_cut());
    }

    #[test]
    fn without_a_delay_or_before_it_is_ready_it_stops_at_once() {
        let now = Instant::now();
        for (delay, was_ready) in [(Duration::ZERO, true), (DRAIN, false)] {
            let mut stop = StopSequence::new(delay, GRACE);
            stop.ask(was_ready);
            assert_eq!(stop.next(now, 2, true), Some(Step::Stop));
        }
    }

    #[test]
    fn what_outlives_the_grace_period_is_cut_off() {
        let now = Instant::now();
        let mut stop = StopSequence::new(Duration::ZERO, GRACE);
        stop.ask(true);
        assert_eq!(stop.next(now, 2, true), Some(Step::Stop));
        assert_eq!(stop.next(now + GRACE, 1, true), Some(Step::CutOff));
        assert!(stop.was_cut());
        assert_eq!(stop.next(now + GRACE, 1, true), None);
        let later = now + GRACE + LEAVE_TIME;
        assert_eq!(stop.next(later, 1, true), Some(Step::Leave));
        assert_eq!(stop.next(later + CONTROL_TIME, 1, true), Some(Step::Done));
    }

    #[test]
    fn a_start_that_has_failed_is_given_time_to_be_told() {
        let now = Instant::now();
        let mut stop = StopSequence::new(DRAIN, GRACE);
        stop.fail();
        assert_eq!(stop.next(now, 0, true), Some(Step::Stop));
        assert_eq!(stop.next(now, 0, true), Some(Step::Leave));
        assert_eq!(stop.next(now + CONTROL_TIME, 0, true), None);
        assert_eq!(stop.next(now + LAST_WORDS_TIME, 0, true), Some(Step::Done));
    }

    #[test]
    fn only_the_first_signal_asks() {
        let mut stop = StopSequence::new(DRAIN, GRACE);
        assert!(!stop.has_begun());
        assert!(stop.ask(true));
        assert!(stop.has_begun());
        assert!(!stop.ask(true));
        stop.next(Instant::now(), 1, true);
        assert!(!stop.ask(true));
    }
}
