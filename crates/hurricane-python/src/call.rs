//! One request through a WSGI application, on the calling thread, by PEP 3333.

use std::sync::Arc;

use hurricane::Mount;
use hurricane_http::{BodyLength, File, Outlet, Request, Response, ResponseBody};
use hurricane_scoreboard::Monotonic;
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator, PyList, PyTuple};

use crate::announced::Announced;
use crate::environ::{Memory, Template, environ};
use crate::file_wrapper::FileWrapper;
use crate::handing::{InPlace, hand_over};
use crate::input::Input;
use crate::respond::StartResponse;
use crate::route::Routes;
use crate::transmission::{Means, Parcel, Transmission, TransmissionError};

/// What every call of an application needs.
pub(crate) struct Callee {
    pub(crate) application: Py<PyAny>,
    pub(crate) template: Template,
    pub(crate) means: Arc<Means>,
    pub(crate) routes: Routes,
    /// Directories of files that the application may name in place of a body.
    pub(crate) mounts: Vec<Mount>,
    /// The logger that the application's exceptions go to.
    pub(crate) logger: Py<PyAny>,
}

/// Runs the application and sends its response, but for what `complete` is given: the last bytes,
/// which are all when the response is short. The application's `close` is called after that, on
/// this thread.
pub(crate) fn call(
    py: Python<'_>,
    callee: &Callee,
    memory: &mut Memory,
    (request, received): (&mut Request, Monotonic),
    outlet: Outlet,
    complete: impl FnOnce(&Request, Parcel),
) {
    let means = Arc::clone(&callee.means);
    let transmission = Transmission::new(outlet.clone(), request, received, means);
    let start = match Bound::new(py, StartResponse { transmission }) {
        Ok(start) => start,
        Err(error) => {
            callee.log(py, request, &error);
            return complete(request, Parcel::nothing(outlet));
        }
    };
    let mut result = None;
    let outcome = run(py, callee, memory, request, &start, &mut result);
    conclude(py, callee, request, &start, outcome, complete);
    if let Some(result) = result
        && let Err(error) = close(&result)
    {
        callee.log(py, request, &error);
    }
}

/// Ends a response that was sent, or has failed, through `start`.
pub(crate) fn conclude(
    py: Python<'_>,
    callee: &Callee,
    request: &Request,
    start: &Bound<'_, StartResponse>,
    outcome: PyResult<Option<File>>,
    complete: impl FnOnce(&Request, Parcel),
) {
    let parcel = {
        let transmission = &mut start.borrow_mut().transmission;
        let file = outcome.unwrap_or_else(|error| {
            callee.excuse(py, request, &error, transmission);
            None
        });
        finish(py, request, transmission, file)
    };
    complete(request, parcel);
}

/// What is left to be sent.
pub(crate) fn finish(
    py: Python<'_>,
    request: &Request,
    transmission: &mut Transmission,
    file: Option<File>,
) -> Parcel {
    let parcel = transmission.finish(py, file);
    if let Some(fault) = transmission.length_fault() {
        tracing::warn!(
            target = %String::from_utf8_lossy(request.head.target()),
            "the application gave {fault} bytes than its Content-Length; connection closed"
        );
    }
    parcel
}

/// Sends a response of the server's own, which is not counted.
pub(crate) fn answer(
    py: Python<'_>,
    callee: &Callee,
    (request, received): (&Request, Monotonic),
    outlet: Outlet,
    response: &Response,
) -> Parcel {
    let means = Arc::clone(&callee.means);
    let mut transmission = Transmission::uncounted(outlet, request, received, means);
    let body: &[u8] = match &response.body {
        ResponseBody::Full(bytes) => bytes,
        _ => b"",
    };
    transmission.announce(Announced::of(response));
    let sent = transmission
        .begin(BodyLength::Known(body.len() as u64))
        .and_then(|()| transmission.send(py, body, true));
    if sent.is_err() {
        transmission.fail();
    }
    transmission.finish(py, None)
}

