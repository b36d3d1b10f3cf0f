//! Django's thread-local values, read past the locks and copies of asgiref's `Local`.
//!
//! `Local` keeps what is critical for a thread in a `threading.local`, and the rest as a dict in a
//! context variable, which since 3.13 carries the thread that it belongs to. An unknown shape is
//! not read: [`Values::of`] says so, and Django's own functions are called.
#![expect(unsafe_code, reason = "PyO3 has no access to context variables")]

use nix::sys::pthread::pthread_self;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{ffi, intern};

/// What a `Local` holds for the calling thread.
pub(crate) enum Values<'py> {
    Nothing,
    These(Bound<'py, PyDict>),
    /// It cannot be told.
    Unknown,
}

impl<'py> Values<'py> {
    /// Of a `Local` that is not critical for threads.
    pub(crate) fn of(local: &Bound<'py, PyAny>) -> PyResult<Self> {
        let py = local.py();
        let storage = local.getattr(intern!(py, "_storage"))?;
        let variable = storage.getattr(intern!(py, "_data"))?;
        let mut found = std::ptr::null_mut();
        // SAFETY: a live object, which the call checks to be a context variable, and room for a
        // new reference or null.
        let code = unsafe {
            ffi::PyContextVar_Get(variable.as_ptr(), std::ptr::null_mut(), &raw mut found)
        };
        if code < 0 {
            return Err(PyErr::fetch(py));
        }
        // SAFETY: a new reference or null.
        let Some(found) = (unsafe { Bound::from_owned_ptr_or_opt(py, found) }) else {
            return Ok(Self::Nothing);
        };
        let found = match found.cast_into::<PyDict>() {
            Ok(values) => return Ok(Self::These(values)),
            Err(error) => error.into_inner(),
        };
        let thread = found.getattr(intern!(py, "thread_id"))?.extract::<u64>()?;
        if thread != pthread_self() {
            return Ok(Self::Nothing);
        }
        let values = found.getattr(intern!(py, "data"))?;
        Ok(values.cast_into::<PyDict>().map_or(Self::Unknown, Self::These))
    }

    /// Of a `Local` that is critical for threads, on a thread without an event loop.
    pub(crate) fn of_critical(local: &Bound<'py, PyAny>) -> PyResult<Self> {
        let py = local.py();
        let storage = local.getattr(intern!(py, "_storage"))?;
        let values = storage.getattr(intern!(py, "__dict__"))?;
        Ok(values.cast_into::<PyDict>().map_or(Self::Unknown, Self::These))
    }
}

/// A value of the thread, and how Django changes it.
pub(crate) struct ThreadValue {
    /// The `Local` that holds it as `value`.
    pub(crate) local: Py<PyAny>,
    /// Django's function that sets it.
    pub(crate) set: Py<PyAny>,
}

impl ThreadValue {
    /// Sets the value, unless it is so. `stored`: as Django keeps `wanted`.
    pub(crate) fn ensure(
        &self,
        wanted: &Bound<'_, PyAny>,
        stored: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let py = wanted.py();
        if let Values::These(values) = Values::of(self.local.bind(py))?
            && let Some(value) = values.get_item(intern!(py, "value"))?
            && (value.is(stored) || value.eq(stored)?)
        {
            return Ok(());
        }
        self.set.bind(py).call1((wanted,)).map(drop)
    }
}

/// One of Django's tables of connections, to databases or caches.
pub(crate) struct Connections {
    /// The table: `connections` or `caches`.
    pub(crate) table: Py<PyAny>,
    pub(crate) is_critical: bool,
}

impl Connections {
    /// Calls `with` for each connection that this thread has, in Django's order. False, and nothing
    /// was called: it cannot be told which there are.
    pub(crate) fn for_each<'py>(
        &self,
        py: Python<'py>,
        mut with: impl FnMut(&Bound<'py, PyAny>) -> PyResult<()>,
    ) -> PyResult<bool> {
        let table = self.table.bind(py);
        let local = table.getattr(intern!(py, "_connections"))?;
        let values =
            if self.is_critical { Values::of_critical(&local)? } else { Values::of(&local)? };
        let values = match values {
            Values::Nothing => return Ok(true),
            Values::These(values) => values,
            Values::Unknown => return Ok(false),
        };
        if values.is_empty() {
            return Ok(true);
        }
        let settings = table.getattr(intern!(py, "settings"))?;
        let settings = settings.cast::<PyDict>()?;
        let open: Vec<_> = settings
            .keys()
            .iter()
            .map(|alias| values.get_item(alias))
            .collect::<PyResult<Vec<_>>>()?;
        open.iter().flatten().try_for_each(&mut with)?;
        Ok(true)
    }
}
