//! What `/metrics` is made of: what the flags say, and what a service adds.

use std::sync::Arc;

use hurricane_control::{PageOptions, ProjectMetrics, TrafficInfo};
use hurricane_http::{Head, Response};
use hurricane_scoreboard::Scoreboard;
use serde_json::Value;

use crate::config::{Config, ProbePort};
use crate::listener::endpoint::Endpoint;

/// Answers a scrape; `None`: something else is asked for.
pub type Scrape = Arc<dyn Fn(&Head) -> Option<Response> + Send + Sync>;

/// A service's part of the metrics.
#[derive(Clone, Default)]
pub struct ProjectPart {
    /// The management commands that it runs before it serves.
    pub commands: Vec<String>,
    /// Whether its static files are served.
    pub serves_static: bool,
    /// Whether its uploads are served.
    pub serves_media: bool,
    /// Asked at each scrape, in the process that answers probes.
    pub collect: Option<ProjectMetrics>,
}

impl ProjectPart {
    pub(crate) fn add_to(&self, page: &mut PageOptions) {
        page.project.clone_from(&self.collect);
        let labels = [
            ("commands", self.commands.join(",")),
            ("serve_static", self.serves_static.to_string()),
            ("serve_media", self.serves_media.to_string()),
        ];
        page.info.labels.extend(labels.map(|(name, value)| (name.to_owned(), value)));
    }
}

/// Answers scrapes of `/metrics` where probes share the application's port. It may take as long as
/// the project does.
pub(crate) fn scrape(
    config: Arc<Config>,
    page: PageOptions,
    status: Value,
    board: Scoreboard,
) -> Option<Scrape> {
    let is_wanted = config.probe_port == ProbePort::Integrated && config.has_metrics();
    is_wanted.then(|| -> Scrape {
        Arc::new(move |head| {
            let is_asked = config.paths.is_metrics(head.path());
            let scraped = || hurricane_control::scrape(&page, &config.verdict, &status, &board);
            is_asked.then(scraped)
        })
    })
}

/// What `/metrics` says, but for the project's part.
pub(crate) fn page(config: &Config, (app, probes): (&Endpoint, Option<&Endpoint>)) -> PageOptions {
    let port =
        |endpoint: &Endpoint| endpoint.tcp().map_or(String::new(), |it| it.port().to_string());
    let labels = [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("server_port", port(app)),
        ("probe_port", port(probes.unwrap_or(app))),
    ];
    let labels = labels.map(|(name, value)| (name.to_owned(), value)).into();
    let info = TrafficInfo {
        labels,
        byte_buckets: config.metrics_extended,
        manners: config.verdict.manners,
    };
    PageOptions { info, is_extended: config.metrics_extended, project: None }
}
