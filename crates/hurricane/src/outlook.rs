//! Which engine the workers will find, learned before one is started; the start line and the part of
//! `/status` that tell it.

use std::io;

use hurricane_scoreboard::{Engine, Scoreboard};
use hurricane_worker::{IoChoice, prove_ring};
use serde_json::{Value, json};

use crate::announcement::Announcement;
use crate::config::{Config, ConsumerOptions, ProbePort};
use crate::listener::endpoint::Endpoint;
use crate::process;
use crate::server::Entrance;

/// Which engine the workers will find, and why.
#[derive(Debug)]
pub(crate) struct Outlook {
    pub(crate) engine: Engine,
    pub(crate) reason: String,
}

/// Why the workers would not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutlookError {
    #[error("--io io-uring cannot be had: {0}")]
    RingRefused(String),
    #[error("no process can be started")]
    Process(#[source] io::Error),
}

/// Tries out io_uring in a process of its own, so that the supervisor never makes a ring.
pub(crate) fn engine_outlook(config: &Config) -> Result<Outlook, OutlookError> {
    if config.consumer.is_some() {
        let reason = "a consumer has no connections to serve".into();
        return Ok(Outlook { engine: Engine::Unknown, reason });
    }
    let io = config.io;
    if io == IoChoice::Epoll {
        return Ok(Outlook { engine: Engine::Epoll, reason: "--io epoll".into() });
    }
    let question = || prove_ring().err().map_or_else(String::new, |error| error.to_string());
    let refusal = process::ask_child(question).map_err(OutlookError::Process)?;
    match (refusal.is_empty(), io) {
        (true, IoChoice::IoUring) => {
            Ok(Outlook { engine: Engine::IoUring, reason: "--io io-uring".into() })
        }
        (true, _) => Ok(Outlook { engine: Engine::IoUring, reason: "it can be had here".into() }),
        (false, IoChoice::IoUring) => Err(OutlookError::RingRefused(refusal)),
        (false, _) => Ok(Outlook { engine: Engine::Epoll, reason: refusal }),
    }
}

/// Publishes how the application is entered.
pub(crate) fn note_entrance(board: &Scoreboard, entrance: Option<&Entrance>) {
    if let Some((interface, reason)) = entrance.and_then(|entrance| entrance()) {
        board.server().interface().set(interface);
        board.server().interface_reason().set(&reason);
    }
}

/// The start line.
pub(crate) fn log_start(
    config: &Config,
    outlook: &Outlook,
    (app, probes): (&Endpoint, Option<&Endpoint>),
    board: &Scoreboard,
) {
    if let Some(consumer) = &config.consumer {
        return log_consumer(consumer, probes);
    }
    let engines: Vec<Engine> = board.read_workers().iter().map(|slot| slot.engine).collect();
    let (engine, reason) = match engines.iter().find(|engine| **engine != outlook.engine) {
        None => (outlook.engine, outlook.reason.as_str()),
        Some(other) => (*other, "some workers were refused a ring, see above"),
    };
    let text = |cell: String| Some(cell).filter(|text| !text.is_empty());
    let interface = text(board.server().interface().get());
    let interface_reason = text(board.server().interface_reason().get());
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        workers = config.workers,
        workers_from = config.workers_reason,
        threads = config.threads,
        engine = engine.as_str(),
        engine_because = reason,
        pin = config.pin.reason,
        interface,
        interface_because = interface_reason,
        app = %app,
        probes = probes.map_or_else(|| "off".to_owned(), ToString::to_string),
        "serving"
    );
}

fn log_consumer(consumer: &ConsumerOptions, probes: Option<&Endpoint>) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        queue = consumer.queue,
        exchange = consumer.exchange,
        broker = %consumer.broker(),
        reconnect = consumer.reconnect,
        probes = probes.map_or_else(|| "off".to_owned(), ToString::to_string),
        "consuming"
    );
}

/// The static part of `/status`.
pub(crate) fn status(
    config: &Config,
    outlook: &Outlook,
    addresses: (&Endpoint, Option<&Endpoint>),
) -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "application_version": config.application_version,
        "pid": process::id(),
        "app": addresses.0.to_string(),
        "probes": addresses.1.map(ToString::to_string),
        "metrics": config.paths.server_metrics,
        "webhook": config.webhook.as_ref().map(|webhook| webhook.url.to_string()),
        "threads": config.threads,
        "io": config.io.to_string(),
        "engine": outlook.engine.as_str(),
        "engine_reason": outlook.reason,
        "pinned": config.pin.is_pinned(),
        "pin_reason": config.pin.reason,
        "consumer": config.consumer.as_ref().map(|consumer| json!({
            "broker": consumer.broker(),
            "queue": consumer.queue,
            "exchange": consumer.exchange,
            "reconnect": consumer.reconnect,
            "max_redeliveries": consumer.redeliveries_max,
        })),
    })
}

/// Announces what the server will do, once its ports are bound.
pub(crate) fn announce_outlook(config: &Config, (app, probes): (&Endpoint, Option<&Endpoint>)) {
    const MIB: u64 = 1 << 20;
    let port = |endpoint: &Endpoint| endpoint.tcp().map(|address| address.port());
    let (paths, integrated) = (&config.paths, config.probe_port == ProbePort::Integrated);
    let place = if integrated { Some(app) } else { probes };
    match (config.probe_port, place.and_then(port)) {
        (ProbePort::Off, _) => {
            Announcement::NoProbes.say();
            Announcement::NoMetrics { flag: "--no-probe" }.say();
        }
        (_, Some(port)) => {
            Announcement::Probes { port, integrated, paths }.say();
            match &paths.metrics {
                Some(path) => Announcement::Metrics { port, path }.say(),
                None => Announcement::NoMetrics { flag: "--no-metrics" }.say(),
            };
        }
        // On a Unix domain socket they have no port to tell.
        (_, None) => {}
    }
    let max = config.recycling.server_memory.map(|bytes| bytes / MIB);
    Announcement::MemoryLimit { max, legacy: config.compat.is_legacy() }.say();
}

/// Announces that every worker serves.
pub(crate) fn announce_start(config: &Config, app: &Endpoint, board: &Scoreboard) {
    let Some(port) = app.tcp().map(|address| address.port()) else { return };
    let server = board.server();
    let seconds = server.startup_finished().since(server.started()).as_secs_f64();
    Announcement::Serving { port }.say();
    Announcement::Started { port, seconds, workers: config.workers.get() }.say();
}
