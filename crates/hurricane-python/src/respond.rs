//! `start_response`: the callable that an application starts its response with.

use hurricane_http::BodyLength;
use pyo3::exceptions::{PyAssertionError, PyConnectionError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use crate::announced::Announced;
use crate::transmission::{Transmission, TransmissionError};

impl From<TransmissionError> for PyErr {
    fn from(error: TransmissionError) -> Self {
        match error {
            TransmissionError::NotAnnounced => PyAssertionError::new_err(error.to_string()),
            TransmissionError::Invalid(_) => PyValueError::new_err(error.to_string()),
            TransmissionError::PeerLeft => PyConnectionError::new_err(error.to_string()),
        }
    }
}

/// The callable `start_response` of one request, with the response that it starts.
#[pyclass(module = "hurricane._core")]
pub(crate) struct StartResponse {
    pub(crate) transmission: Transmission,
}

#[pymethods]
impl StartResponse {
    #[pyo3(signature = (status, headers, exc_info=None, /))]
    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        status: &Bound<'py, PyString>,
        headers: &Bound<'py, PyList>,
        exc_info: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let announced = Announced::read(status, headers)?;
        {
            let transmission = &mut slf.borrow_mut().transmission;
            match exc_info.filter(|info| !info.is_none()) {
                // Too late for another answer: the exception goes on its way.
                Some(info) if transmission.has_begun() => {
                    return Err(PyErr::from_value(info.get_item(1)?));
                }
                None if transmission.has_announced() => {
                    return Err(PyAssertionError::new_err(
                        "start_response was called a second time without exc_info",
                    ));
                }
                _ => transmission.announce(announced),
            }
        }
        slf.getattr(intern!(slf.py(), "write"))
    }

    /// PEP 3333's imperative interface: sends bytes at once.
    #[pyo3(signature = (data, /))]
    fn write(&mut self, py: Python<'_>, data: &Bound<'_, PyBytes>) -> PyResult<()> {
        if !data.as_bytes().is_empty() {
            self.transmission.begin(BodyLength::Unknown)?;
            self.transmission.send(py, data.as_bytes(), false)?;
        }
        Ok(())
    }
}
