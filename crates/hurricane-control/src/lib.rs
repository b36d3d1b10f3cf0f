//! The control process: probe endpoints that Kubernetes polls, and the checks behind them.
//!
//! It shares no loop with a worker, so that a stalled worker or a broken ring is reported, not
//! shared. A probe goes `listener` → `route` (one `match`) → `verdict` (a pure function over a
//! snapshot of the scoreboard); `checks` run beside it on threads of their own. What changes is
//! logged by `health`, and told to webhooks: `news` → `courier` → `webhook` → `client`, or →
//! `correspondent` where the project has webhooks of its own.
//!
//! | path | answers |
//! |---|---|
//! | `/startup` | 200 for ever once every worker has had its first heartbeat |
//! | `/ready` | 200 while every worker is alive, the queue is short and readiness checks pass |
//! | `/alive` | 200 unless something is wrong that only a new pod mends |
//! | `/status` | the whole picture as JSON |
//! | `/metrics/server` | the same as numbers for Prometheus |
//! | `/metrics` | requests, and what the project counts, for Prometheus |
//!
//! Invariants:
//! - An answer is computed from the scoreboard alone: it waits for no check, no worker, no lock
//!   and no database. `/metrics` alone waits for the project's interpreter, and nobody for it. Where
//!   [`Manners`] say so a probe waits for its checks, for a bounded time, and nobody for it.
//! - `/alive` sees only liveness checks: a lost database must not restart the pod.
//! - Nothing that a peer sends can panic or outgrow `listener`'s limits.

#![forbid(unsafe_code)]

mod checks;
mod client;
mod control;
mod correspondent;
mod courier;
mod error;
mod health;
mod host;
mod listener;
mod manners;
mod metrics;
mod news;
mod outbound;
mod page;
mod patterns;
mod route;
mod status;
mod thread;
mod traffic;
mod verdict;
mod webhook;

pub use checks::{Check, CheckOutcome};
pub use client::{Unsent, ask, post};
pub use control::{ControlOptions, Logged, run};
pub use correspondent::{OwnWebhooks, Tell};
pub use error::ControlError;
pub use hurricane_scoreboard::{Purpose, WebhookKind, WebhookStatus};
pub use manners::Manners;
pub use page::{PageOptions, ProjectMetrics, scrape};
pub use patterns::{PatternError, Patterns};
pub use route::{ProbePaths, answer};
pub use traffic::TrafficInfo;
pub use verdict::{DrainReadiness, DrainReadinessError, VerdictLimits, Wording};
pub use webhook::{ATTEMPTS_MAX, WebhookOptions, WebhookUrl, WebhookUrlError, send_failed_start};
