//! Builds `environ` from a request: a copied template plus what the request says.
#![expect(unsafe_code, reason = "two calls of the C API that PyO3 does not wrap")]

use std::collections::HashMap;
use std::net::SocketAddr;

use foldhash::fast::RandomState;
use hurricane_http::{BodyFraming, Request, Scheme, Version};
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use pyo3::{ffi, intern};

use crate::tornado;

/// Names of fields that a thread remembers.
const FIELDS_MAX: usize = 512;
/// Bytes of a field's value that a thread remembers.
const VALUE_BYTES_MAX: usize = 256;

/// What does not change from request to request: the dictionary that each environ starts as.
pub(crate) struct Template(Py<PyDict>);

impl Template {
    pub(crate) fn new(
        py: Python<'_>,
        file_wrapper: &Bound<'_, PyAny>,
        multithread: bool,
    ) -> PyResult<Self> {
        let template = PyDict::new(py);
        template.set_item(intern!(py, "wsgi.version"), (1, 0))?;
        template.set_item(intern!(py, "wsgi.url_scheme"), intern!(py, "http"))?;
        let errors = py.import("sys")?.getattr("stderr")?;
        template.set_item(intern!(py, "wsgi.errors"), errors)?;
        template.set_item(intern!(py, "wsgi.multithread"), multithread)?;
        // Another worker, or this one's successor, may run the application at the same time.
        template.set_item(intern!(py, "wsgi.multiprocess"), true)?;
        template.set_item(intern!(py, "wsgi.run_once"), false)?;
        template.set_item(intern!(py, "wsgi.input_terminated"), true)?;
        template.set_item(intern!(py, "wsgi.file_wrapper"), file_wrapper)?;
        template.set_item(intern!(py, "SCRIPT_NAME"), intern!(py, ""))?;
        let software = concat!("hurricane/", env!("CARGO_PKG_VERSION"));
        template.set_item(intern!(py, "SERVER_SOFTWARE"), software)?;
        make_room(&template)?;
        Ok(Self(template.unbind()))
    }
}

/// Keys that every request has a value of its own for.
const OF_EACH_REQUEST: [&str; 11] = [
    "REQUEST_METHOD",
    "PATH_INFO",
    "QUERY_STRING",
    "RAW_URI",
    "REQUEST_URI",
    "SERVER_PROTOCOL",
    "REMOTE_ADDR",
    "REMOTE_PORT",
    "SERVER_NAME",
    "SERVER_PORT",
    "wsgi.input",
];

/// Makes the template's table so large that a copy, which takes over its size, need not grow while
/// it gets up to 20 fields. CPython has no call for that: a table grows threefold with its 22nd
/// key, and a copy keeps its size if most of it is in use.
fn make_room(template: &Bound<'_, PyDict>) -> PyResult<()> {
    let py = template.py();
    for key in OF_EACH_REQUEST {
        template.set_item(PyString::intern(py, key), py.None())?;
    }
    let last = intern!(py, "");
    template.set_item(last, py.None())?;
    template.del_item(last)
}

/// A thread's memory of keys and values that come again and again.
#[derive(Default)]
pub(crate) struct Memory {
    /// By name as sent; `None`: the field is dropped.
    fields: HashMap<Box<[u8]>, Option<Field>, RandomState>,
    host: Option<Host>,
    peer: Option<(std::net::IpAddr, Py<PyString>)>,
    port: Option<(u16, Py<PyString>)>,
}

/// What a thread remembers of a field.
struct Field {
    key: Py<PyString>,
    /// Its last value that was short enough: clients repeat most of their fields, and what stands
    /// between them and us adds the same ones to every request.
    value: Vec<u8>,
    text: Option<Py<PyString>>,
}

/// A Host value and what it says of the server.
struct Host {
    value: Box<[u8]>,
    name: Py<PyString>,
    port: Option<Py<PyString>>,
}

/// The environ of `request`, without `wsgi.input`.
pub(crate) fn environ<'py>(
    py: Python<'py>,
    template: &Template,
    memory: &mut Memory,
    request: &Request,
) -> PyResult<Bound<'py, PyDict>> {
    let environ = template.0.bind(py).copy()?;
    let head = &request.head;
    environ.set_item(intern!(py, "REQUEST_METHOD"), method(py, head.method()))?;
    environ.set_item(intern!(py, "PATH_INFO"), path_info(py, head.path())?)?;
    environ.set_item(intern!(py, "QUERY_STRING"), latin1(py, head.query())?)?;
    let target = latin1(py, head.target())?;
    environ.set_item(intern!(py, "RAW_URI"), &target)?;
    environ.set_item(intern!(py, "REQUEST_URI"), target)?;
    let protocol = match head.version() {
        Version::Http10 => intern!(py, "HTTP/1.0"),
        Version::Http11 => intern!(py, "HTTP/1.1"),
    };
    environ.set_item(intern!(py, "SERVER_PROTOCOL"), protocol)?;
    set_addresses(py, &environ, memory, request)?;
    for (name, value) in head.fields() {
        set_field(py, &environ, memory, name, value)?;
    }
    if !head.target().starts_with(b"/")
        && let Some(host) = head.host()
    {
        // Of an absolute target the authority wins over the Host field (RFC 9112 §3.2.2).
        environ.set_item(intern!(py, "HTTP_HOST"), latin1(py, host)?)?;
    }
    if head.framing() != BodyFraming::None || head.header("content-length").is_some() {
        environ.set_item(intern!(py, "CONTENT_LENGTH"), request.body.len().to_string())?;
    }
    if head.dialect().tells_like_tornado {
        tornado::retell(py, &environ, request)?;
    }
    Ok(environ)
}

