//! The stacks of a worker's threads, written when the supervisor asks for them.
//!
//! Python's own `faulthandler` writes them from a signal handler, without the interpreter lock: a
//! view that holds it in C does not keep its stack a secret. Its table of user signals is not that
//! of `faulthandler.enable()`, which stays the application's.

use std::os::fd::RawFd;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::IntoPyDict;

/// From now on the stacks of all threads go to `file` on the supervisor's signal; and when the
/// process crashes, unless the application has chosen another place for that.
pub(crate) fn write_to(py: Python<'_>, file: RawFd) -> PyResult<()> {
    let faulthandler = py.import("faulthandler")?;
    // The handler that was there before, which is called last, tells that all is written.
    let options = [("file", file), ("all_threads", 1), ("chain", 1)].into_py_dict(py)?;
    let signal = (hurricane::stack_signal(),);
    faulthandler.call_method(intern!(py, "register"), signal, Some(&options))?;
    if !faulthandler.call_method0(intern!(py, "is_enabled"))?.is_truthy()? {
        let options = [("file", file), ("all_threads", 1)].into_py_dict(py)?;
        faulthandler.call_method(intern!(py, "enable"), (), Some(&options))?;
    }
    Ok(())
}
