//! What `hurricane/again.py` calls: a program that is run once more says how far it has come.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use hurricane::{Place, Program, Watched, errand};
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

/// Starts again after a failed start, when a file has changed. See `_core.pyi`.
#[pyfunction]
pub(crate) fn start_again(py: Python<'_>, outline: Outline) -> PyResult<()> {
    let Some(program) = program(py)? else { return Ok(()) };
    let watched = watched(outline);
    flush(py);
    Err(py.detach(|| errand::start_again(&program, watched)).into())
}

/// Where a project's files are: directory, whether those below belong to it, names of files, whether
/// they are static; and directories below them that are left out.
pub(crate) type Outline = (Vec<(PathBuf, bool, Vec<String>, bool)>, Vec<PathBuf>);

pub(crate) fn watched((places, spared): Outline) -> Watched {
    let places = places.into_iter().map(|(directory, is_deep, names, is_static)| Place {
        directory,
        is_deep,
        names,
        is_static,
    });
    Watched { places: places.collect(), spared }
}

/// Goes on without an application; returns the exit code. See `_core.pyi`.
#[pyfunction]
pub(crate) fn keep(py: Python<'_>) -> u8 {
    py.detach(|| hurricane::keep().code())
}

/// How the interpreter would run the program of this process once more.
fn program(py: Python<'_>) -> PyResult<Option<Program>> {
    let command =
        py.import(intern!(py, "hurricane.again"))?.call_method0(intern!(py, "command"))?;
    let (before, after) = command.extract::<(Vec<OsString>, Vec<OsString>)>()?;
    Ok(Program::new(before, after))
}

/// The program that a reload runs; without one, and that is printed, nothing reloads.
pub(crate) fn reload_program(py: Python<'_>) -> Option<Program> {
    program(py).unwrap_or_else(|error| {
        error.print(py);
        None
    })
}

/// Writes out what Python holds back: a process that runs another program loses it.
pub(crate) fn flush(py: Python<'_>) {
    for stream in ["stdout", "stderr"] {
        // A project may have put anything in their place, or nothing.
        let _ = py.import("sys").and_then(|sys| sys.getattr(stream)?.call_method0("flush"));
    }
}
