//! `/metrics`: what the server has counted, and what the project counts itself.
//!
//! The project's part is asked of its interpreter, on a thread of its own. Whoever scrapes waits
//! for it, for a bounded time; nobody else does.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Duration;

use hurricane_http::Response;
use hurricane_scoreboard::{Monotonic, Scoreboard};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::error::ControlError;
use crate::metrics;
use crate::thread::spawn;
use crate::traffic::{self, TrafficInfo};
use crate::verdict::{Snapshot, VerdictLimits};

/// The project's part of the page in text of version 0.0.4, or why there is none.
pub type ProjectMetrics = Arc<dyn Fn(&Scoreboard) -> Result<String, String> + Send + Sync>;

/// What `/metrics` is made of.
#[derive(Clone, Default)]
pub struct PageOptions {
    /// What is said of the server.
    pub info: TrafficInfo,
    /// Whether the server's own families are on the page too.
    pub is_extended: bool,
    /// Asked at each scrape.
    pub project: Option<ProjectMetrics>,
}

/// The longest wait for the project's part.
const PROJECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Scrapes that may wait for it.
const WAITING_MAX: usize = 64;

type Part = Result<String, String>;

/// The page, ready to be scraped.
pub(crate) struct MetricsPage {
    info: TrafficInfo,
    is_extended: bool,
    /// Asks for the project's part.
    ask: Option<SyncSender<oneshot::Sender<Part>>>,
}

impl MetricsPage {
    pub(crate) fn start(options: PageOptions, board: &Scoreboard) -> Result<Self, ControlError> {
        let PageOptions { info, is_extended, project } = options;
        let ask = match project {
            None => None,
            Some(project) => {
                let (ask, asked) = mpsc::sync_channel(WAITING_MAX);
                let board = board.clone();
                spawn("metrics".into(), move || answer(&project, &board, &asked))?;
                Some(ask)
            }
        };
        Ok(Self { info, is_extended, ask })
    }

    /// The response to a scrape.
    pub(crate) async fn respond(
        &self,
        limits: &VerdictLimits,
        server: &Value,
        board: &Scoreboard,
    ) -> Response {
        let mut page = match self.project().await {
            Ok(part) => part,
            Err(cause) => {
                tracing::warn!(cause, "the project's metrics are not on the page");
                format!("# the project's metrics are missing: {}\n", cause.replace('\n', " "))
            }
        };
        // After the wait: what was answered until now is counted.
        page.push_str(&traffic::render(board, &self.info));
        if self.is_extended {
            let snapshot = Snapshot::take(board, Monotonic::now());
            page.push_str(&metrics::text(&snapshot, limits, server, board));
        }
        let mut response = Response::text(page);
        response.headers.clear();
        response.with_header("Content-Type", metrics::TEXT).with_header("Cache-Control", "no-store")
    }

    async fn project(&self) -> Part {
        let Some(ask) = &self.ask else { return Ok(String::new()) };
        let (tell, told) = oneshot::channel();
        if ask.try_send(tell).is_err() {
            return Err(format!("{WAITING_MAX} scrapes wait for them already"));
        }
        match timeout(PROJECT_TIMEOUT, told).await {
            Ok(Ok(part)) => part,
            Ok(Err(_)) => Err("their thread is gone".to_owned()),
            Err(_) => Err(format!("they took longer than {} s", PROJECT_TIMEOUT.as_secs())),
        }
    }
}

/// The response to a scrape, on the thread that calls and for as long as the project takes: where
/// probes share the application's port, in a worker.
pub fn scrape(
    options: &PageOptions,
    limits: &VerdictLimits,
    server: &Value,
    board: &Scoreboard,
) -> Response {
    let part = options.project.as_ref().map_or_else(|| Ok(String::new()), |project| project(board));
    compose(part, &options.info, options.is_extended.then_some((limits, server)), board)
}

/// `extension`: what the server's own families need, where they are wanted.
fn compose(
    part: Part,
    info: &TrafficInfo,
    extension: Option<(&VerdictLimits, &Value)>,
    board: &Scoreboard,
) -> Response {
    let mut page = part.unwrap_or_else(|cause| {
        tracing::warn!(cause, "the project's metrics are not on the page");
        format!("# the project's metrics are missing: {}\n", cause.replace('\n', " "))
    });
    // After the project's part: what was answered until now is counted.
    page.push_str(&traffic::render(board, info));
    if let Some((limits, server)) = extension {
        let snapshot = Snapshot::take(board, Monotonic::now());
        page.push_str(&metrics::text(&snapshot, limits, server, board));
    }
    let mut response = Response::text(page);
    response.headers.clear();
    response.with_header("Content-Type", metrics::TEXT).with_header("Cache-Control", "no-store")
}

/// The life of the thread: one run for all that wait when it begins.
fn answer(project: &ProjectMetrics, board: &Scoreboard, asked: &Receiver<oneshot::Sender<Part>>) {
    while let Ok(first) = asked.recv() {
        let waiting: Vec<_> = std::iter::once(first).chain(asked.try_iter()).collect();
        // Those who have given up need no answer.
        let waiting: Vec<_> = waiting.into_iter().filter(|one| !one.is_closed()).collect();
        if waiting.is_empty() {
            continue;
        }
        let part = project(board);
        for one in waiting {
            let _ = one.send(part.clone());
        }
    }
}
