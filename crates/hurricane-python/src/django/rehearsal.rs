//! Django's entry without a connection: what a request's test, or Django's own tests, drive.

use std::sync::Arc;

use hurricane_http::{Body, Head, Limits, Request};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::django::entry::DjangoEntry;
use crate::django::lazy::{self, Kit};

/// Makes requests and answers them as a worker does, up to the response's head.
#[pyclass(module = "hurricane._core", frozen)]
pub(crate) struct Rehearsal {
    entry: Py<DjangoEntry>,
    kit: Arc<Kit>,
}

/// Status, reason, names and values.
type HeadParts<'py> = (u16, Bound<'py, PyBytes>, Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)>);

#[pymethods]
impl Rehearsal {
    #[new]
    fn new(py: Python<'_>, entry: Py<DjangoEntry>) -> PyResult<Self> {
        let kit = entry.get().kit(py, false)?;
        Ok(Self { entry, kit })
    }

    /// The request that came as these bytes, with an environ in the place of the one that would be
    /// made of them. None: the bytes are no request, or Django has to fill it by itself.
    fn request<'py>(
        &self,
        wire: &Bound<'py, PyBytes>,
        environ: Bound<'py, PyDict>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = wire.py();
        let Ok(Some((head, consumed))) = Head::parse(wire.as_bytes(), &Limits::default()) else {
            return Ok(None);
        };
        let body = match &wire.as_bytes()[consumed..] {
            [] => Body::Empty,
            body => Body::Memory(body.to_vec()),
        };
        let request = Request::new(head, body);
        if !lazy::is_simple(&request) {
            return Ok(None);
        }
        let class = self.entry.get().request_class(py);
        let made = lazy::make(class, lazy::part(request), Arc::clone(&self.kit))?;
        lazy::replace_environ(&made, environ)?;
        Ok(Some(made))
    }

    /// The response, with everything that is done around it: script prefix, `request_started`.
    fn respond<'py>(&self, request: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.entry.get().respond(request, true)
    }

    /// The response, in the place of `BaseHandler.get_response`.
    fn get_response<'py>(&self, request: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.entry.get().get_response(request)
    }

    /// What would be sent before the body.
    fn head<'py>(&self, response: &Bound<'py, PyAny>) -> PyResult<HeadParts<'py>> {
        let py = response.py();
        let announced = self.entry.get().announced(response)?;
        let bytes = |text| PyBytes::new(py, text);
        let fields = announced.fields().map(|(name, value)| (bytes(name), bytes(value))).collect();
        Ok((announced.status(), bytes(announced.reason()), fields))
    }
}
