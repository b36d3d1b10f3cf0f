//! What flags, settings and environment have come to, for Python's side to ask.
//!
//! Settled once a process, before the application is loaded; a process that was forked since has
//! it from its parent.

use std::sync::OnceLock;

use hurricane::Compat;
use pyo3::prelude::*;

static SETTLED: OnceLock<Settled> = OnceLock::new();

/// The flags that Python's side asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settled {
    /// `--compat`
    pub(crate) compat: Compat,
    /// `--debug`
    pub(crate) debug: bool,
}

impl Settled {
    /// Keeps it for this process and those forked from it; the first that is kept stays.
    pub(crate) fn keep(self) {
        // A second server in one process has the flags of the first in the questions below.
        let _ = SETTLED.set(self);
    }
}

/// See `_core.pyi`.
#[pyfunction]
pub(crate) fn is_legacy() -> bool {
    SETTLED.get().is_some_and(|settled| settled.compat.is_legacy())
}

/// See `_core.pyi`.
#[pyfunction]
pub(crate) fn is_debug() -> bool {
    SETTLED.get().is_some_and(|settled| settled.debug)
}
