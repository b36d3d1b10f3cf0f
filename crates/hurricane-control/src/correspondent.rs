//! Tells news to webhooks that a project has written itself, on a thread of its own: what they do
//! is the project's code, and may take as long as it likes.
//!
//! Invariants:
//! - Nothing waits for it but the end of the server, for no longer than it is given.
//! - A kind of news that it has taken over is not sent by the [`courier`](crate::courier) as well.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hurricane_scoreboard::{Scoreboard, WebhookKind, WebhookStatus};

use crate::error::ControlError;
use crate::outbound::Outbound;
use crate::thread::spawn;
use crate::webhook::Webhook;

/// Webhooks that a project has written itself.
#[derive(Clone)]
pub struct OwnWebhooks {
    /// Kinds of news of which the project's webhook takes the place of the server's.
    pub replaced: Vec<WebhookKind>,
    /// Called with each piece of news, one after the other; returns when it was sent or given up.
    pub tell: Arc<Tell>,
}

/// What happened, how it stands, and why if it is not well.
pub type Tell = dyn Fn(WebhookKind, WebhookStatus, Option<&str>) + Send + Sync;

impl fmt::Debug for OwnWebhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnWebhooks").field("replaced", &self.replaced).finish_non_exhaustive()
    }
}

/// The way to the thread that tells.
#[derive(Clone)]
pub(crate) struct Correspondent {
    outbound: Outbound,
    replaced: Arc<[WebhookKind]>,
}

impl Correspondent {
    /// `alone`: the server has no receiver of its own.
    pub(crate) fn start(
        own: OwnWebhooks,
        board: Scoreboard,
        alone: bool,
    ) -> Result<Self, ControlError> {
        let outbound = Outbound::new();
        let OwnWebhooks { replaced, tell } = own;
        let replaced: Arc<[WebhookKind]> = replaced.into();
        let (waiting, kinds) = (outbound.clone(), Arc::clone(&replaced));
        spawn("own-webhooks".into(), move || {
            while let Some((webhook, _)) = waiting.next() {
                tell(webhook.kind, webhook.status, webhook.why.as_deref());
                // Else the courier notes what was told.
                if alone || kinds.contains(&webhook.kind) {
                    board.control().set_told(webhook.kind, webhook.status);
                }
                waiting.sent();
            }
        })?;
        Ok(Self { outbound, replaced })
    }

    /// Whether news of this kind is for nobody else.
    pub(crate) fn replaces(&self, kind: WebhookKind) -> bool {
        self.replaced.contains(&kind)
    }

    /// Takes news and returns at once.
    pub(crate) fn take(&self, webhook: Webhook) {
        if self.outbound.put(webhook).dropped {
            tracing::warn!("the project's own webhooks are too slow: the oldest news is dropped");
        }
    }

    /// Tells what is left for at most `within`; returns how much was not told.
    pub(crate) fn end(&self, within: Duration) -> usize {
        self.outbound.end(within)
    }
}
