//! `hurricane compress` and `manage.py compress_static`.

use std::path::PathBuf;

use hurricane::{Compress, Exit};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

/// Makes compressed copies of the files below these directories. See `_core.pyi`.
#[pyfunction]
#[expect(clippy::needless_pass_by_value, reason = "a function for Python owns what it is given")]
pub(crate) fn compress(py: Python<'_>, directories: Vec<PathBuf>, jobs: usize) -> PyResult<String> {
    let report = py.detach(|| hurricane_compress::compress(&directories, jobs));
    report.map(|report| report.to_string()).map_err(|error| PyOSError::new_err(error.to_string()))
}

/// Does so for the console script; returns its exit code.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command that ends talks so")]
pub(crate) fn console(py: Python<'_>, asked: &Compress) -> u8 {
    match py.detach(|| hurricane_compress::compress(&asked.directories, asked.jobs)) {
        Ok(report) => {
            println!("{report}");
            Exit::Clean.code()
        }
        Err(error) => {
            eprintln!("hurricane: {error}");
            Exit::Failed.code()
        }
    }
}
