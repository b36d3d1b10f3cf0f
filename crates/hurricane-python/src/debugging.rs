//! Debuggers in a worker: attached before its threads start, and told of each of these threads,
//! which Python's `threading` does not know.

use std::sync::OnceLock;

use hurricane::DebuggingArgs;
use pyo3::prelude::*;
use pyo3::types::PyDict;

const MODULE: &str = "hurricane.server.debugging";

static WANTED: OnceLock<Options> = OnceLock::new();

struct Options {
    args: DebuggingArgs,
    is_legacy: bool,
}

/// Workers of this process are to be debugged from now on, if the flags say so; raises what
/// `setup_debugging` raises of flags that do not go together.
pub(crate) fn keep(
    py: Python<'_>,
    args: DebuggingArgs,
    is_legacy: bool,
    autoreload: bool,
) -> PyResult<()> {
    if !args.debugger && args.pycharm_host.is_none() {
        return Ok(());
    }
    let options = Options { args, is_legacy };
    if autoreload {
        return options.set_up(py, autoreload);
    }
    let _ = WANTED.set(options);
    Ok(())
}

/// Attaches what the flags ask for. Called once in a worker, before its application threads.
pub(crate) fn attach(py: Python<'_>) {
    let attached = WANTED.get().map_or(Ok(()), |options| options.set_up(py, false));
    if let Err(error) = attached {
        tracing::warn!(%error, "the worker cannot be debugged");
    }
}

impl Options {
    fn set_up(&self, py: Python<'_>, autoreload: bool) -> PyResult<()> {
        let Self { args, is_legacy } = self;
        let options = PyDict::new(py);
        options.set_item("autoreload", autoreload)?;
        options.set_item("debugger", args.debugger)?;
        options.set_item("debugger_host", args.host(*is_legacy))?;
        options.set_item("debugger_port", args.debugger_port)?;
        options.set_item("pycharm_host", args.pycharm_host.as_deref())?;
        options.set_item("pycharm_port", args.pycharm_port)?;
        py.import(MODULE)?.call_method1("setup_debugging", (options,)).map(drop)
    }
}

/// Shows the calling thread to the debuggers that are attached.
pub(crate) fn join(py: Python<'_>, index: usize) {
    if WANTED.get().is_none() {
        return;
    }
    let name = format!("application-{index}");
    let joined = py.import(MODULE).and_then(|module| module.call_method1("join_thread", (name,)));
    if let Err(error) = joined {
        tracing::warn!(%error, "a thread cannot be debugged");
    }
}
