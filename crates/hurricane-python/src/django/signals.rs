//! `request_started` and `request_finished`: what Django itself has connected to them is done
//! natively; whoever else listens makes them real signals again.

use std::cell::Cell;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::django::locals::{Connections, ThreadValue};

thread_local! {
    /// Whether the URLconf was left as the next request sets it, where Django resets it.
    static URLCONF_LEFT: Cell<bool> = const { Cell::new(false) };
}

/// A signal, and the entries of its receivers that are Django's own.
pub(crate) struct Known {
    pub(crate) signal: Py<PyAny>,
    /// Empty: the signal is always sent.
    pub(crate) receivers: Vec<Py<PyAny>>,
}

impl Known {
    /// Whether nobody but Django listens.
    fn is_alone(&self, py: Python<'_>) -> PyResult<bool> {
        let receivers = self.signal.bind(py).getattr(intern!(py, "receivers"))?;
        let receivers = receivers.cast::<PyList>()?;
        Ok(receivers.len() == self.receivers.len()
            && !self.receivers.is_empty()
            && receivers.iter().zip(&self.receivers).all(|(one, known)| one.is(known)))
    }
}

/// What surrounds each request.
pub(crate) struct Signals {
    pub(crate) started: Known,
    pub(crate) finished: Known,
    pub(crate) databases: Connections,
    pub(crate) caches: Connections,
    pub(crate) urlconf: ThreadValue,
    pub(crate) settings: Py<PyAny>,
    /// `django.core.handlers.wsgi.WSGIHandler`.
    pub(crate) sender: Py<PyAny>,
    /// Django's functions for the connections of a thread.
    pub(crate) reset_queries: Py<PyAny>,
    pub(crate) close_old_connections: Py<PyAny>,
    pub(crate) close_caches: Py<PyAny>,
}

impl Signals {
    /// Does what Django's receivers of `request_started` do. False, and nothing is done: others
    /// listen, so it must be sent.
    pub(crate) fn start(&self, py: Python<'_>) -> PyResult<bool> {
        if !self.started.is_alone(py)? {
            return Ok(false);
        }
        let is_done = self.databases.for_each(py, |connection| {
            connection
                .getattr(intern!(py, "queries_log"))?
                .call_method0(intern!(py, "clear"))
                .map(drop)
        })?;
        if !is_done {
            self.reset_queries.bind(py).call0()?;
        }
        self.close_old(py)?;
        Ok(true)
    }

    /// Sends `request_started`, as Django does.
    pub(crate) fn send_started(&self, environ: &Bound<'_, PyDict>) -> PyResult<()> {
        let py = environ.py();
        if URLCONF_LEFT.take() {
            self.urlconf.set.bind(py).call1((py.None(),))?;
        }
        let keywords = PyDict::new(py);
        keywords.set_item(intern!(py, "sender"), &self.sender)?;
        keywords.set_item(intern!(py, "environ"), environ)?;
        let signal = self.started.signal.bind(py);
        signal.call_method(intern!(py, "send"), (), Some(&keywords)).map(drop)
    }

    /// `request_finished`, natively or sent.
    pub(crate) fn finish(&self, py: Python<'_>) -> PyResult<()> {
        if !self.finished.is_alone(py)? {
            let keywords = PyDict::new(py);
            keywords.set_item(intern!(py, "sender"), &self.sender)?;
            let signal = self.finished.signal.bind(py);
            return signal.call_method(intern!(py, "send"), (), Some(&keywords)).map(drop);
        }
        self.close_old(py)?;
        let is_done =
            self.caches.for_each(py, |cache| cache.call_method0(intern!(py, "close")).map(drop))?;
        if !is_done {
            self.close_caches.bind(py).call0()?;
        }
        // Nobody looks at it before the next request sets it, or somebody listens to its start.
        URLCONF_LEFT.set(true);
        Ok(())
    }

    /// The URLconf of a request's beginning.
    pub(crate) fn set_urlconf(&self, py: Python<'_>) -> PyResult<()> {
        let root = self.settings.bind(py).getattr(intern!(py, "ROOT_URLCONF"))?;
        self.urlconf.ensure(&root, &root)
    }

    fn close_old(&self, py: Python<'_>) -> PyResult<()> {
        let is_done = self.databases.for_each(py, |connection| {
            connection.call_method0(intern!(py, "close_if_unusable_or_obsolete")).map(drop)
        })?;
        if !is_done {
            self.close_old_connections.bind(py).call0()?;
        }
        Ok(())
    }
}
