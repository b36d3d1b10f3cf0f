//! The native half of Django's request object: what came, and the attributes made of it when they
//! are first read.

use std::sync::{Arc, Mutex};

use hurricane_http::{Body, Request};
use pyo3::exceptions::{PyAttributeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};
use pyo3::{IntoPyObjectExt, ffi, intern};

use crate::django::query;
use crate::environ::{Memory, Template, environ, latin1, method, unquote};
use crate::input::Input;

/// What the requests of a worker are made with.
pub(crate) struct Kit {
    pub(crate) template: Template,
    /// Contended by nobody but threads that Django hands a request to.
    pub(crate) memory: Mutex<Memory>,
    /// `django.core.handlers.wsgi.LimitedStream`.
    pub(crate) limited_stream: Py<PyAny>,
    /// `django.http.parse_cookie`.
    pub(crate) parse_cookie: Py<PyAny>,
    /// `django.http.QueryDict`, and whether it is filled as we know it.
    pub(crate) query_dict: Py<PyAny>,
    pub(crate) settings: Py<PyAny>,
}

/// The base of the request class beside Django's own.
#[pyclass(module = "hurricane._core", subclass)]
#[derive(Default)]
pub(crate) struct RequestParts {
    came: Option<Came>,
    is_whole: bool,
}

struct Came {
    request: Arc<Request>,
    body: Body,
    body_len: u64,
    input: Option<Py<Input>>,
    kit: Arc<Kit>,
}

#[pymethods]
impl RequestParts {
    /// Without a request: what Django makes by itself sets every attribute.
    #[new]
    #[pyo3(signature = (*_arguments, **_keywords))]
    fn new(_arguments: &Bound<'_, PyTuple>, _keywords: Option<&Bound<'_, PyDict>>) -> Self {
        Self::default()
    }
}

impl RequestParts {
    pub(crate) fn fill(&mut self, (request, body): (Arc<Request>, Body), kit: Arc<Kit>) {
        let body_len = body.len();
        self.came = Some(Came { request, body, body_len, input: None, kit });
    }
}

/// A request without its body, to be held by whoever asks of it, and the body.
pub(crate) fn part(mut request: Request) -> (Arc<Request>, Body) {
    let body = std::mem::take(&mut request.body);
    (Arc::new(request), body)
}

impl Came {
    /// `wsgi.input`, the same object whoever asks.
    fn input<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, Input>> {
        if let Some(input) = &self.input {
            return Ok(input.bind(py).clone());
        }
        let input = Bound::new(py, Input::new(std::mem::take(&mut self.body)))?;
        self.input = Some(input.clone().unbind());
        Ok(input)
    }

    /// The environ that Django's WSGI handler leaves behind: with a decoded path.
    fn environ<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let kit = Arc::clone(&self.kit);
        // Nothing below runs Python code, so the same thread cannot come here twice.
        let made = match kit.memory.try_lock() {
            Ok(mut memory) => environ(py, &kit.template, &mut memory, &self.request)?,
            Err(_) => environ(py, &kit.template, &mut Memory::default(), &self.request)?,
        };
        if self.body_len > 0 {
            // The body is no longer with the request.
            made.set_item(intern!(py, "CONTENT_LENGTH"), self.body_len.to_string())?;
        }
        made.set_item(intern!(py, "wsgi.input"), self.input(py)?)?;
        Ok(made)
    }

    fn environ_of_a_request<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let made = self.environ(py)?;
        if !is_plain(self.request.head.path()) {
            made.set_item(intern!(py, "PATH_INFO"), self.path_info(py)?)?;
        }
        Ok(made)
    }

    fn path_info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        let path = self.request.head.path();
        if path == b"/" {
            return Ok(intern!(py, "/").clone());
        }
        if is_plain(path) {
            return latin1(py, path);
        }
        let decoded = unquote(path);
        // [`is_simple`] has seen that it is UTF-8.
        Ok(PyString::new(py, &String::from_utf8_lossy(&decoded)))
    }

    fn content_type<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        let value = self.request.head.header("content-type").unwrap_or_default();
        latin1(py, &value.trim_ascii().to_ascii_lowercase())
    }

    fn stream<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let input = self.input(py)?;
        self.kit.limited_stream.bind(py).call1((input, self.body_len))
    }
}

/// Whether a path needs no decoding.
fn is_plain(path: &[u8]) -> bool {
    path.iter().all(|byte| byte.is_ascii() && *byte != b'%')
}

