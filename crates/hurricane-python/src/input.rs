//! `wsgi.input`: a request body that is wholly there, in memory or in a temporary file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use hurricane_http::Body;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

/// Bytes of a file that are looked at for a line end at a time.
const WINDOW_BYTES: usize = 64 * 1024;

/// The file-like object of PEP 3333: `read`, `readline`, `readlines`, iteration.
#[pyclass(module = "hurricane._core")]
pub(crate) struct Input {
    source: Source,
    /// Bytes given out so far; 0 <= position <= len.
    position: u64,
    len: u64,
}

enum Source {
    Memory(Vec<u8>),
    File(File),
}

impl Input {
    pub(crate) fn new(body: Body) -> Self {
        let len = body.len();
        let source = match body {
            Body::Empty => Source::Memory(Vec::new()),
            Body::Memory(bytes) => Source::Memory(bytes),
            Body::File { file, .. } => Source::File(file),
        };
        Self { source, position: 0, len }
    }

    fn left(&self) -> usize {
        usize::try_from(self.len - self.position).unwrap_or(usize::MAX)
    }

    /// The next `count` bytes, which are there.
    fn take<'py>(&mut self, py: Python<'py>, count: usize) -> PyResult<Bound<'py, PyBytes>> {
        let position = self.position;
        let bytes = match &self.source {
            Source::Memory(bytes) => {
                let start = usize::try_from(position).unwrap_or(usize::MAX);
                PyBytes::new(py, &bytes[start..start + count])
            }
            Source::File(file) => PyBytes::new_with(py, count, |out| {
                py.detach(|| file.read_exact_at(out, position)).map_err(PyOSError::new_err)
            })?,
        };
        self.position += count as u64;
        Ok(bytes)
    }

    /// Bytes up to and including the next line end, `limit` at most.
    fn line_len(&self, limit: usize) -> io::Result<usize> {
        let limit = limit.min(self.left());
        match &self.source {
            Source::Memory(bytes) => {
                let start = usize::try_from(self.position).unwrap_or(usize::MAX);
                let line = &bytes[start..start + limit];
                Ok(line.iter().position(|byte| *byte == b'\n').map_or(limit, |at| at + 1))
            }
            Source::File(file) => {
                let mut window = vec![0; WINDOW_BYTES.min(limit)];
                let mut seen = 0;
                while seen < limit {
                    let want = window.len().min(limit - seen);
                    file.read_exact_at(&mut window[..want], self.position + seen as u64)?;
                    if let Some(at) = window[..want].iter().position(|byte| *byte == b'\n') {
                        return Ok(seen + at + 1);
                    }
                    seen += want;
                }
                Ok(limit)
            }
        }
    }
}

/// A size argument: negative or absent means everything.
fn limit(size: Option<isize>) -> usize {
    size.and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX)
}

#[pymethods]
impl Input {
    #[pyo3(signature = (size=None, /))]
    fn read<'py>(&mut self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        let count = limit(size).min(self.left());
        self.take(py, count)
    }

    #[pyo3(signature = (size=None, /))]
    fn readline<'py>(
        &mut self,
        py: Python<'py>,
        size: Option<isize>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let count = self.line_len(limit(size)).map_err(PyOSError::new_err)?;
        self.take(py, count)
    }

    #[pyo3(signature = (hint=None, /))]
    fn readlines<'py>(
        &mut self,
        py: Python<'py>,
        hint: Option<isize>,
    ) -> PyResult<Bound<'py, PyList>> {
        let enough = hint.filter(|hint| *hint > 0).map_or(usize::MAX, |hint| limit(Some(hint)));
        let lines = PyList::empty(py);
        let mut total = 0;
        while self.left() > 0 && total < enough {
            let line = self.readline(py, None)?;
            total += line.as_bytes().len();
            lines.append(line)?;
        }
        Ok(lines)
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&mut self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        if self.left() == 0 {
            return Ok(None);
        }
        self.readline(py, None).map(Some)
    }

    /// Nothing to do: the file goes with the request.
    fn close(&self) {}
}
