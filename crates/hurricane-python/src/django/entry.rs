//! One request through Django, on the calling thread.

use std::sync::{Arc, Mutex};

use hurricane_http::{BodyLength, File, Outlet, Request};
use hurricane_scoreboard::Monotonic;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyList, PyString, PyTupleMethods, PyType};

use crate::announced::Announced;
use crate::call::{Callee, conclude, finish, send, send_part};
use crate::django::answer::{Shape, Shapes, Stock};
use crate::django::lazy::{self, Kit, own};
use crate::django::locals::{Connections, ThreadValue};
use crate::django::signals::{Known, Signals};
use crate::environ::{Memory, Template};
use crate::file_wrapper::FileWrapper;
use crate::handing::{InPlace, hand_over};
use crate::respond::StartResponse;
use crate::transmission::{Parcel, Transmission};

/// Django, and how it is entered. Made in Python, where what it relies on was looked at.
#[pyclass(module = "hurricane._core", frozen)]
pub(crate) struct DjangoEntry {
    request_class: Py<PyType>,
    /// `WSGIRequest.__init__`
    fill_request: Py<PyAny>,
    /// The first middleware, which ends with the view.
    chain: Py<PyAny>,
    log_response: Py<PyAny>,
    handler_class: Py<PyAny>,
    prefix: ThreadValue,
    signals: Signals,
    shapes: Shapes,
    settings: Py<PyAny>,
    limited_stream: Py<PyAny>,
    parse_cookie: Py<PyAny>,
    query_dict: Py<PyAny>,
    /// Shows the calling thread the worker's event loop.
    join_loop: Py<PyAny>,
    /// Sends an asynchronous body.
    stream: Py<PyAny>,
}

#[pymethods]
impl DjangoEntry {
    /// From what Python has found: see `hurricane.interface.entry`.
    #[new]
    fn new(found: &Bound<'_, PyDict>) -> PyResult<Self> {
        let get = |name: &str| -> PyResult<Py<PyAny>> {
            found.as_any().get_item(name).map(Bound::unbind)
        };
        let py = found.py();
        let class = |name: &str| -> PyResult<Py<PyType>> {
            Ok(get(name)?.into_bound(py).cast_into::<PyType>()?.unbind())
        };
        let receivers = |name: &str| get(name)?.extract::<Vec<Py<PyAny>>>(py);
        let signals = Signals {
            started: Known {
                signal: get("request_started")?,
                receivers: receivers("started_receivers")?,
            },
            finished: Known {
                signal: get("request_finished")?,
                receivers: receivers("finished_receivers")?,
            },
            databases: Connections { table: get("connections")?, is_critical: true },
            caches: Connections { table: get("caches")?, is_critical: false },
            urlconf: ThreadValue { local: get("urlconfs")?, set: get("set_urlconf")? },
            settings: get("settings")?,
            sender: get("handler_class")?,
            reset_queries: get("reset_queries")?,
            close_old_connections: get("close_old_connections")?,
            close_caches: get("close_caches")?,
        };
        let stock = Stock {
            iterate: get("iterate")?,
            iterate_stream: get("iterate_stream")?,
            items: get("items")?,
            reason: get("reason_phrase")?,
            close: get("close")?,
            headers: class("response_headers")?,
            reasons: get("reasons")?.into_bound(py).cast_into::<PyDict>()?.unbind(),
            cookie_begin: get("cookie_begin")?.extract(py)?,
            announce: get("announce")?,
        };
        Ok(Self {
            request_class: class("request_class")?,
            fill_request: get("fill_request")?,
            chain: get("chain")?,
            log_response: get("log_response")?,
            handler_class: get("handler_class")?,
            prefix: ThreadValue { local: get("prefixes")?, set: get("set_script_prefix")? },
            signals,
            shapes: Shapes::new(stock),
            settings: get("settings")?,
            limited_stream: get("limited_stream")?,
            parse_cookie: get("parse_cookie")?,
            query_dict: get("query_dict")?,
            join_loop: get("join_loop")?,
            stream: get("stream")?,
        })
    }
}

impl DjangoEntry {
    /// What a worker's requests are made with.
    pub(crate) fn kit(&self, py: Python<'_>, multithread: bool) -> PyResult<Arc<Kit>> {
        let wrapper = py.get_type::<FileWrapper>();
        Ok(Arc::new(Kit {
            template: Template::new(py, wrapper.as_any(), multithread)?,
            memory: Mutex::new(Memory::default()),
            limited_stream: self.limited_stream.clone_ref(py),
            parse_cookie: self.parse_cookie.clone_ref(py),
            query_dict: self.query_dict.clone_ref(py),
            settings: self.settings.clone_ref(py),
        }))
    }

