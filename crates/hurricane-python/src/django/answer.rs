//! Reads Django's response objects: head and body of those that are as Django makes them natively,
//! of all others through their methods.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use foldhash::fast::RandomState;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyList, PyString, PyTuple, PyType};
use pyo3::{Py, intern};

use crate::announced::Announced;
use crate::call::{as_bytes, send_parts};
use crate::django::lazy::own;
use crate::transmission::Transmission;

/// Classes of responses that are remembered.
const CLASSES_MAX: usize = 256;

/// Django's own code, which a class of responses may have replaced.
pub(crate) struct Stock {
    /// `HttpResponse.__iter__`
    pub(crate) iterate: Py<PyAny>,
    /// `StreamingHttpResponse.__iter__`
    pub(crate) iterate_stream: Py<PyAny>,
    /// `HttpResponseBase.items`
    pub(crate) items: Py<PyAny>,
    /// `HttpResponseBase.reason_phrase`
    pub(crate) reason: Py<PyAny>,
    /// `HttpResponseBase.close`
    pub(crate) close: Py<PyAny>,
    /// `django.http.response.ResponseHeaders`
    pub(crate) headers: Py<PyType>,
    /// `http.client.responses`
    pub(crate) reasons: Py<PyDict>,
    /// What Django's WSGI handler puts before a cookie.
    pub(crate) cookie_begin: String,
    /// Reads status line and headers as Django's WSGI handler does.
    pub(crate) announce: Py<PyAny>,
}

/// What of a class is Django's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Head and content lie in the attributes where Django puts them.
    has_plain_head: bool,
    has_plain_content: bool,
    has_plain_stream: bool,
    pub(crate) has_plain_close: bool,
}

/// The shapes of the classes that were met. A class is held so that its address stays its own; one
/// that is changed after its first response is read as it was.
pub(crate) struct Shapes {
    stock: Stock,
    known: Mutex<HashMap<usize, (Py<PyType>, Shape), RandomState>>,
}

impl Shapes {
    pub(crate) fn new(stock: Stock) -> Self {
        Self { stock, known: Mutex::default() }
    }

    pub(crate) fn of(&self, response: &Bound<'_, PyAny>) -> PyResult<Shape> {
        let class = response.get_type();
        let address = class.as_ptr() as usize;
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, shape)) = known().get(&address) {
            return Ok(*shape);
        }
        let shape = self.look_at(&class)?;
        let mut known = known();
        if known.len() >= CLASSES_MAX {
            known.clear();
        }
        known.insert(address, (class.unbind(), shape));
        Ok(shape)
    }

    fn look_at(&self, class: &Bound<'_, PyType>) -> PyResult<Shape> {
        let py = class.py();
        let is_stock = |name: &Bound<'_, PyString>, stock: &Py<PyAny>| {
            PyResult::Ok(class.getattr_opt(name)?.is_some_and(|found| found.is(stock)))
        };
        let plain_access = class
            .getattr(intern!(py, "__getattribute__"))?
            .is(&py.get_type::<PyAny>().getattr(intern!(py, "__getattribute__"))?);
        let has_plain_close = is_stock(intern!(py, "close"), &self.stock.close)?;
        let has_plain_head = plain_access
            && is_stock(intern!(py, "items"), &self.stock.items)?
            && is_stock(intern!(py, "reason_phrase"), &self.stock.reason)?;
        let has_plain_content = has_plain_head
            && has_plain_close
            && is_stock(intern!(py, "__iter__"), &self.stock.iterate)?;
        let has_plain_stream =
            plain_access && is_stock(intern!(py, "__iter__"), &self.stock.iterate_stream)?;
        Ok(Shape { has_plain_head, has_plain_content, has_plain_stream, has_plain_close })
    }

    /// Whether the body is an asynchronous iterator, of which Django's own `__iter__` would make a
    /// list before anything is sent.
    pub(crate) fn is_async(shape: Shape, response: &Bound<'_, PyAny>) -> PyResult<bool> {
        if !shape.has_plain_stream {
            return Ok(false);
        }
        let is_async = own(response)?.get_item(intern!(response.py(), "is_async"))?;
        Ok(is_async.is_some_and(|is_async| is_async.is_truthy().unwrap_or(false)))
    }

    /// Status, reason and fields.
    pub(crate) fn announced(
        &self,
        shape: Shape,
        response: &Bound<'_, PyAny>,
    ) -> PyResult<Announced> {
        if shape.has_plain_head
            && let Some(announced) = self.plain_head(response)?
        {
            return Ok(announced);
        }
        let read = self.stock.announce.bind(response.py()).call1((response,))?;
        let (status, headers) = read.extract::<(Bound<'_, PyString>, Bound<'_, PyList>)>()?;
        Announced::read(&status, &headers)
    }

    /// `None`: something is not as Django leaves it.
    fn plain_head(&self, response: &Bound<'_, PyAny>) -> PyResult<Option<Announced>> {
        let py = response.py();
        let own = own(response)?;
        let (Some(reason), Some(headers), Some(cookies)) = (
            own.get_item(intern!(py, "_reason_phrase"))?,
            own.get_item(intern!(py, "headers"))?,
            own.get_item(intern!(py, "cookies"))?,
        ) else {
            return Ok(None);
        };
        let status = response.getattr(intern!(py, "status_code"))?;
        if !status.is_exact_instance_of::<PyInt>()
            || !headers.is_exact_instance(self.stock.headers.bind(py))
            || own.contains(intern!(py, "items"))?
        {
            return Ok(None);
        }
        let Ok(code @ 200..=999) = status.extract::<u16>() else { return Ok(None) };
        let reason = if reason.is_none() {
            self.stock.reasons.bind(py).get_item(&status)?
        } else {
            Some(reason)
        };
        let reason = match &reason {
            Some(reason) => reason.str()?,
            None => intern!(py, "Unknown Status Code").clone(),
        };
        let store = headers.getattr(intern!(py, "_store"))?;
        let Ok(store) = store.cast::<PyDict>() else { return Ok(None) };
        let mut announced = Announced::new(code, reason.to_str()?, store.len());
        for (_, pair) in store.iter() {
            announced.field(pair.cast::<PyTuple>()?)?;
        }
        let Ok(cookies) = cookies.cast::<PyDict>() else { return Ok(None) };
        if !cookies.is_empty() {
            // Through its method: a cookie jar may be of a class with an order of its own.
            for cookie in cookies.call_method0(intern!(py, "values"))?.try_iter()? {
                let value = cookie?.call_method0(intern!(py, "OutputString"))?;
                let value = value.cast::<PyString>()?;
                announced.set_cookie(&self.stock.cookie_begin, value)?;
            }
        }
        Ok(Some(announced))
    }

    /// Sends a response whose content lies in a list. False, and nothing was sent: it does not.
    pub(crate) fn send_plain(
        shape: Shape,
        response: &Bound<'_, PyAny>,
        transmission: &mut Transmission,
    ) -> PyResult<bool> {
        let py = response.py();
        if !shape.has_plain_content {
            return Ok(false);
        }
        let own = own(response)?;
        let Some(container) = own.get_item(intern!(py, "_container"))? else { return Ok(false) };
        let Ok(container) = container.cast_exact::<PyList>() else { return Ok(false) };
        if own.contains(intern!(py, "close"))? || own.contains(intern!(py, "file_to_stream"))? {
            return Ok(false);
        }
        let parts = container.iter().map(as_bytes).collect::<PyResult<Vec<_>>>()?;
        send_parts(py, &parts, transmission)?;
        Ok(true)
    }
}