/// Calls the application and sends what it gives.
fn run<'py>(
    py: Python<'py>,
    callee: &Callee,
    memory: &mut Memory,
    request: &mut Request,
    start: &Bound<'py, StartResponse>,
    result: &mut Option<Bound<'py, PyAny>>,
) -> PyResult<Option<File>> {
    let environ = environ(py, &callee.template, memory, request)?;
    let input = Bound::new(py, Input::new(std::mem::take(&mut request.body)))?;
    environ.set_item(intern!(py, "wsgi.input"), input)?;
    let returned = callee.application.bind(py).call1((&environ, start));
    {
        let transmission = &mut start.borrow_mut().transmission;
        let status = if returned.is_ok() { transmission.status() } else { 500 };
        let paths = callee.means.board.paths();
        transmission.count_under(callee.routes.find(paths, &environ, &request.head, status));
    }
    let returned = &*result.insert(returned?);
    if !callee.mounts.is_empty() {
        let transmission = &mut start.borrow_mut().transmission;
        match hand_over(py, &callee.mounts, &request.head, transmission)? {
            InPlace::Nothing => {}
            InPlace::File(file) => return Ok(file),
            InPlace::Refusal => return Ok(None),
        }
    }
    send(py, returned, start)
}

/// Sends a body; a file is left to the loop.
pub(crate) fn send(
    py: Python<'_>,
    returned: &Bound<'_, PyAny>,
    start: &Bound<'_, StartResponse>,
) -> PyResult<Option<File>> {
    if let Ok(wrapper) = returned.cast_exact::<FileWrapper>()
        && let Some(file) = wrapper.get().regular_file(py)
    {
        start.borrow_mut().transmission.begin(BodyLength::Known(file.len))?;
        return Ok(Some(file));
    }
    if is_finished(returned)? {
        send_finished(py, returned, start)?;
    } else {
        send_stream(returned, start)?;
    }
    Ok(None)
}

/// Whether all bytes of the body are there, so that looking at them before the first is sent
/// delays nothing: lists and tuples, and Django's responses that say so.
fn is_finished(returned: &Bound<'_, PyAny>) -> PyResult<bool> {
    if returned.is_exact_instance_of::<PyList>() || returned.is_exact_instance_of::<PyTuple>() {
        return Ok(true);
    }
    let streaming = returned.getattr_opt(intern!(returned.py(), "streaming"))?;
    Ok(streaming.is_some_and(|streaming| streaming.extract::<bool>().is_ok_and(|is| !is)))
}

fn send_finished(
    py: Python<'_>,
    returned: &Bound<'_, PyAny>,
    start: &Bound<'_, StartResponse>,
) -> PyResult<()> {
    let parts = returned.try_iter()?.map(|part| as_bytes(part?)).collect::<PyResult<Vec<_>>>()?;
    send_parts(py, &parts, &mut start.borrow_mut().transmission)
}