pub(crate) fn method<'py>(py: Python<'py>, method: &str) -> Bound<'py, PyString> {
    match method {
        "GET" => intern!(py, "GET").clone(),
        "POST" => intern!(py, "POST").clone(),
        "HEAD" => intern!(py, "HEAD").clone(),
        "PUT" => intern!(py, "PUT").clone(),
        "PATCH" => intern!(py, "PATCH").clone(),
        "DELETE" => intern!(py, "DELETE").clone(),
        "OPTIONS" => intern!(py, "OPTIONS").clone(),
        other => PyString::new(py, other),
    }
}

/// The path with its percent-encoding taken off, byte for byte (PEP 3333: "bytes as latin-1").
fn path_info<'py>(py: Python<'py>, path: &[u8]) -> PyResult<Bound<'py, PyString>> {
    if path == b"/" {
        return Ok(intern!(py, "/").clone());
    }
    if !path.contains(&b'%') {
        return latin1(py, path);
    }
    latin1(py, &unquote(path))
}

pub(crate) fn unquote(path: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| {
        byte.and_then(|byte| char::from(*byte).to_digit(16))
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let mut out = Vec::with_capacity(path.len());
    let mut index = 0;
    while let Some(byte) = path.get(index) {
        if *byte == b'%'
            && let (Some(high), Some(low)) =
                (digit(path.get(index + 1)), digit(path.get(index + 2)))
        {
            out.push(high << 4 | low);
            index += 3;
        } else {
            out.push(*byte);
            index += 1;
        }
    }
    out
}

fn set_addresses(
    py: Python<'_>,
    environ: &Bound<'_, PyDict>,
    memory: &mut Memory,
    request: &Request,
) -> PyResult<()> {
    set_peer(py, environ, memory, request.peer)?;
    if request.scheme == Scheme::Https {
        environ.set_item(intern!(py, "wsgi.url_scheme"), intern!(py, "https"))?;
    }
    let host = request.head.host().unwrap_or_default();
    // Without one it is our own address, which is not that of every connection.
    if host.is_empty() || memory.host.as_ref().is_none_or(|known| *known.value != *host) {
        let (name, port) = split_host(host, request.local);
        let name = latin1(py, &name)?.unbind();
        let port = port.map(|port| latin1(py, port)).transpose()?.map(Bound::unbind);
        memory.host = Some(Host { value: host.into(), name, port });
    }
    if let Some(Host { name, port, .. }) = &memory.host {
        environ.set_item(intern!(py, "SERVER_NAME"), name.bind(py))?;
        if let Some(port) = port {
            return environ.set_item(intern!(py, "SERVER_PORT"), port.bind(py));
        }
    }
    let port = match (request.scheme, request.local) {
        (Scheme::Http, Some(local)) => local.port(),
        (scheme, _) => scheme.port(),
    };
    if memory.port.as_ref().is_none_or(|(known, _)| *known != port) {
        memory.port = Some((port, PyString::new(py, &port.to_string()).unbind()));
    }
    let port = memory.port.as_ref().map(|(_, port)| port.bind(py));
    environ.set_item(intern!(py, "SERVER_PORT"), port)
}

/// Whom a Unix domain socket has brought is for the proxy to say: REMOTE_ADDR is there, for those
/// who read it unasked, and empty. Few proxies tell a client's port.
fn set_peer(
    py: Python<'_>,
    environ: &Bound<'_, PyDict>,
    memory: &mut Memory,
    peer: Option<SocketAddr>,
) -> PyResult<()> {
    let Some(peer) = peer else {
        environ.del_item(intern!(py, "REMOTE_PORT"))?;
        return environ.set_item(intern!(py, "REMOTE_ADDR"), intern!(py, ""));
    };
    if memory.peer.as_ref().is_none_or(|(known, _)| *known != peer.ip()) {
        memory.peer = Some((peer.ip(), PyString::new(py, &peer.ip().to_string()).unbind()));
    }
    let address = memory.peer.as_ref().map(|(_, address)| address.bind(py));
    environ.set_item(intern!(py, "REMOTE_ADDR"), address)?;
    match peer.port() {
        0 => environ.del_item(intern!(py, "REMOTE_PORT")),
        port => environ.set_item(intern!(py, "REMOTE_PORT"), port.to_string()),
    }
}

/// Name and port of a Host value: the name without brackets, our address when there is none.
fn split_host(host: &[u8], local: Option<SocketAddr>) -> (Vec<u8>, Option<&[u8]>) {
    let (name, port) = match host.iter().rposition(|byte| *byte == b':') {
        Some(colon) if !host[colon..].contains(&b']') => (&host[..colon], &host[colon + 1..]),
        _ => (host, &b""[..]),
    };
    let name = name.strip_prefix(b"[").and_then(|name| name.strip_suffix(b"]")).unwrap_or(name);
    let own = || local.map_or_else(|| "localhost".to_owned(), |local| local.ip().to_string());
    let name = if name.is_empty() { own().into_bytes() } else { name.to_vec() };
    (name, (!port.is_empty()).then_some(port))
}

fn set_field(
    py: Python<'_>,
    environ: &Bound<'_, PyDict>,
    memory: &mut Memory,
    name: &[u8],
    value: &[u8],
) -> PyResult<()> {
    let field = match memory.fields.get_mut(name) {
        Some(field) => field,
        None => memory.learn(py, name),
    };
    let Some(field) = field else { return Ok(()) };
    let value = field.text(py, value)?;
    let key = field.key.bind(py);
    if let Some(earlier) = set_default(environ, key, &value)? {
        let separator = if name.eq_ignore_ascii_case(b"cookie") { "; " } else { ", " };
        let joined = format!("{}{separator}{}", earlier.str()?.to_str()?, value.to_str()?);
        environ.set_item(key, joined)?;
    }
    Ok(())
}

impl Memory {
    /// Begins to remember a field.
    fn learn(&mut self, py: Python<'_>, name: &[u8]) -> &mut Option<Field> {
        if self.fields.len() >= FIELDS_MAX {
            self.fields.clear();
        }
        let key = std::str::from_utf8(name).ok().and_then(|name| key(py, name));
        let field = key.map(|key| Field { key, value: Vec::new(), text: None });
        self.fields.entry(name.into()).or_insert(field)
    }
}

impl Field {
    /// A value as the application sees it.
    fn text<'py>(&mut self, py: Python<'py>, value: &[u8]) -> PyResult<Bound<'py, PyString>> {
        if let Some(text) = &self.text
            && self.value == value
        {
            return Ok(text.bind(py).clone());
        }
        let text = latin1(py, value)?;
        if value.len() <= VALUE_BYTES_MAX {
            self.value.clear();
            self.value.extend_from_slice(value);
            self.text = Some(text.clone().unbind());
        }
        Ok(text)
    }
}

