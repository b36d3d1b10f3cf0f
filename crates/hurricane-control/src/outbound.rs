//! Webhooks that wait for the thread that sends them.
//!
//! Invariants:
//! - At most `WAITING_MAX` wait. When there is no place the oldest is given up: the latest says how
//!   things are.
//! - Once it is told to end, nobody waits for longer than it is given.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::webhook::Webhook;

const WAITING_MAX: usize = 64;
/// The longest pause when the server ends.
const PAUSE_ENDING: Duration = Duration::from_millis(250);

/// The way to the thread that sends.
#[derive(Clone)]
pub(crate) struct Outbound(Arc<Shared>);

struct Shared {
    desk: Mutex<Desk>,
    /// Something on the desk has changed.
    changed: Condvar,
}

#[derive(Default)]
struct Desk {
    waiting: VecDeque<Webhook>,
    /// Whether one is being sent.
    sending: bool,
    /// When to give up: the server ends.
    end: Option<Instant>,
}

/// What became of the others when one was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Put {
    pub(crate) waiting: usize,
    /// Whether the oldest was given up for it.
    pub(crate) dropped: bool,
}

impl Outbound {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared { desk: Mutex::default(), changed: Condvar::new() }))
    }

    /// Takes a webhook and returns at once.
    pub(crate) fn put(&self, webhook: Webhook) -> Put {
        let mut desk = self.desk();
        let dropped = desk.waiting.len() >= WAITING_MAX;
        if dropped {
            desk.waiting.pop_front();
        }
        desk.waiting.push_back(webhook);
        self.0.changed.notify_all();
        Put { waiting: desk.waiting.len(), dropped }
    }

    /// Waits for a webhook, to be followed by [`Self::sent`]; with it comes how many are left.
    /// `None` when the server has ended and none is left.
    pub(crate) fn next(&self) -> Option<(Webhook, usize)> {
        let mut desk = self.desk();
        loop {
            if let Some(webhook) = desk.waiting.pop_front() {
                desk.sending = true;
                return Some((webhook, desk.waiting.len()));
            }
            if desk.end.is_some() {
                return None;
            }
            desk = self.0.changed.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The last one was sent or given up.
    pub(crate) fn sent(&self) {
        self.desk().sending = false;
        self.0.changed.notify_all();
    }

    /// Waits for what is left, for at most `within`; returns how many were not sent.
    pub(crate) fn end(&self, within: Duration) -> usize {
        let end = Instant::now() + within;
        let mut desk = self.desk();
        desk.end = Some(end);
        self.0.changed.notify_all();
        while !desk.waiting.is_empty() || desk.sending {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.0.changed.wait_timeout(desk, left);
            desk = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        desk.waiting.len() + usize::from(desk.sending)
    }

    /// How long there is left to send, once the server ends.
    pub(crate) fn left(&self) -> Option<Duration> {
        self.desk().end.map(|end| end.saturating_duration_since(Instant::now()))
    }

    /// Pauses, or for a shorter time when the server ends.
    pub(crate) fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut desk = self.desk();
        loop {
            let now = Instant::now();
            let until = match desk.end {
                Some(end) => until.min(end).min(now + PAUSE_ENDING),
                None => until,
            };
            let is_ending = desk.end.is_some();
            let left = until.saturating_duration_since(now);
            if left.is_zero() {
                return;
            }
            let waited = self.0.changed.wait_timeout(desk, left);
            desk = waited.unwrap_or_else(PoisonError::into_inner).0;
            if is_ending {
                return;
            }
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hurricane_scoreboard::{WebhookKind, WebhookStatus};

    fn webhook(kind: WebhookKind) -> Webhook {
        Webhook::new(kind, WebhookStatus::Succeeded, None)
    }

    #[test]
    fn the_oldest_makes_room() {
        let outbound = Outbound::new();
        outbound.put(webhook(WebhookKind::Startup));
        for waiting in 2..=WAITING_MAX {
            let put = outbound.put(webhook(WebhookKind::Liveness));
            assert_eq!(put, Put { waiting, dropped: false });
        }
        let put = outbound.put(webhook(WebhookKind::Readiness));
        assert_eq!(put, Put { waiting: WAITING_MAX, dropped: true });
        let (next, left) = outbound.next().unwrap();
        assert_eq!((next.kind, left), (WebhookKind::Liveness, WAITING_MAX - 1));
    }

    #[test]
    fn an_end_waits_for_what_is_being_sent_and_no_longer_than_it_may() {
        let outbound = Outbound::new();
        outbound.put(webhook(WebhookKind::Startup));
        outbound.next().unwrap();
        outbound.put(webhook(WebhookKind::Drain));
        assert_eq!(outbound.end(Duration::from_millis(1)), 2);
        outbound.sent();
        outbound.next().unwrap();
        outbound.sent();
        assert_eq!(outbound.end(Duration::from_secs(60)), 0);
        assert!(outbound.next().is_none());
    }
}
