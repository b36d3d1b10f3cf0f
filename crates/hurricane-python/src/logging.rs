//! The server's life in Python's logging: where the project has given `hurricane.server.general`
//! (or a logger above it) a handler that takes it, the supervisor's lines go there instead of to
//! stderr.
//!
//! Only the supervisor's: a line must not make a worker's loop, or the thread that answers
//! probes, wait for the interpreter lock.

use std::fmt::{Debug, Write};

use hurricane::announcement::{Value, announce_through};
use hurricane::{Config, ExtraLayer, LogFormat, Logging};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer};

const INFO: i32 = 20;

/// Sets logging up; true when Python's takes the supervisor's lines.
pub(crate) fn install(py: Python<'_>, config: &Config) -> bool {
    // Who asks for JSON wants every line as JSON.
    let extra = match config.log_format {
        LogFormat::Json => Ok(None),
        LogFormat::Auto | LogFormat::Human => bridge(py),
    };
    let extra = extra.unwrap_or_else(|error| {
        error.print(py);
        None
    });
    let is_bridged = extra.is_some();
    Logging { extra, ..Logging::new(config.log_format, config.log_level) }.install();
    is_bridged
}

/// A layer that hands events to Python; `None` when nobody there would hear the start line.
fn bridge(py: Python<'_>) -> PyResult<Option<ExtraLayer>> {
    let loggers = py.import("hurricane.server.loggers")?;
    let logger = loggers.getattr("logger")?;
    if !loggers.call_method1("is_heard", (&logger, INFO))?.extract::<bool>()? {
        return Ok(None);
    }
    let log = py.import("hurricane.server.announcements")?.getattr("log_event")?;
    let is_structlog = loggers.getattr("STRUCTLOG_ENABLED")?.extract::<bool>()?;
    let bridge = Bridge {
        logger: logger.unbind(),
        log: is_structlog.then(|| log.unbind()),
        supervisor: std::process::id(),
    };
    Ok(Some(Box::new(bridge)))
}

/// Has the supervisor say announcements, through Python where somebody hears them there.
pub(crate) fn announce(py: Python<'_>, format: LogFormat) -> PyResult<()> {
    if format == LogFormat::Json {
        announce_through(Box::new(|_| false));
        return Ok(());
    }
    let module = py.import("hurricane.server.announcements")?;
    let through = module.getattr("through_logging")?.unbind();
    announce_through(Box::new(move |announcement| {
        let said = Python::attach(|py| {
            let event = announcement.event();
            let fields = PyDict::new(py);
            for (name, value) in event.iter().flat_map(|event| &event.fields) {
                match value {
                    Value::Text(text) => fields.set_item(name, text),
                    Value::Number(number) => fields.set_item(name, number),
                    Value::Real(real) => fields.set_item(name, real),
                    Value::Flag(flag) => fields.set_item(name, flag),
                }?;
            }
            let name = event.as_ref().map(|event| event.name.unwrap_or_default());
            let level = python_level(announcement.level());
            through.call1(py, (level, announcement.text(), name, fields))?.extract::<bool>(py)
        });
        said.unwrap_or(false)
    }));
    Ok(())
}

/// A line of Python's as one of ours. See `_core.pyi`.
#[pyfunction]
pub(crate) fn say(level: i32, text: &str) {
    match level {
        40.. => tracing::error!("{text}"),
        30..40 => tracing::warn!("{text}"),
        20..30 => tracing::info!("{text}"),
        _ => tracing::debug!("{text}"),
    }
}

fn python_level(level: Level) -> i32 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => INFO,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    }
}

struct Bridge {
    logger: Py<PyAny>,
    /// Takes level, event and fields, where the logger is one of structlog.
    log: Option<Py<PyAny>>,
    /// The process whose events go to Python.
    supervisor: u32,
}

impl Layer<Registry> for Bridge {
    /// False: the event is Python's now, and no other layer sees it.
    fn event_enabled(&self, event: &Event<'_>, _context: Context<'_, Registry>) -> bool {
        if std::process::id() != self.supervisor {
            return true;
        }
        let level = python_level(*event.metadata().level());
        let logged = Python::attach(|py| match &self.log {
            Some(log) => {
                let mut parts = Parts { sentence: String::new(), fields: PyDict::new(py) };
                event.record(&mut parts);
                log.call1(py, (level, parts.sentence, parts.fields)).map(drop)
            }
            None => {
                let mut line = Line::default();
                event.record(&mut line);
                let text = format!("{}{}", line.sentence, line.fields);
                self.logger.call_method1(py, "log", (level, "%s", text)).map(drop)
            }
        });
        logged.is_err()
    }
}

/// An event as structlog takes it.
struct Parts<'py> {
    sentence: String,
    fields: Bound<'py, PyDict>,
}

impl Visit for Parts<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        // A field that cannot be set is left out.
        let _ = self.fields.set_item(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.sentence = format!("{value:?}"),
            name => {
                let _ = self.fields.set_item(name, format!("{value:?}"));
            }
        }
    }
}

/// An event as one line: its sentence, then its fields.
#[derive(Default)]
struct Line {
    sentence: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.sentence, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
