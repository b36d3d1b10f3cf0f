//! An extension module that builds `environ` again and again: it can only be built in an
//! interpreter, and the one of `hurricane-python` has no way in from outside.

/// From its own file, as it is in the server.
#[path = "../../crates/hurricane-python/src/environ.rs"]
mod environ;
#[path = "../../crates/hurricane-python/src/tornado.rs"]
mod tornado;

use pyo3::prelude::*;

/// The extension module `environ`.
#[pymodule(gil_used = true)]
#[pyo3(name = "environ")]
mod module {
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};
    use std::time::Instant;

    use hurricane_benches::{BROWSER, PLAIN};
    use hurricane_http::{Body, Head, Limits, Request};
    use pyo3::exceptions::PyValueError;
    use pyo3::prelude::*;

    use crate::environ::{Memory, Template, environ};

    /// Builds and drops `environ` so many times; the seconds that one takes.
    #[pyfunction]
    fn build(py: Python<'_>, request: &str, times: u32) -> PyResult<f64> {
        let request = match request {
            "plain" => PLAIN,
            "browser" => BROWSER,
            _ => return Err(PyValueError::new_err("the requests are plain and browser")),
        };
        let head = Head::parse(request.as_bytes(), &Limits::default())
            .map_err(|error| PyValueError::new_err(error.to_string()))?
            .map(|(head, _)| head)
            .ok_or_else(|| PyValueError::new_err("the head is not complete"))?;
        let address = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let mut request = Request::new(head, Body::Empty);
        (request.local, request.peer) = (Some(address(8000)), Some(address(50_000)));
        let template = Template::new(py, py.None().bind(py), true)?;
        let mut memory = Memory::default();
        let began = Instant::now();
        for _ in 0..times {
            environ(py, &template, &mut memory, &request)?;
        }
        Ok(began.elapsed().as_secs_f64() / f64::from(times.max(1)))
    }
}
