//! How a process with an interpreter in it is forked, and how a forked one ends.

use std::convert::Infallible;
use std::io;

use hurricane::{Forking, MANAGER_VARIABLES};
use pyo3::exceptions::PySystemExit;
use pyo3::intern;
use pyo3::prelude::*;

use crate::{again, metrics};

/// By Python's own `os.fork`. `prepare`: called in the supervisor before each fork. `has_metrics`:
/// metrics that Python keeps are counted over all processes.
pub(crate) fn forking(prepare: Option<Py<PyAny>>, has_metrics: bool) -> Forking {
    Forking {
        fork: Box::new(move || {
            if has_metrics {
                metrics::share();
            }
            fork(prepare.as_ref())
        }),
        in_child: Box::new(move |role| {
            forget_manager();
            if has_metrics {
                metrics::become_child(role);
            }
        }),
        exit: Box::new(exit),
        flush: Box::new(|| Python::attach(again::flush)),
    }
}

/// `os.fork`, so that Python's own preparations and `os.register_at_fork` hooks run.
fn fork(prepare: Option<&Py<PyAny>>) -> io::Result<i32> {
    Python::attach(|py| {
        match prepare {
            Some(prepare) => prepare.bind(py).call0().map(drop)?,
            None => keep_heap_shared(py)?,
        }
        py.import(intern!(py, "os"))?.call_method0(intern!(py, "fork"))?.extract::<i32>()
    })
    .map_err(io::Error::other)
}

/// Python has a copy of the environment, from which it gives to programs that it starts.
fn forget_manager() {
    let forgotten = Python::attach(|py| {
        let environment = py.import(intern!(py, "os"))?.getattr(intern!(py, "environ"))?;
        MANAGER_VARIABLES.iter().try_for_each(|name| {
            environment.call_method1(intern!(py, "pop"), (*name, py.None())).map(drop)
        })
    });
    if let Err(error) = forgotten {
        tracing::debug!(%error, "variables of the service manager stay in the environment");
    }
}

/// Moves all that exists out of the collector's sight: a collection in a worker would write to
/// every object, and so copy its page.
fn keep_heap_shared(py: Python<'_>) -> PyResult<()> {
    let gc = py.import(intern!(py, "gc"))?;
    gc.call_method0(intern!(py, "collect"))?;
    gc.call_method0(intern!(py, "freeze")).map(drop)
}

/// Ends a child as the interpreter would: runs exit functions and flushes, but does not return
/// into the code that had called `serve`.
pub(crate) fn exit(code: i32) -> Infallible {
    Python::attach(|py| {
        let run = |module: &str, function: &str| -> PyResult<()> {
            py.import(module)?.call_method0(function).map(drop)
        };
        let flush = |stream: &str| -> PyResult<()> {
            py.import("sys")?.getattr(stream)?.call_method0("flush").map(drop)
        };
        let ended = run("atexit", "_run_exitfuncs")
            .and_then(|()| flush("stdout"))
            .and_then(|()| flush("stderr"));
        if let Err(error) = ended
            && !error.is_instance_of::<PySystemExit>(py)
        {
            tracing::warn!(%error, "an exit function failed");
        }
    });
    process_exit(code)
}

#[expect(unsafe_code, reason = "nix has no _exit")]
fn process_exit(code: i32) -> ! {
    // SAFETY: ends the process at once; nothing of ours needs to be dropped.
    unsafe { nix::libc::_exit(code) }
}
