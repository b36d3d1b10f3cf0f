//! Sends webhooks in order, on a thread of its own, so that nothing waits for their receiver.
//!
//! Invariants:
//! - At most `WAITING_MAX` wait, each is tried `ATTEMPTS_MAX` times, and an attempt takes
//!   `ATTEMPT_TIME_MAX`: a receiver that is gone costs a thread and some kilobytes.
//! - When there is no place the oldest is given up: the latest says how things are.
//! - Once it is told to end, it goes on for no longer than it is given.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hurricane_scoreboard::{Monotonic, Scoreboard, WebhookEnd};

use crate::error::ControlError;
use crate::thread::spawn;
use crate::webhook::{ATTEMPT_TIME_MAX, Webhook, WebhookOptions, log_initiated, log_unsent};

const WAITING_MAX: usize = 64;
const ATTEMPTS_MAX: u32 = 5;
/// Before the second attempt; twice as long before each further one.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
/// Between attempts when the server ends.
const PAUSE_ENDING: Duration = Duration::from_millis(250);

/// The way to the thread that sends.
#[derive(Clone)]
pub(crate) struct Courier(Arc<Shared>);

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

impl Courier {
    pub(crate) fn start(options: WebhookOptions, board: Scoreboard) -> Result<Self, ControlError> {
        let courier = Self(Arc::new(Shared { desk: Mutex::default(), changed: Condvar::new() }));
        let own = courier.clone();
        spawn("courier".into(), move || own.carry(&options, &board))?;
        Ok(courier)
    }

    /// Takes a webhook and returns at once.
    pub(crate) fn take(&self, webhook: Webhook, board: &Scoreboard) {
        let mut desk = self.desk();
        if desk.waiting.len() >= WAITING_MAX {
            desk.waiting.pop_front();
            board.control().webhook_dropped();
        }
        desk.waiting.push_back(webhook);
        board.control().set_webhooks_waiting(desk.waiting.len());
        self.0.changed.notify_all();
    }

    /// Sends what is left for at most `within`; returns how many were not sent.
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

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.0.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body of the thread.
    fn carry(&self, options: &WebhookOptions, board: &Scoreboard) {
        while let Some(webhook) = self.next(board) {
            log_initiated(&webhook);
            let answer = self.deliver(&webhook, options);
            let Webhook { kind, status, .. } = webhook;
            let end = WebhookEnd { kind, status, answer, at: Monotonic::now() };
            if !end.is_delivered() {
                let (kind, status) = (kind.as_str(), status.as_str());
                tracing::warn!(kind, status, "webhook is given up");
            }
            board.control().webhook_ended(&end);
            self.desk().sending = false;
            self.0.changed.notify_all();
        }
    }

    /// Waits for a webhook; `None` when the server has ended and none is left.
    fn next(&self, board: &Scoreboard) -> Option<Webhook> {
        let mut desk = self.desk();
        loop {
            if let Some(webhook) = desk.waiting.pop_front() {
                desk.sending = true;
                board.control().set_webhooks_waiting(desk.waiting.len());
                return Some(webhook);
            }
            if desk.end.is_some() {
                return None;
            }
            desk = self.0.changed.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Tries until it is taken; returns the receiver's last status code.
    fn deliver(&self, webhook: &Webhook, options: &WebhookOptions) -> Option<u16> {
        let mut answer = None;
        for attempt in 0..ATTEMPTS_MAX {
            let left = self.desk().end.map(|end| end.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                break;
            }
            match webhook
                .send(options, left.map_or(ATTEMPT_TIME_MAX, |left| left.min(ATTEMPT_TIME_MAX)))
            {
                Ok(status) => return Some(status),
                Err(unsent) => {
                    answer = unsent.answer;
                    log_unsent(&options.url, &unsent);
                    if !unsent.may_pass {
                        break;
                    }
                }
            }
            if attempt + 1 < ATTEMPTS_MAX {
                self.pause(PAUSE_FIRST * 2_u32.pow(attempt));
            }
        }
        answer
    }

    /// Waits, or for a shorter time when the server ends.
    fn pause(&self, pause: Duration) {
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
}