    /// To be called once by each thread that answers requests.
    pub(crate) fn join_loop(&self, py: Python<'_>) {
        if let Err(error) = self.join_loop.bind(py).call0() {
            tracing::warn!(%error, "coroutines on this thread have event loops of their own");
        }
    }

    pub(crate) fn request_class<'a, 'py>(&'a self, py: Python<'py>) -> &'a Bound<'py, PyType> {
        self.request_class.bind(py)
    }

    /// Status, reason and fields of a response.
    pub(crate) fn announced(&self, response: &Bound<'_, PyAny>) -> PyResult<Announced> {
        self.shapes.announced(self.shapes.of(response)?, response)
    }

    /// Everything up to a response object.
    pub(crate) fn respond<'py>(
        &self,
        made: &Bound<'py, PyAny>,
        is_simple: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = made.py();
        let settings = self.settings.bind(py);
        let forced = settings.getattr(intern!(py, "FORCE_SCRIPT_NAME"))?;
        if forced.is_none() {
            self.prefix.ensure(intern!(py, "").as_any(), intern!(py, "/").as_any())?;
        } else {
            self.prefix.set.bind(py).call1((&forced,))?;
        }
        let is_alone = self.signals.start(py)?;
        if !is_alone || !is_simple || !forced.is_none() {
            let environ = lazy::raw_environ(made)?;
            if !is_alone {
                self.signals.send_started(&environ)?;
            }
            self.fill_request.bind(py).call1((made, environ))?;
        }
        let response = self.get_response(made)?;
        response.setattr(intern!(py, "_handler_class"), &self.handler_class)?;
        Ok(response)
    }

    /// `BaseHandler.get_response`.
    pub(crate) fn get_response<'py>(
        &self,
        made: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = made.py();
        self.signals.set_urlconf(py)?;
        let response = self.chain.bind(py).call1((made,))?;
        let closers = response.getattr(intern!(py, "_resource_closers"))?;
        let close = made.getattr(intern!(py, "close"))?;
        match closers.cast::<PyList>() {
            Ok(closers) => closers.append(close)?,
            Err(_) => drop(closers.call_method1(intern!(py, "append"), (close,))?),
        }
        let status = response.getattr(intern!(py, "status_code"))?;
        let is_error = match status.extract::<i64>() {
            Ok(status) => status >= 400,
            Err(_) => status.ge(400)?,
        };
        if is_error {
            let reason = response.getattr(intern!(py, "reason_phrase"))?;
            let path = made.getattr(intern!(py, "path"))?;
            let keywords = PyDict::new(py);
            keywords.set_item(intern!(py, "response"), &response)?;
            keywords.set_item(intern!(py, "request"), made)?;
            let log = self.log_response.bind(py);
            log.call((intern!(py, "%s: %s"), reason, path), Some(&keywords))?;
        }
        Ok(response)
    }

    /// `HttpResponseBase.close`, or what a response has in its place.
    fn close(&self, shape: Shape, response: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = response.py();
        let own = own(response)?;
        let closers = own.get_item(intern!(py, "_resource_closers"))?;
        let closers = closers.as_ref().and_then(|closers| closers.cast_exact::<PyList>().ok());
        let is_plain = shape.has_plain_close && !own.contains(intern!(py, "close"))?;
        let (true, Some(closers)) = (is_plain, closers) else {
            return response.call_method0(intern!(py, "close")).map(drop);
        };
        let mut index = 0;
        // By index: a closer may add another.
        while let Ok(closer) = closers.get_item(index) {
            if let Err(error) = closer.call0()
                && !error.is_instance_of::<pyo3::exceptions::PyException>(py)
            {
                return Err(error);
            }
            index += 1;
        }
        closers.call_method0(intern!(py, "clear"))?;
        response.setattr(intern!(py, "closed"), true)?;
        self.signals.finish(py)
    }
}

