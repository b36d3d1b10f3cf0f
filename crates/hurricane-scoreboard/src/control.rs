//! What the control process has told webhooks and has read of the host, written by it alone: its
//! successor goes on from there, and whoever answers probes can tell.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::Monotonic;

/// What a webhook is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum WebhookKind {
    /// The start has succeeded, failed, or takes long.
    Startup = 0,
    /// What `/alive` says has changed.
    Liveness = 1,
    /// What `/ready` says has changed.
    Readiness = 2,
    /// The server was told to stop.
    Drain = 3,
    /// The server has stopped.
    Shutdown = 4,
}

impl WebhookKind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::Startup, Self::Liveness, Self::Readiness, Self::Drain, Self::Shutdown];

    /// Lower-case name, as in the webhook.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Liveness => "liveness",
            Self::Readiness => "readiness",
            Self::Drain => "drain",
            Self::Shutdown => "shutdown",
        }
    }
}

/// What a webhook says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum WebhookStatus {
    /// All is well.
    Succeeded = 1,
    /// It is not.
    Failed = 2,
    /// It may not be.
    Warning = 3,
}

impl WebhookStatus {
    /// Lower-case name, as in the webhook.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Warning => "warning",
        }
    }

    fn from_raw(raw: u32) -> Option<Self> {
        match raw {
            1 => Some(Self::Succeeded),
            2 => Some(Self::Failed),
            3 => Some(Self::Warning),
            _ => None,
        }
    }
}

/// State of the control process.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub struct ControlState {
    /// By kind: the status that was last told or given up.
    told: [AtomicU32; WebhookKind::ALL.len()],
    /// Whether the cells of the checks are filled in.
    has_checks: AtomicU32,
    waiting: AtomicU32,
    delivered: AtomicU64,
    given_up: AtomicU64,
    /// Kind + 1; 0: none was sent yet.
    last_kind: AtomicU32,
    last_status: AtomicU32,
    /// The receiver's status code; 0: it did not answer.
    last_answer: AtomicU32,
    last_ns: AtomicU64,
    /// Whether the throttling numbers have been read.
    throttled: AtomicU32,
    throttling_periods: AtomicU64,
    throttled_periods: AtomicU64,
    throttled_ns: AtomicU64,
    /// Bytes; 0: not known.
    memory_used: AtomicU64,
    /// Bytes; 0: none.
    memory_max: AtomicU64,
}

/// How the last webhook ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebhookEnd {
    /// What it was about.
    pub kind: WebhookKind,
    /// What it said.
    pub status: WebhookStatus,
    /// The receiver's last status code; `None` when there was no answer.
    pub answer: Option<u16>,
    /// When it was delivered or given up.
    pub at: Monotonic,
}

impl WebhookEnd {
    /// Whether the receiver has taken it.
    pub fn is_delivered(&self) -> bool {
        self.answer.is_some_and(|status| (200..300).contains(&status))
    }
}

/// A copy of what is known of webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebhookReading {
    /// Those that were taken by the receiver.
    pub delivered: u64,
    /// Those that will not be sent any more.
    pub given_up: u64,
    /// Those that are still to be sent.
    pub waiting: u32,
    /// The last that was delivered or given up.
    pub last: Option<WebhookEnd>,
}

/// What the cgroup said last; fields are `None` where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostReading {
    /// How often and how long the CPU quota has held us back.
    pub throttling: Option<ThrottlingReading>,
    /// Memory that the cgroup's processes use, in bytes.
    pub memory_used: Option<u64>,
    /// Memory that they may use.
    pub memory_max: Option<u64>,
}

/// How often and how long the CPU quota has held us back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThrottlingReading {
    /// Periods in which we wanted to run under a quota.
    pub periods: u64,
    /// Those in which it was used up.
    pub throttled_periods: u64,
    /// For how long we were held back.
    pub time: Duration,
}

impl ControlState {
    /// What was last told about `kind`, by this control process or one before it.
    pub fn told(&self, kind: WebhookKind) -> Option<WebhookStatus> {
        WebhookStatus::from_raw(self.told[kind as usize].load(Ordering::Relaxed))
    }