/// Sends a body that is there as a whole.
pub(crate) fn send_parts(
    py: Python<'_>,
    parts: &[Bound<'_, PyBytes>],
    transmission: &mut Transmission,
) -> PyResult<()> {
    let length = parts.iter().map(|part| part.as_bytes().len() as u64).sum();
    transmission.begin(BodyLength::Known(length))?;
    let last = parts.len().saturating_sub(1);
    for (index, part) in parts.iter().enumerate() {
        transmission.send(py, part.as_bytes(), index == last)?;
    }
    Ok(())
}

fn send_stream(returned: &Bound<'_, PyAny>, start: &Bound<'_, StartResponse>) -> PyResult<()> {
    let mut parts = returned.try_iter()?;
    if !start.borrow().transmission.streams() {
        let py = returned.py();
        let (joined, is_whole) = join(&mut parts)?;
        let transmission = &mut start.borrow_mut().transmission;
        let length = match is_whole {
            true => BodyLength::Known(joined.len() as u64),
            false => BodyLength::Unknown,
        };
        transmission.begin(length)?;
        if transmission.has_body() {
            transmission.send(py, &joined, is_whole)?;
        }
        if is_whole {
            return Ok(());
        }
    }
    for part in parts {
        if !send_part(part?, start)? {
            return Ok(());
        }
    }
    let transmission = &mut start.borrow_mut().transmission;
    Ok(transmission.begin(BodyLength::Known(0))?)
}

/// Bytes of a body that is made part by part and sent in one piece.
const JOINED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The parts in one piece, up to what memory there is for it, and whether these are all.
fn join(parts: &mut Bound<'_, PyIterator>) -> PyResult<(Vec<u8>, bool)> {
    let mut joined = Vec::new();
    for part in parts {
        joined.extend_from_slice(as_bytes(part?)?.as_bytes());
        if joined.len() > JOINED_BYTES_MAX {
            return Ok((joined, false));
        }
    }
    Ok((joined, true))
}

/// Sends a part of a body whose length is not known; whether more of it is wanted.
pub(crate) fn send_part(
    part: Bound<'_, PyAny>,
    start: &Bound<'_, StartResponse>,
) -> PyResult<bool> {
    let part = as_bytes(part)?;
    if part.as_bytes().is_empty() {
        return Ok(true);
    }
    let transmission = &mut start.borrow_mut().transmission;
    transmission.begin(BodyLength::Unknown)?;
    if transmission.has_body() {
        transmission.send(part.py(), part.as_bytes(), false)?;
    }
    Ok(transmission.has_body())
}

pub(crate) fn as_bytes(part: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyBytes>> {
    part.cast_into::<PyBytes>().map_err(|error| {
        let kind = error.into_inner().get_type();
        PyTypeError::new_err(format!("a WSGI body is made of bytes, not {kind}"))
    })
}

/// Answers 500 when nothing has been sent; else ends the connection, so that the peer sees that
/// the body is not whole.
fn apologise(py: Python<'_>, transmission: &mut Transmission) {
    if transmission.has_begun() {
        return transmission.fail();
    }
    const APOLOGY: &[u8] = b"Internal Server Error\n";
    transmission.take_back();
    transmission.announce(Announced::plain(500));
    let sent = transmission
        .begin(BodyLength::Known(APOLOGY.len() as u64))
        .and_then(|()| transmission.send(py, APOLOGY, true));
    if sent.is_err() {
        transmission.fail();
    }
}

/// Whether the exception only says that the peer has left.
fn is_departure(py: Python<'_>, error: &PyErr, transmission: &Transmission) -> bool {
    error.is_instance_of::<pyo3::exceptions::PyConnectionError>(py)
        && transmission.has_begun()
        && error.to_string().ends_with(&TransmissionError::PeerLeft.to_string())
}

fn close(result: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Some(close) = result.getattr_opt(intern!(result.py(), "close"))? {
        close.call0()?;
    }
    Ok(())
}

impl Callee {
    /// Logs what the application raised, and answers in its place.
    pub(crate) fn excuse(
        &self,
        py: Python<'_>,
        request: &Request,
        error: &PyErr,
        transmission: &mut Transmission,
    ) {
        if !is_departure(py, error, transmission) {
            self.log(py, request, error);
        }
        apologise(py, transmission);
    }

    /// Logs what the application raised.
    pub(crate) fn log(&self, py: Python<'_>, request: &Request, error: &PyErr) {
        let target = String::from_utf8_lossy(request.head.target()).into_owned();
        let arguments = ("%s %s: the application raised", request.head.method(), target);
        let keywords = pyo3::types::PyDict::new(py);
        let logged = keywords
            .set_item("exc_info", error.value(py))
            .and_then(|()| self.logger.bind(py).call_method("error", arguments, Some(&keywords)));
        if logged.is_err() {
            tracing::error!(%error, "the application raised, and its exception cannot be logged");
        }
    }
}
