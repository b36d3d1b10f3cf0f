//! What `hurricane/again.py` calls: a program that is run once more says how far it has come.

use std::ffi::OsString;
use std::io;

use hurricane::{Program, errand};
use pyo3::intern;
use pyo3::prelude::*;

/// Begins what the word asks for. See `_core.pyi`.
#[pyfunction]
pub(crate) fn begin(word: &str, before: Vec<OsString>, after: Vec<OsString>) -> PyResult<()> {
    let program = Program::new(before, after)
        .ok_or_else(|| io::Error::other("the interpreter does not know its own path"))?;
    Ok(errand::begin(word, program)?)
}

/// Whether the program has come to serve. See `_core.pyi`.
#[pyfunction]
pub(crate) fn is_done() -> bool {
    errand::is_done()
}

/// Says why it has not. See `_core.pyi`.
#[pyfunction]
pub(crate) fn fail(py: Python<'_>, cause: &str) -> PyResult<()> {
    flush(py);
    Ok(errand::fail(cause)?)
}

/// Goes on without an application; returns the exit code. See `_core.pyi`.
#[pyfunction]
pub(crate) fn keep(py: Python<'_>) -> u8 {
    py.detach(|| hurricane::keep().code())
}

/// How the interpreter would run the program of this process once more.
pub(crate) fn program(py: Python<'_>) -> PyResult<Option<Program>> {
    let command =
        py.import(intern!(py, "hurricane.again"))?.call_method0(intern!(py, "command"))?;
    let (before, after) = command.extract::<(Vec<OsString>, Vec<OsString>)>()?;
    Ok(Program::new(before, after))
}

/// Writes out what Python holds back: a process that runs another program loses it.
pub(crate) fn flush(py: Python<'_>) {
    for stream in ["stdout", "stderr"] {
        // A project may have put anything in their place, or nothing.
        let _ = py.import("sys").and_then(|sys| sys.getattr(stream)?.call_method0("flush"));
    }
}
