//! `wsgi.file_wrapper`: hands a real file to the loop, which sends it without copying it through
//! the process; anything else file-like is iterated.

use std::fs::File;
use std::os::fd::BorrowedFd;

use pyo3::exceptions::PyStopIteration;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// The iterable of PEP 3333 around a file-like object.
#[pyclass(module = "hurricane._core", frozen)]
pub(crate) struct FileWrapper {
    filelike: Py<PyAny>,
    block_size: usize,
}

impl FileWrapper {
    /// The file behind the wrapper, from its present position to its end, as a descriptor of its
    /// own; `None` when there is no regular file behind it.
    pub(crate) fn regular_file(&self, py: Python<'_>) -> Option<hurricane_http::File> {
        let filelike = self.filelike.bind(py);
        let number = filelike.call_method0(intern!(py, "fileno")).ok()?.extract::<i32>().ok()?;
        let offset = filelike.call_method0(intern!(py, "tell")).ok()?.extract::<u64>().ok()?;
        let file = File::from(duplicate(number)?);
        let metadata = file.metadata().ok()?;
        if !metadata.is_file() {
            return None;
        }
        let len = metadata.len().saturating_sub(offset);
        Some(hurricane_http::File { file, offset, len })
    }
}

#[expect(unsafe_code, reason = "Python's file objects give a number, not a handle")]
fn duplicate(number: i32) -> Option<std::os::fd::OwnedFd> {
    if number < 0 {
        return None;
    }
    // SAFETY: borrowed for one call, while the file object that owns the number is alive; were it
    // closed by another thread meanwhile, the call fails or duplicates another open file.
    unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned().ok()
}

#[pymethods]
impl FileWrapper {
    #[new]
    #[pyo3(signature = (filelike, block_size=8192))]
    fn new(filelike: Py<PyAny>, block_size: usize) -> Self {
        Self { filelike, block_size: block_size.max(1) }
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let block = self.filelike.bind(py).call_method1(intern!(py, "read"), (self.block_size,))?;
        let is_end = block
            .cast::<PyBytes>()
            .map_or(Ok(false), |bytes| PyResult::Ok(bytes.as_bytes().is_empty()))?;
        if is_end { Err(PyStopIteration::new_err(())) } else { Ok(block) }
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let filelike = self.filelike.bind(py);
        if let Some(close) = filelike.getattr_opt(intern!(py, "close"))? {
            close.call0()?;
        }
        Ok(())
    }
}
