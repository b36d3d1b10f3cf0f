//! What a worker that consumes messages from a broker is doing: its connection, and counts.
//!
//! Part of the worker's slot, and vacant in that of a worker that serves requests.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::{Monotonic, TextCell};

/// Room for what the broker said, with its address.
const REMARK_BYTES_MAX: usize = 320;

/// How far a worker is with its broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum BrokerState {
    /// Not connected yet, or about to be again.
    Connecting = 0,
    /// Connected; exchange and queue are being set up.
    Connected = 1,
    /// The broker delivers messages.
    Consuming = 2,
    /// Lost, or never reached; what happens next is in the remark.
    Lost = 3,
    /// It was told to take no more messages.
    Ending = 4,
}

impl BrokerState {
    fn from_raw(raw: u32) -> Self {
        match raw {
            1 => Self::Connected,
            2 => Self::Consuming,
            3 => Self::Lost,
            4 => Self::Ending,
            _ => Self::Connecting,
        }
    }

    /// Lower-case name, as in `/status` and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Consuming => "consuming",
            Self::Lost => "lost",
            Self::Ending => "ending",
        }
    }
}

/// How a message was settled with the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Settled {
    /// Acknowledged.
    Acked = 0,
    /// Refused for good: a dead-letter exchange takes it, or nobody.
    Rejected = 1,
    /// Given back, to be delivered once more.
    Requeued = 2,
}

impl Settled {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Acked, Self::Rejected, Self::Requeued];

    /// Lower-case name, as in `/status` and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acked => "acked",
            Self::Rejected => "rejected",
            Self::Requeued => "requeued",
        }
    }
}

/// Written by the worker; by the supervisor while no worker owns the slot.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Consumption {
    /// Whether the slot is one of a consumer. Stays for good, as its sums do.
    is_consumer: AtomicU32,
    broker: AtomicU32,
    broker_since_ns: AtomicU64,
    /// Whether the present worker has ever consumed.
    has_consumed: AtomicU32,
    /// How often consuming has begun.
    begun: AtomicU64,
    received: AtomicU64,
    settled: [AtomicU64; Settled::ALL.len()],
    /// Messages whose run has ended, in how much time, and how many of them raised.
    ended: AtomicU64,
    ended_ns: AtomicU64,
    failed: AtomicU64,
    remark: TextCell<REMARK_BYTES_MAX>,
}

impl Consumption {
    /// A worker begins in this slot. Sums go on.
    pub(crate) fn begin(&self) {
        self.broker.store(BrokerState::Connecting as u32, Ordering::Relaxed);
        self.broker_since_ns.store(0, Ordering::Relaxed);
        self.has_consumed.store(0, Ordering::Relaxed);
        self.remark.set("");
    }

    /// The worker of this slot consumes, or will.
    pub fn set_consumer(&self) {
        self.is_consumer.store(1, Ordering::Release);
    }

    /// How far the worker is with its broker; `remark` says it with the broker's address.
    pub fn set_broker(&self, state: BrokerState, remark: &str, now: Monotonic) {
        self.remark.set(remark);
        let before = self.broker.swap(state as u32, Ordering::Release);
        let is_first = self.broker_since_ns.load(Ordering::Relaxed) == 0;
        if before != state as u32 || is_first {
            self.broker_since_ns.store(now.as_nanos(), Ordering::Relaxed);
            if state == BrokerState::Consuming {
                self.begun.fetch_add(1, Ordering::Relaxed);
                self.has_consumed.store(1, Ordering::Release);
            }
        }
    }

    /// A message was delivered.
    pub fn received(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    /// A message was settled.
    pub fn settled(&self, how: Settled) {
        self.settled[how as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A message's run has ended. `has_failed`: by an exception.
    pub fn ended(&self, lasted: Duration, has_failed: bool) {
        let nanos = u64::try_from(lasted.as_nanos()).unwrap_or(u64::MAX);
        self.ended.fetch_add(1, Ordering::Relaxed);
        self.ended_ns.fetch_add(nanos, Ordering::Relaxed);
        self.failed.fetch_add(u64::from(has_failed), Ordering::Relaxed);
    }

    /// A copy; `None` in the slot of a worker that serves requests.
    pub fn read(&self) -> Option<ConsumptionReading> {
        (self.is_consumer.load(Ordering::Acquire) != 0).then(|| ConsumptionReading {
            broker: BrokerState::from_raw(self.broker.load(Ordering::Acquire)),
            since: Monotonic::from_nanos(self.broker_since_ns.load(Ordering::Relaxed)),
            has_consumed: self.has_consumed.load(Ordering::Acquire) != 0,
            begun: self.begun.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            settled: Settled::ALL.map(|how| self.settled[how as usize].load(Ordering::Relaxed)),
            ended: self.ended.load(Ordering::Relaxed),
            ended_for: Duration::from_nanos(self.ended_ns.load(Ordering::Relaxed)),
            failed: self.failed.load(Ordering::Relaxed),
            remark: self.remark.get(),
        })
    }
}

/// A copy of what is known of a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented at the fields and setters of Consumption")]
pub struct ConsumptionReading {
    pub broker: BrokerState,
    pub since: Monotonic,
    pub has_consumed: bool,
    pub begun: u64,
    pub received: u64,
    /// In the order of [`Settled::ALL`].
    pub settled: [u64; Settled::ALL.len()],
    pub ended: u64,
    pub ended_for: Duration,
    pub failed: u64,
    pub remark: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scoreboard;

    #[test]
    fn a_server_of_requests_consumes_nothing() {
        let board = Scoreboard::new(1).unwrap();
        assert_eq!(board.slot(0).unwrap().read().consumption, None);
    }

    #[test]
    fn the_broker_is_forgotten_with_the_worker_and_sums_go_on() {
        let board = Scoreboard::new(1).unwrap();
        let slot = board.slot(0).unwrap();
        let at = Monotonic::from_nanos;
        slot.begin(at(1));
        let consumption = slot.consumption();
        consumption.set_consumer();
        assert!(!slot.read().has_started(), "no heartbeat, no broker");
        slot.beat(at(2));
        consumption.set_broker(BrokerState::Connected, "broker:1", at(2));
        assert!(!slot.read().has_started());
        consumption.set_broker(BrokerState::Consuming, "broker:1", at(3));
        assert!(slot.read().has_started());
        consumption.received();
        consumption.settled(Settled::Requeued);
        consumption.ended(Duration::from_millis(2), true);
        consumption.set_broker(BrokerState::Lost, "gone", at(4));
        let read = || slot.read().consumption.unwrap();
        assert!(slot.read().has_started(), "it was ready once");
        assert_eq!((read().broker, read().since, read().begun), (BrokerState::Lost, at(4), 1));
        slot.vacate();
        slot.begin(at(5));
        assert_eq!((read().broker, read().remark.as_str()), (BrokerState::Connecting, ""));
        assert!(!read().has_consumed);
        assert_eq!((read().received, read().settled, read().failed), (1, [0, 0, 1], 1));
        assert_eq!((read().ended, read().ended_for), (1, Duration::from_millis(2)));
    }
}