/// Answers a request, as [`crate::call::call`] does through WSGI.
pub(crate) fn call(
    py: Python<'_>,
    callee: &Callee,
    (django, kit): (&DjangoEntry, &Arc<Kit>),
    (request, received): (Request, Monotonic),
    outlet: Outlet,
    complete: impl FnOnce(&Request, Parcel),
) {
    let means = Arc::clone(&callee.means);
    let mut transmission = Transmission::new(outlet.clone(), &request, received, means);
    let is_simple = lazy::is_simple(&request);
    let (request, body) = lazy::part(request);
    let came = (Arc::clone(&request), body);
    let made = match lazy::make(django.request_class(py), came, Arc::clone(kit)) {
        Ok(made) => made,
        Err(error) => {
            tracing::error!(%error, "a request object cannot be made");
            return complete(&request, Parcel::nothing(outlet));
        }
    };
    let response = django.respond(&made, is_simple).and_then(|response| {
        let shape = django.shapes.of(&response)?;
        transmission.announce(django.shapes.announced(shape, &response)?);
        Ok((response, shape))
    });
    let status = if response.is_ok() { transmission.status() } else { 500 };
    let (route, paths) = (route(py, &made), callee.means.board.paths());
    transmission.count_under(callee.routes.found(paths, route.as_ref(), &request.head, status));
    let (response, shape) = match response {
        Ok(answered) => answered,
        Err(error) => {
            callee.excuse(py, &request, &error, &mut transmission);
            return complete(&request, finish(py, &request, &mut transmission, None));
        }
    };
    let sent = match handed(py, callee, &request, &mut transmission) {
        Ok(None) => Shapes::send_plain(shape, &response, &mut transmission)
            .map(|is_sent| is_sent.then_some(None)),
        handed => handed,
    };
    match sent {
        Ok(Some(file)) => complete(&request, finish(py, &request, &mut transmission, file)),
        Ok(None) => {
            return stream(callee, django, &request, (&response, shape), transmission, complete);
        }
        Err(error) => {
            callee.excuse(py, &request, &error, &mut transmission);
            complete(&request, finish(py, &request, &mut transmission, None));
        }
    }
    if let Err(error) = django.close(shape, &response) {
        callee.log(py, &request, &error);
    }
}

/// What is sent in place of the response's own body: a file, or nothing more; none if it is its own.
fn handed(
    py: Python<'_>,
    callee: &Callee,
    request: &Request,
    transmission: &mut Transmission,
) -> PyResult<Option<Option<File>>> {
    if callee.mounts.is_empty() {
        return Ok(None);
    }
    Ok(match hand_over(py, &callee.mounts, &request.head, transmission)? {
        InPlace::Nothing => None,
        InPlace::File(file) => Some(file),
        InPlace::Refusal => Some(None),
    })
}

/// The route that Django has found.
fn route<'py>(py: Python<'py>, made: &Bound<'py, PyAny>) -> Option<Bound<'py, PyString>> {
    let found = own(made).ok()?.get_item(intern!(py, "resolver_match")).ok()??;
    found.getattr_opt(intern!(py, "route")).ok()??.cast_into().ok()
}

/// Sends what is not a plain response, and closes it, by the rules of WSGI.
fn stream(
    callee: &Callee,
    django: &DjangoEntry,
    request: &Request,
    (response, shape): (&Bound<'_, PyAny>, Shape),
    transmission: Transmission,
    complete: impl FnOnce(&Request, Parcel),
) {
    let py = response.py();
    let outlet = transmission.outlet();
    let start = match Bound::new(py, StartResponse { transmission }) {
        Ok(start) => start,
        Err(error) => {
            callee.log(py, request, &error);
            return complete(request, Parcel::nothing(outlet));
        }
    };
    let wrapped = wrapped(response);
    let outcome = match &wrapped {
        Ok(Some(wrapped)) => send(py, wrapped, &start),
        Ok(None) => match Shapes::is_async(shape, response) {
            Ok(true) => send_async(django, response, &start),
            Ok(false) => send(py, response, &start),
            Err(error) => Err(error),
        },
        Err(error) => Err(error.clone_ref(py)),
    };
    conclude(py, callee, request, &start, outcome, complete);
    let closed = match wrapped {
        Ok(Some(wrapped)) => wrapped.call_method0(intern!(py, "close")).map(drop),
        Ok(None) => django.close(shape, response),
        Err(_) => Ok(()),
    };
    if let Err(error) = closed {
        callee.log(py, request, &error);
    }
}

/// Sends a body that comes from the event loop, part by part, from this thread.
fn send_async(
    django: &DjangoEntry,
    response: &Bound<'_, PyAny>,
    start: &Bound<'_, StartResponse>,
) -> PyResult<Option<File>> {
    let py = response.py();
    let outlet = start.clone().unbind();
    let send = PyCFunction::new_closure(py, None, None, move |arguments, _| {
        send_part(arguments.get_item(0)?, outlet.bind(arguments.py()))
    })?;
    django.stream.bind(py).call1((response, send))?;
    start.borrow_mut().transmission.begin(BodyLength::Known(0))?;
    Ok(None)
}

/// A response with a file, as Django gives it to `wsgi.file_wrapper`.
fn wrapped<'py>(response: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = response.py();
    let file = response.getattr_opt(intern!(py, "file_to_stream"))?;
    let Some(file) = file.filter(|file| !file.is_none()) else { return Ok(None) };
    file.setattr(intern!(py, "close"), response.getattr(intern!(py, "close"))?)?;
    let size = response.getattr(intern!(py, "block_size"))?;
    py.get_type::<FileWrapper>().call1((file, size)).map(Some)
}
