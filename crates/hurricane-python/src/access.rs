//! The access log through Python: `hurricane.server.access` of `logging`, or of structlog.
//!
//! A thread that has run the application writes the line of its answer, since it holds the
//! interpreter lock already. What others have answered (the loop, the monitor, probes) is handed to
//! the scribe, a thread that does nothing else.

use std::sync::Arc;

use hurricane::{AccessLog, Handover, Heard, Line};
use hurricane_scoreboard::Monotonic;
use pyo3::prelude::*;

/// Who writes lines in Python.
#[derive(Clone)]
pub(crate) struct Scribe(Arc<Parts>);

struct Parts {
    handover: Arc<Handover>,
    /// `heard`, `write` and `lost` of `hurricane.server.access`.
    heard: Py<PyAny>,
    write: Py<PyAny>,
    lost: Py<PyAny>,
}

impl Scribe {
    /// None: no lines are handed over, or nobody can take them, which is printed.
    pub(crate) fn new(py: Python<'_>, log: &AccessLog) -> Option<Self> {
        let handover = Arc::clone(log.handover()?);
        let parts = || -> PyResult<Parts> {
            let module = py.import("hurricane.server.access")?;
            Ok(Parts {
                handover,
                heard: module.getattr("heard")?.unbind(),
                write: module.getattr("write")?.unbind(),
                lost: module.getattr("lost")?.unbind(),
            })
        };
        let parts = parts().inspect_err(|error| error.print(py)).ok()?;
        Some(Self(Arc::new(parts)))
    }

    /// Starts the thread of this process.
    pub(crate) fn start(&self) -> std::io::Result<()> {
        let scribe = self.clone();
        let builder = std::thread::Builder::new().name("access-log".to_owned());
        builder.spawn(move || scribe.live()).map(drop)
    }

    fn live(&self) {
        loop {
            let (lines, dropped) = self.0.handover.take();
            Python::attach(|py| {
                self.keep_asking(py, Monotonic::now());
                for line in lines.iter().filter(|line| self.0.handover.wants(line.status())) {
                    self.write(py, line);
                }
                if dropped > 0 {
                    report(self.0.lost.call1(py, (dropped,)));
                }
            });
        }
    }

    /// Finds out what is heard, if that was long ago.
    pub(crate) fn keep_asking(&self, py: Python<'_>, now: Monotonic) {
        if self.0.handover.must_ask(now.as_nanos()) {
            self.ask(py);
        }
    }

    #[cold]
    fn ask(&self, py: Python<'_>) {
        let asked =
            self.0.heard.call0(py).and_then(|heard| heard.extract::<(bool, bool, bool)>(py));
        match asked {
            Ok((info, warning, error)) => {
                self.0.handover.set_heard(Heard { info, warning, error });
            }
            Err(error) => report(Err(error)),
        }
    }

    /// Writes a line, as slowly as the handlers of the project take it.
    pub(crate) fn write(&self, py: Python<'_>, line: &Line) {
        let peer = line.peer().map(|peer| peer.to_string());
        let answer = (
            line.status(),
            line.method(),
            line.path(),
            line.target(),
            peer.as_deref().unwrap_or("-"),
            line.milliseconds(),
            line.id(),
            line.traceparent(),
        );
        report(self.0.write.call1(py, (answer,)));
    }
}

fn report(called: PyResult<Py<PyAny>>) {
    if let Err(error) = called {
        tracing::error!(%error, "the project's logging raised on a line of the access log");
    }
}
