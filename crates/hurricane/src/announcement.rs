//! What a project that was served by Django-Hurricane 1.6.2 looks for in the log: its lines, word for
//! word, or its events, where structlog is used.
//!
//! This is the one place where they are written. Whoever has something to announce calls
//! [`Announcement::say`] in the supervisor; Python's side has the same in
//! `hurricane.server.announcements`.

use std::sync::OnceLock;

use hurricane_control::ProbePaths;
use tracing::Level;

/// Says announcements in the language of what is served; false when nobody would hear that. Then
/// they are lines of ours.
pub type Voice = Box<dyn Fn(&Announcement<'_>) -> bool + Send + Sync>;

static VOICE: OnceLock<(u32, Voice)> = OnceLock::new();

/// From here on this process, and none that it forks, says announcements. Servers that replace no
/// Django-Hurricane never call this, and say none.
pub fn announce_through(voice: Voice) {
    // A second server in one process speaks with the voice of the first.
    let _ = VOICE.set((std::process::id(), voice));
}

/// A line, or an event.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "fields are named as what they stand for in the line")]
pub enum Announcement<'a> {
    /// The server begins to start.
    Banner { legacy: bool },
    /// Probes have a port of their own, or are answered on the application's.
    Probes { port: u16, integrated: bool, paths: &'a ProbePaths },
    /// There are no probes.
    NoProbes,
    /// `/metrics`, and where.
    Metrics { port: u16, path: &'a str },
    /// There are no metrics, because of this flag.
    NoMetrics { flag: &'static str },
    /// `--max-memory`, in MiB.
    MemoryLimit { max: Option<u64>, legacy: bool },
    /// The server has grown over it, by now so often; in MiB.
    MemoryExceeded { now: f64, max: u64, times: u64 },
    /// The application's port.
    Serving { port: u16 },
    /// Every worker serves.
    Started { port: u16, seconds: f64, workers: usize },
    /// The server was told to stop.
    Signal { name: &'a str },
}

/// The value of an event's field.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "named as the types are")]
pub enum Value<'a> {
    Text(&'a str),
    Number(u64),
    Real(f64),
    Flag(bool),
}

/// How structlog gets an announcement: not at all where there is no name.
#[derive(Debug)]
pub struct Event<'a> {
    /// What has happened.
    pub name: Option<&'a str>,
    /// Its circumstances.
    pub fields: Vec<(&'static str, Value<'a>)>,
}

impl Announcement<'_> {
    /// Says it, unless nothing is announced by this server; whether it did.
    pub fn say(&self) -> bool {
        let Some((process, voice)) = VOICE.get() else { return false };
        if *process != std::process::id() || !voice(self) {
            let text = self.text();
            match self.level() {
                Level::WARN => tracing::warn!("{text}"),
                _ => tracing::info!("{text}"),
            }
        }
        true
    }

    /// How important it is.
    pub fn level(&self) -> Level {
        match self {
            // It says nothing bad of us: each worker is held to its share of the pod's memory.
            Self::MemoryLimit { max: None, legacy: true } | Self::MemoryExceeded { .. } => {
                Level::WARN
            }
            _ => Level::INFO,
        }
    }

    /// The line.
    pub fn text(&self) -> String {
        match self {
            Self::Banner { legacy: true } => {
                format!("{BANNER} Version: {}", crate::VERSION)
            }
            Self::Banner { legacy: false } => {
                format!("Hurricane, in place of the {BANNER} Version: {}", crate::VERSION)
            }
            Self::Probes { port, integrated, paths } => {
                let ProbePaths { liveness, readiness, startup, .. } = paths;
                let routes = format!(
                    "liveness-probe: {liveness}, readiness-probe: {readiness}, \
                     startup-probe: {startup}"
                );
                if *integrated {
                    format!(
                        "Starting probe application with routes {routes} running integrated on \
                         port {port}"
                    )
                } else {
                    format!("Starting probe application running on port {port} with route {routes}")
                }
            }
            Self::NoProbes => "No probe application running".to_owned(),
            Self::Metrics { port, path } => {
                format!("Starting Prometheus metrics exporter on port {port} with route {path}")
            }
            Self::NoMetrics { flag } => {
                format!("Running without Prometheus exporter, because {flag} flag was set")
            }
            Self::MemoryLimit { max: None, .. } => {
                "Starting without memory allocation check".to_owned()
            }
            Self::MemoryLimit { max: Some(max), .. } => {
                format!("Starting memory allocation check with maximum memory set to {max} Mb")
            }
            Self::MemoryExceeded { now, max, times } => format!(
                "Memory (rss) usage is too high. Restarting. Current memory usage is {now}MB; \
                 Maximum memory allowed is {max}MB (restart #{times})"
            ),
            Self::Serving { port } => format!("Starting HTTP Server on port {port}"),
            Self::Started { seconds, .. } => format!("Startup time is {seconds} seconds"),
            Self::Signal { name } => format!("Received signal {name}. Shutting down now."),
        }
    }

    /// The event, where it is not the line.
    pub fn event(&self) -> Option<Event<'_>> {
        use Value::{Flag, Number, Real, Text};
        let (name, fields) = match self {
            Self::Banner { .. } => (BANNER, vec![("hurricane", Text(crate::VERSION))]),
            Self::Probes { port, integrated, paths } => (
                "Probe configured",
                vec![
                    ("active", Flag(true)),
                    ("integrated", Flag(*integrated)),
                    ("port", Number((*port).into())),
                    ("liveness", Text(&paths.liveness)),
                    ("readiness", Text(&paths.readiness)),
                    ("startup", Text(&paths.startup)),
                ],
            ),
            Self::NoProbes => ("Probes configured", vec![("active", Flag(false))]),
            Self::Metrics { port, path } => (
                METRICS,
                vec![
                    ("port", Number((*port).into())),
                    ("route", Text(path)),
                    ("active", Flag(true)),
                ],
            ),
            Self::NoMetrics { .. } => (METRICS, vec![("active", Flag(false))]),
            Self::MemoryLimit { max: None, .. } => {
                ("Memory allocation check", vec![("active", Flag(false))])
            }
            Self::MemoryLimit { max: Some(max), .. } => (
                "Memory allocation check",
                vec![("active", Flag(true)), ("max_memory_mb", Number(*max))],
            ),
            Self::MemoryExceeded { now, max, times } => (
                "Memory (rss) usage is too high. Restarting",
                vec![
                    ("current_mb", Real(*now)),
                    ("maximum_memory_mb", Number(*max)),
                    ("restarts", Number(*times)),
                ],
            ),
            Self::Serving { .. } => return Some(Event { name: None, fields: Vec::new() }),
            Self::Started { port, seconds, workers } => (
                "HTTP configured",
                vec![
                    ("time", Real(*seconds)),
                    ("port", Number((*port).into())),
                    ("workers", Number(*workers as u64)),
                ],
            ),
            Self::Signal { .. } => return None,
        };
        Some(Event { name: Some(name), fields })
    }
}

/// By this users' tests know that the server has been started.
const BANNER: &str = "Tornado-powered Django web server.";
/// The event of both announcements about metrics.
const METRICS: &str = "Prometheus configured";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_django_hurricane_word_for_word() {
        let paths = ProbePaths::default();
        let probes = |integrated| Announcement::Probes { port: 8001, integrated, paths: &paths };
        let exceeded = Announcement::MemoryExceeded { now: 201.5, max: 200, times: 1 };
        for (announcement, line) in [
            (
                probes(false),
                "Starting probe application running on port 8001 with route liveness-probe: \
                 /alive, readiness-probe: /ready, startup-probe: /startup",
            ),
            (
                probes(true),
                "Starting probe application with routes liveness-probe: /alive, readiness-probe: \
                 /ready, startup-probe: /startup running integrated on port 8001",
            ),
            (Announcement::NoProbes, "No probe application running"),
            (
                Announcement::Metrics { port: 8001, path: "/metrics" },
                "Starting Prometheus metrics exporter on port 8001 with route /metrics",
            ),
            (
                Announcement::NoMetrics { flag: "--no-probe" },
                "Running without Prometheus exporter, because --no-probe flag was set",
            ),
            (
                Announcement::MemoryLimit { max: None, legacy: false },
                "Starting without memory allocation check",
            ),
            (
                Announcement::MemoryLimit { max: Some(200), legacy: false },
                "Starting memory allocation check with maximum memory set to 200 Mb",
            ),
            (
                exceeded,
                "Memory (rss) usage is too high. Restarting. Current memory usage is 201.5MB; \
                 Maximum memory allowed is 200MB (restart #1)",
            ),
            (Announcement::Serving { port: 8000 }, "Starting HTTP Server on port 8000"),
            (
                Announcement::Started { port: 8000, seconds: 0.25, workers: 2 },
                "Startup time is 0.25 seconds",
            ),
            (
                Announcement::Signal { name: "SIGTERM" },
                "Received signal SIGTERM. Shutting down now.",
            ),
        ] {
            assert_eq!(announcement.text(), line);
        }
    }

    #[test]
    fn the_banner_says_who_we_are_and_holds_what_tests_look_for() {
        let wanted = format!("Tornado-powered Django web server. Version: {}", crate::VERSION);
        assert_eq!(Announcement::Banner { legacy: true }.text(), wanted);
        let ours = Announcement::Banner { legacy: false }.text();
        assert!(ours.starts_with("Hurricane") && ours.ends_with(&wanted), "{ours}");
    }

    #[test]
    fn what_begins_to_serve_is_no_event_of_its_own() {
        assert!(Announcement::Serving { port: 1 }.event().unwrap().name.is_none());
        let started = Announcement::Started { port: 8000, seconds: 0.5, workers: 2 };
        let event = started.event().unwrap();
        assert_eq!(event.name, Some("HTTP configured"));
        assert_eq!(event.fields[1], ("port", Value::Number(8000)));
    }

    #[test]
    fn a_server_without_a_voice_announces_nothing() {
        assert!(!Announcement::NoProbes.say());
    }
}