/// The key of a field; none for those that the application does not see: names with `_` (they
/// could pose as their twins with `-`), and what the server has dealt with.
fn key(py: Python<'_>, name: &str) -> Option<Py<PyString>> {
    let upper = name.to_ascii_uppercase().replace('-', "_");
    let key = match upper.as_str() {
        _ if name.contains('_') => return None,
        "CONTENT_LENGTH" | "TRANSFER_ENCODING" | "TRAILER" => return None,
        "CONTENT_TYPE" => upper,
        _ => format!("HTTP_{upper}"),
    };
    Some(PyString::intern(py, &key).unbind())
}

/// `dict.setdefault`: the earlier value when there was one.
fn set_default<'py>(
    environ: &Bound<'py, PyDict>,
    key: &Bound<'py, PyString>,
    value: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = environ.py();
    let len = environ.len();
    // SAFETY: all three are live objects of this interpreter; the result is borrowed from the
    // dictionary or null with an exception set.
    let found = unsafe { ffi::PyDict_SetDefault(environ.as_ptr(), key.as_ptr(), value.as_ptr()) };
    if found.is_null() {
        return Err(PyErr::fetch(py));
    }
    // Not by identity: the earlier value may be the same object.
    if environ.len() > len {
        return Ok(None);
    }
    // SAFETY: a live object; the new reference outlives later changes of the dictionary.
    Ok(Some(unsafe { Bound::from_borrowed_ptr(py, found) }))
}

/// A str of one code point per byte.
pub(crate) fn latin1<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    let len = ffi::Py_ssize_t::try_from(bytes.len()).map_err(|_| PyMemoryError::new_err(()))?;
    // SAFETY: the pointer is to `len` readable bytes; a new reference or null with an exception.
    unsafe {
        let text = ffi::PyUnicode_DecodeLatin1(bytes.as_ptr().cast(), len, std::ptr::null());
        Bound::from_owned_ptr_or_err(py, text).map(|text| text.cast_into_unchecked())
    }
}
