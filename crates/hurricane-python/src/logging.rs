//! The server's life in Python's logging: where the project has given `hurricane.server.general`
//! (or a logger above it) a handler that takes it, the supervisor's lines go there instead of to
//! stderr.
//!
//! Only the supervisor's: a line must not make a worker's loop, or the thread that answers
//! probes, wait for the interpreter lock.

use std::fmt::{Debug, Write};

use hurricane::ExtraLayer;
use pyo3::prelude::*;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer};

const LOGGER: &str = "hurricane.server.general";

const INFO: i32 = 20;

/// A layer that hands events to Python; `None` when no handler would take the start line.
pub(crate) fn bridge(py: Python<'_>) -> PyResult<Option<ExtraLayer>> {
    let logger = py.import("logging")?.call_method1("getLogger", (LOGGER,))?;
    if !is_heard(&logger)? {
        return Ok(None);
    }
    let bridge = Bridge { logger: logger.unbind(), supervisor: std::process::id() };
    Ok(Some(Box::new(bridge)))
}

/// Whether a line of level info reaches a handler: a line that Python drops must not be lost.
fn is_heard(logger: &Bound<'_, PyAny>) -> PyResult<bool> {
    if !logger.call_method1("isEnabledFor", (INFO,))?.extract::<bool>()? {
        return Ok(false);
    }
    let mut logger = logger.clone();
    while !logger.is_none() {
        for handler in logger.getattr("handlers")?.try_iter()? {
            if handler?.getattr("level")?.extract::<i32>()? <= INFO {
                return Ok(true);
            }
        }
        if !logger.getattr("propagate")?.is_truthy()? {
            break;
        }
        logger = logger.getattr("parent")?;
    }
    Ok(false)
}

struct Bridge {
    logger: Py<PyAny>,
    /// The process whose events go to Python.
    supervisor: u32,
}

impl Layer<Registry> for Bridge {
    /// False: the event is Python's now, and no other layer sees it.
    fn event_enabled(&self, event: &Event<'_>, _context: Context<'_, Registry>) -> bool {
        if std::process::id() != self.supervisor {
            return true;
        }
        let mut line = Line::default();
        event.record(&mut line);
        let level = match *event.metadata().level() {
            Level::ERROR => 40,
            Level::WARN => 30,
            Level::INFO => INFO,
            Level::DEBUG => 10,
            Level::TRACE => 5,
        };
        let logged = Python::attach(|py| {
            let text = format!("{}{}", line.sentence, line.fields);
            self.logger.call_method1(py, "log", (level, "%s", text)).map(drop)
        });
        logged.is_err()
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