/// Whether every attribute can be made later without an error that Django raises at once, and as
/// simply as above.
pub(crate) fn is_simple(request: &Request) -> bool {
    const CONTENT_TYPE_BYTES_MAX: usize = 128;
    let head = &request.head;
    let mut types = head.fields().filter(|(name, _)| name.eq_ignore_ascii_case(b"content-type"));
    let is_simple_type = types.next().is_none_or(|(_, value)| {
        value.len() <= CONTENT_TYPE_BYTES_MAX
            && value.iter().all(|byte| byte.is_ascii_graphic() && *byte != b';')
    });
    let path = head.path();
    is_simple_type
        && types.next().is_none()
        && path.starts_with(b"/")
        && (is_plain(path) || std::str::from_utf8(&unquote(path)).is_ok())
}

/// A new request object, empty but for what came.
pub(crate) fn make<'py>(
    class: &Bound<'py, PyType>,
    came: (Arc<Request>, Body),
    kit: Arc<Kit>,
) -> PyResult<Bound<'py, PyAny>> {
    let made = allocate(class)?;
    made.cast::<RequestParts>()?.borrow_mut().fill(came, kit);
    Ok(made)
}

/// Calls the class's allocator, without `__init__`.
#[expect(unsafe_code, reason = "PyO3 has no call of tp_new for a subclass")]
fn allocate<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    let class = class.as_type_ptr();
    // SAFETY: a live type object; its slot does not change while the interpreter lock is held.
    let Some(new) = (unsafe { (*class).tp_new }) else {
        return Err(PyTypeError::new_err("the request class cannot be instantiated"));
    };
    let nothing = PyTuple::empty(py);
    // SAFETY: the type's own allocator, with the type, an empty tuple and no keywords; the result
    // is a new reference or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, new(class, nothing.as_ptr(), std::ptr::null_mut())) }
}

/// Puts an environ under both its names, in the place of the one that came.
pub(crate) fn replace_environ(
    request: &Bound<'_, PyAny>,
    environ: Bound<'_, PyDict>,
) -> PyResult<()> {
    let py = request.py();
    let own = own(request)?;
    own.set_item(intern!(py, "environ"), &environ)?;
    own.set_item(intern!(py, "META"), environ)
}

/// The environ of a request that Django shall fill itself.
pub(crate) fn raw_environ<'py>(made: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    let py = made.py();
    let mut parts = made.cast::<RequestParts>()?.borrow_mut();
    parts.is_whole = true;
    if let Some(replaced) = own(made)?.get_item(intern!(py, "environ"))? {
        return Ok(replaced.cast_into::<PyDict>()?);
    }
    let came = parts.came.as_mut().ok_or_else(|| PyValueError::new_err("nothing came"))?;
    came.environ(py)
}

/// An attribute that is made when it is first read; then it is the instance's own.
#[pyclass(module = "hurricane._core", frozen)]
pub(crate) struct LazyAttribute {
    field: Field,
    name: Py<PyString>,
    /// What makes it for a request that Django has made itself.
    otherwise: Option<Py<PyAny>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Environ,
    Meta,
    Method,
    Path,
    PathInfo,
    ContentType,
    ContentParams,
    Stream,
    Cookies,
    Get,
}

impl Field {
    const ALL: [(&'static str, Self); 10] = [
        ("environ", Self::Environ),
        ("META", Self::Meta),
        ("method", Self::Method),
        ("path", Self::Path),
        ("path_info", Self::PathInfo),
        ("content_type", Self::ContentType),
        ("content_params", Self::ContentParams),
        ("_stream", Self::Stream),
        ("COOKIES", Self::Cookies),
        ("GET", Self::Get),
    ];

    /// Whether Django makes it when it is first read, too.
    fn is_lazy_in_django(self) -> bool {
        matches!(self, Self::Cookies | Self::Get)
    }
}

#[pymethods]
impl LazyAttribute {
    #[new]
    #[pyo3(signature = (name, otherwise=None, /))]
    fn new(py: Python<'_>, name: &str, otherwise: Option<Py<PyAny>>) -> PyResult<Self> {
        let found = Field::ALL.iter().find(|(known, _)| *known == name);
        let (name, field) =
            *found.ok_or_else(|| PyValueError::new_err("a request has no such lazy attribute"))?;
        Ok(Self { field, name: PyString::intern(py, name).unbind(), otherwise })
    }

    fn __get__<'py>(
        slf: &Bound<'py, Self>,
        request: Option<&Bound<'py, PyAny>>,
        _class: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match request {
            None => Ok(slf.clone().into_any()),
            Some(request) => {
                let lazy = slf.get();
                let value = lazy.make(request)?;
                set_own(request, lazy.name.bind(slf.py()), &value)?;
                Ok(value)
            }
        }
    }
}