    /// Records the end of a webhook. Control process only.
    pub fn webhook_ended(&self, end: &WebhookEnd) {
        self.set_told(end.kind, end.status);
        self.last_status.store(end.status as u32, Ordering::Relaxed);
        self.last_answer.store(end.answer.unwrap_or(0).into(), Ordering::Relaxed);
        self.last_ns.store(end.at.as_nanos(), Ordering::Relaxed);
        self.last_kind.store(end.kind as u32 + 1, Ordering::Relaxed);
        let counter = if end.is_delivered() { &self.delivered } else { &self.given_up };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Records news that only a project's own webhooks were told. Control process only.
    pub fn set_told(&self, kind: WebhookKind, status: WebhookStatus) {
        self.told[kind as usize].store(status as u32, Ordering::Relaxed);
    }

    /// Counts a webhook that found no place. Control process only.
    pub fn webhook_dropped(&self) {
        self.given_up.fetch_add(1, Ordering::Relaxed);
    }

    /// Publishes how many are still to be sent. Control process only.
    pub fn set_webhooks_waiting(&self, count: usize) {
        self.waiting.store(u32::try_from(count).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// What is known of webhooks.
    pub fn webhooks(&self) -> WebhookReading {
        let kind = self.last_kind.load(Ordering::Relaxed).checked_sub(1);
        let kind = kind.and_then(|kind| WebhookKind::ALL.get(kind as usize).copied());
        let status = WebhookStatus::from_raw(self.last_status.load(Ordering::Relaxed));
        let answer = u16::try_from(self.last_answer.load(Ordering::Relaxed)).ok();
        let answer = answer.filter(|status| *status > 0);
        let at = Monotonic::from_nanos(self.last_ns.load(Ordering::Relaxed));
        WebhookReading {
            delivered: self.delivered.load(Ordering::Relaxed),
            given_up: self.given_up.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed),
            last: kind.zip(status).map(|(kind, status)| WebhookEnd { kind, status, answer, at }),
        }
    }

    /// Every check has its cell. Control process only.
    pub fn set_has_checks(&self) {
        self.has_checks.store(1, Ordering::Release);
    }

    /// Whether every check has its cell.
    pub fn has_checks(&self) -> bool {
        self.has_checks.load(Ordering::Acquire) != 0
    }

    /// Publishes what the cgroup says. Control process only.
    pub fn set_host(&self, host: &HostReading) {
        let throttling = host.throttling.unwrap_or_default();
        let nanos = u64::try_from(throttling.time.as_nanos()).unwrap_or(u64::MAX);
        self.throttling_periods.store(throttling.periods, Ordering::Relaxed);
        self.throttled_periods.store(throttling.throttled_periods, Ordering::Relaxed);
        self.throttled_ns.store(nanos, Ordering::Relaxed);
        self.throttled.store(host.throttling.is_some().into(), Ordering::Relaxed);
        self.memory_used.store(host.memory_used.unwrap_or(0), Ordering::Relaxed);
        self.memory_max.store(host.memory_max.unwrap_or(0), Ordering::Relaxed);
    }

    /// What the cgroup said last.
    pub fn host(&self) -> HostReading {
        let bytes = |field: &AtomicU64| Some(field.load(Ordering::Relaxed)).filter(|n| *n > 0);
        let is_known = self.throttled.load(Ordering::Relaxed) != 0;
        HostReading {
            throttling: is_known.then(|| ThrottlingReading {
                periods: self.throttling_periods.load(Ordering::Relaxed),
                throttled_periods: self.throttled_periods.load(Ordering::Relaxed),
                time: Duration::from_nanos(self.throttled_ns.load(Ordering::Relaxed)),
            }),
            memory_used: bytes(&self.memory_used),
            memory_max: bytes(&self.memory_max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_last_of_each_kind_is_known() {
        let state = ControlState::default();
        assert_eq!(state.told(WebhookKind::Readiness), None);
        assert_eq!(state.webhooks().last, None);
        let taken = WebhookEnd {
            kind: WebhookKind::Readiness,
            status: WebhookStatus::Failed,
            answer: Some(204),
            at: Monotonic::from_nanos(7),
        };
        state.webhook_ended(&taken);
        let lost = WebhookEnd { kind: WebhookKind::Drain, answer: None, ..taken };
        state.webhook_ended(&lost);
        state.set_webhooks_waiting(3);
        assert_eq!(state.told(WebhookKind::Readiness), Some(WebhookStatus::Failed));
        assert_eq!(state.told(WebhookKind::Startup), None);
        let reading = state.webhooks();
        assert_eq!((reading.delivered, reading.given_up, reading.waiting), (1, 1, 3));
        assert_eq!(reading.last, Some(lost));
    }

    #[test]
    fn what_the_cgroup_does_not_say_is_none() {
        let state = ControlState::default();
        assert_eq!(state.host(), HostReading::default());
        let host = HostReading {
            throttling: Some(ThrottlingReading {
                periods: 9,
                throttled_periods: 4,
                time: Duration::from_millis(15),
            }),
            memory_used: Some(5),
            memory_max: None,
        };
        state.set_host(&host);
        assert_eq!(state.host(), host);
    }
}
