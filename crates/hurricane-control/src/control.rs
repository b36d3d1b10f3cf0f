//! The life of the control process: its runtime, what runs in it, and when it ends.

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hurricane_http::Answered;
use hurricane_scoreboard::Scoreboard;
use tokio::io::AsyncReadExt;
use tokio::task::LocalSet;

use crate::checks::{Check, Runner};
use crate::correspondent::OwnWebhooks;
use crate::error::ControlError;
use crate::health::HealthLog;
use crate::listener::{self, Desk};
use crate::news::Newsroom;
use crate::page::{MetricsPage, PageOptions};
use crate::route::ProbePaths;
use crate::verdict::VerdictLimits;
use crate::webhook::WebhookOptions;

/// What the control process runs with.
pub struct ControlOptions {
    /// Bound probe listeners; empty when probes are integrated into the workers or switched off.
    pub listeners: Vec<TcpListener>,
    /// Where the probes are.
    pub paths: ProbePaths,
    /// What decides them.
    pub limits: VerdictLimits,
    /// Run in the background; at most [`CHECKS_MAX`].
    pub checks: Vec<Check>,
    /// Where changes of health are told.
    pub webhook: Option<WebhookOptions>,
    /// What the project does with them itself.
    pub own_webhooks: Option<OwnWebhooks>,
    /// What `/metrics` is made of.
    pub page: PageOptions,
    /// Static part of `/status`: version, worker count and its reason, engine, ports.
    pub server: serde_json::Value,
    /// Who is told of answers to probes, if anybody wants to know. Must not wait.
    pub logged: Option<Logged>,
}

/// How often checks run that probes have run.
const SELDOM: Duration = Duration::from_secs(24 * 60 * 60);

/// Takes what was answered, for the access log.
pub type Logged = Arc<dyn Fn(&Answered<'_>) + Send + Sync>;

/// Answers probes and runs checks on the calling thread, until the supervisor says stop (`s`
/// on `orders`), says that a successor takes over (`r`), or is gone.
///
/// A check that still runs then is not waited for; webhooks are, for some seconds, unless a
/// successor sends them.
///
/// # Errors
/// When threads, sockets or a runtime cannot be had at the start.
pub fn run(
    options: ControlOptions,
    board: Scoreboard,
    orders: UnixStream,
) -> Result<(), ControlError> {
    let ControlOptions { listeners, paths, limits, checks, page, server, logged, .. } = options;
    let (webhook, own_webhooks) = (options.webhook, options.own_webhooks);
    let asks = limits.manners.asks_checks && !listeners.is_empty();
    let longest = checks.iter().map(|check| check.timeout).max().unwrap_or_default();
    let interval = |check: &Check| if asks { SELDOM } else { check.interval };
    let checks = checks.into_iter().map(|check| Check { interval: interval(&check), ..check });
    // Both end when they go out of scope; the log after the checks, which report to it.
    let health = HealthLog::start(board.clone(), limits.clone())?;
    let runner = Runner::start(checks.collect(), &board, &health, asks)?;
    let asker = asks.then(|| runner.asker(longest));
    let newsroom = (webhook.is_some() || own_webhooks.is_some())
        .then(|| {
            Newsroom::start(webhook, own_webhooks, limits.clone(), &board, !listeners.is_empty())
        })
        .transpose()?;
    let page = MetricsPage::start(page, &board)?;
    let probed = newsroom.as_ref().and_then(Newsroom::probed);
    let desk = Desk { paths, limits, server, board, page, logged, asker, probed };
    let ended = on_runtime(serve(listeners, desk, orders))?;
    if let (Some(newsroom), End::Server) = (newsroom, ended?) {
        newsroom.end();
    }
    Ok(())
}

/// What has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// This and all other processes of the server.
    Server,
    /// This process, for which another takes over.
    Process,
}

/// Serves until the supervisor ends it.
async fn serve(
    listeners: Vec<TcpListener>,
    desk: Desk,
    orders: UnixStream,
) -> Result<End, ControlError> {
    let orders = orders
        .set_nonblocking(true)
        .and_then(|()| tokio::net::UnixStream::from_std(orders))
        .map_err(|source| ControlError::Socket { what: "the supervisor's socket", source })?;
    let listeners = listeners
        .into_iter()
        .map(|listener| {
            listener.set_nonblocking(true)?;
            tokio::net::TcpListener::from_std(listener)
        })
        .collect::<io::Result<Vec<_>>>()
        .map_err(|source| ControlError::Socket { what: "a probe listener", source })?;
    Ok(listener::serve(listeners, Rc::new(desk), stopped(orders)).await)
}

/// Resolves when the supervisor ends us or is gone. Draining is read from the scoreboard.
async fn stopped(mut orders: tokio::net::UnixStream) -> End {
    let mut order = [0_u8; 1];
    loop {
        match orders.read(&mut order).await {
            Ok(1) if order == *b"r" => {
                tracing::debug!("control process makes way for another");
                return End::Process;
            }
            Ok(1) if order != *b"s" => {}
            Ok(1) => {
                tracing::debug!("control process was told to stop");
                return End::Server;
            }
            Ok(_) => {
                tracing::debug!("supervisor is gone, control process stops");
                return End::Server;
            }
            Err(error) => {
                tracing::debug!(%error, "supervisor cannot be heard, control process stops");
                return End::Server;
            }
        }
    }
}

/// Ring entries. Locked memory is charged per user over all pods of a node, and nothing here
/// needs a deep ring.
const RING_ENTRIES: u32 = 8;

/// Runs `main` on tokio-uring, or on plain tokio where a ring is refused. What runs uses tokio's
/// sockets and timers only, so that both are equally correct.
fn on_runtime<T>(main: impl Future<Output = T>) -> Result<T, ControlError> {
    // No DEFER_TASKRUN: nobody would enter the ring to run the deferred work.
    let mut ring = tokio_uring::builder();
    ring.entries(RING_ENTRIES);
    match tokio_uring::Runtime::new(&ring) {
        Ok(runtime) => {
            tracing::debug!(engine = "tokio-uring", "control process has its runtime");
            Ok(runtime.block_on(main))
        }
        Err(refusal) => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(ControlError::Runtime)?;
            tracing::debug!(engine = "tokio", %refusal, "control process has its runtime");
            Ok(LocalSet::new().block_on(&runtime, main))
        }
    }
}