impl LazyAttribute {
    fn make<'py>(&self, request: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = request.py();
        if let Some(otherwise) = &self.otherwise
            && request.cast::<RequestParts>()?.borrow().came.is_none()
        {
            return otherwise.bind(py).call1((request,));
        }
        match self.field {
            Field::Environ | Field::Meta => return environ_and_meta(request),
            Field::Cookies => {
                let meta = request.getattr(intern!(py, "environ"))?;
                let kit = kit(request)?;
                return query::cookies(&meta, kit.parse_cookie.bind(py));
            }
            Field::Get => {
                let environ = request.getattr(intern!(py, "environ"))?;
                let encoding = request.getattr(intern!(py, "_encoding"))?;
                let kit = kit(request)?;
                return query::query(&environ, &encoding, &kit);
            }
            _ => {}
        }
        let mut parts = request.cast::<RequestParts>()?.borrow_mut();
        let came = parts.came.as_mut().ok_or_else(|| self.missing(request))?;
        match self.field {
            Field::Method => {
                let name = came.request.head.method();
                Ok(method(py, &name.to_ascii_uppercase()).into_any())
            }
            Field::Path | Field::PathInfo => came.path_info(py).map(Bound::into_any),
            Field::ContentType => came.content_type(py).map(Bound::into_any),
            Field::ContentParams => Ok(PyDict::new(py).into_any()),
            Field::Stream => came.stream(py),
            Field::Environ | Field::Meta | Field::Cookies | Field::Get => {
                Err(self.missing(request))
            }
        }
    }

    fn missing(&self, request: &Bound<'_, PyAny>) -> PyErr {
        missing(request, self.name.bind(request.py()))
    }
}

fn missing(request: &Bound<'_, PyAny>, name: &Bound<'_, PyString>) -> PyErr {
    let class = request.get_type().name().map_or_else(|_| String::new(), |name| name.to_string());
    PyAttributeError::new_err(format!("'{class}' object has no attribute '{name}'"))
}

fn kit(request: &Bound<'_, PyAny>) -> PyResult<Arc<Kit>> {
    let parts = request.cast::<RequestParts>()?.borrow();
    let came = parts.came.as_ref();
    came.map(|came| Arc::clone(&came.kit))
        .ok_or_else(|| missing(request, intern!(request.py(), "environ")))
}

/// The dictionary that has two names, put under each that the instance has not yet.
fn environ_and_meta<'py>(request: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = request.py();
    let made = {
        let mut parts = request.cast::<RequestParts>()?.borrow_mut();
        let came = parts.came.as_mut().ok_or_else(|| missing(request, intern!(py, "environ")))?;
        came.environ_of_a_request(py)?.into_any()
    };
    let own = own(request)?;
    for name in [intern!(py, "environ"), intern!(py, "META")] {
        if !own.contains(name)? {
            own.set_item(name, &made)?;
        }
    }
    Ok(made)
}

/// The instance's own attributes, as they are.
#[expect(unsafe_code, reason = "PyO3 has no access to the dictionary beneath __dict__")]
pub(crate) fn own<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    // SAFETY: a live object with a dictionary, or an exception; the result is a new reference.
    let own = unsafe {
        let own = ffi::PyObject_GenericGetDict(object.as_ptr(), std::ptr::null_mut());
        Bound::from_owned_ptr_or_err(object.py(), own)?
    };
    Ok(own.cast_into::<PyDict>()?)
}

fn set_own(
    object: &Bound<'_, PyAny>,
    name: &Bound<'_, PyString>,
    value: &Bound<'_, PyAny>,
) -> PyResult<()> {
    own(object)?.set_item(name, value)
}

/// A request's `__dict__` with everything that Django puts there at once.
#[pyfunction]
pub(crate) fn whole_dict<'py>(request: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    let py = request.py();
    let own = own(request)?;
    {
        let mut parts = request.cast::<RequestParts>()?.borrow_mut();
        if parts.is_whole || parts.came.is_none() {
            return Ok(own);
        }
        parts.is_whole = true;
    }
    for (name, _) in Field::ALL.iter().filter(|(_, field)| !field.is_lazy_in_django()) {
        request.getattr(PyString::intern(py, name))?;
    }
    for (name, value) in [
        (intern!(py, "_read_started"), false.into_bound_py_any(py)?),
        (intern!(py, "resolver_match"), py.None().into_bound(py)),
    ] {
        if !own.contains(name)? {
            own.set_item(name, value)?;
        }
    }
    Ok(own)
}
