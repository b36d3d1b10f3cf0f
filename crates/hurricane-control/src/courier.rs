//! Sends webhooks in order, on a thread of its own, so that nothing waits for their receiver.
//!
//! Invariants:
//! - Each is tried `attempts_max` times, and an attempt takes `ATTEMPT_TIME_MAX`: a receiver that is
//!   gone costs a thread and some kilobytes.
//! - Once it is told to end, it goes on for no longer than it is given.

use std::time::Duration;

use hurricane_scoreboard::{Monotonic, Scoreboard, WebhookEnd};

use crate::error::ControlError;
use crate::outbound::Outbound;
use crate::thread::spawn;
use crate::webhook::{ATTEMPT_TIME_MAX, Webhook, WebhookOptions, log_initiated, log_unsent};

/// Before the second attempt; twice as long before each further one.
const PAUSE_FIRST: Duration = Duration::from_millis(500);

/// The way to the thread that sends.
#[derive(Clone)]
pub(crate) struct Courier(Outbound);

impl Courier {
    pub(crate) fn start(options: WebhookOptions, board: Scoreboard) -> Result<Self, ControlError> {
        let courier = Self(Outbound::new());
        let own = courier.clone();
        spawn("courier".into(), move || own.carry(&options, &board))?;
        Ok(courier)
    }

    /// Takes a webhook and returns at once.
    pub(crate) fn take(&self, webhook: Webhook, board: &Scoreboard) {
        let put = self.0.put(webhook);
        if put.dropped {
            board.control().webhook_dropped();
        }
        board.control().set_webhooks_waiting(put.waiting);
    }

    /// Sends what is left for at most `within`; returns how many were not sent.
    pub(crate) fn end(&self, within: Duration) -> usize {
        self.0.end(within)
    }

    /// The body of the thread.
    fn carry(&self, options: &WebhookOptions, board: &Scoreboard) {
        while let Some((webhook, left)) = self.0.next() {
            board.control().set_webhooks_waiting(left);
            log_initiated(&webhook);
            let answer = self.deliver(&webhook, options);
            let Webhook { kind, status, .. } = webhook;
            let end = WebhookEnd { kind, status, answer, at: Monotonic::now() };
            if !end.is_delivered() {
                let (kind, status) = (kind.as_str(), status.as_str());
                tracing::warn!(kind, status, "webhook is given up");
            }
            board.control().webhook_ended(&end);
            self.0.sent();
        }
    }

    /// Tries until it is taken; returns the receiver's last status code.
    fn deliver(&self, webhook: &Webhook, options: &WebhookOptions) -> Option<u16> {
        let mut answer = None;
        for attempt in 0..options.attempts_max {
            let left = self.0.left();
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
            if attempt + 1 < options.attempts_max {
                self.0.pause(PAUSE_FIRST * 2_u32.pow(attempt));
            }
        }
        answer
    }
}
