//! A request as Tornado's WSGI container told it, where `--compat 1.6` wants that.

use hurricane_http::{Request, Scheme};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::environ::{latin1, unquote};

/// Puts what was told otherwise in place of what is there.
pub(crate) fn retell(
    py: Python<'_>,
    environ: &Bound<'_, PyDict>,
    request: &Request,
) -> PyResult<()> {
    let head = &request.head;
    let whole = head.target();
    // What is in front of the first `?`, whatever form the target has.
    let path = whole.split(|byte| *byte == b'?').next().unwrap_or_default();
    environ.set_item(intern!(py, "PATH_INFO"), latin1(py, &unquote(&encoded_twice(path)))?)?;
    let host = head.header("host").unwrap_or_default();
    if !host.is_empty() {
        environ.set_item(intern!(py, "HTTP_HOST"), latin1(py, host)?)?;
    }
    let default: &[u8] = if request.scheme == Scheme::Https { b"443" } else { b"80" };
    let (name, port) = name_and_port(host, default);
    environ.set_item(intern!(py, "SERVER_NAME"), latin1(py, name)?)?;
    environ.set_item(intern!(py, "SERVER_PORT"), latin1(py, port)?)?;
    let cookies: Vec<_> =
        head.fields().filter(|(name, _)| name.eq_ignore_ascii_case(b"cookie")).collect();
    if cookies.len() > 1 {
        let values: Vec<_> = cookies.iter().map(|(_, value)| *value).collect();
        environ.set_item(intern!(py, "HTTP_COOKIE"), latin1(py, &values.join(&b','))?)?;
    }
    Ok(())
}

/// Bytes outside ASCII were taken for characters, and these encoded.
fn encoded_twice(path: &[u8]) -> Vec<u8> {
    path.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes()
}

/// A host with one colon has a port, any other has none.
fn name_and_port<'a>(host: &'a [u8], default: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    let mut parts = host.split(|byte| *byte == b':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(name), Some(port), None) if !port.is_empty() => (name, port),
        _ => (host, default),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_were_split_at_their_one_colon() {
        for (host, expected) in
            [("a:8000", ("a", "8000")), ("a", ("a", "80")), ("[::1]:8000", ("[::1]:8000", "80"))]
        {
            let (name, port) = name_and_port(host.as_bytes(), b"80");
            assert_eq!((name, port), (expected.0.as_bytes(), expected.1.as_bytes()));
        }
    }

    #[test]
    fn bytes_were_encoded_as_characters() {
        assert_eq!(encoded_twice(b"/\xc3\xa4"), b"/\xc3\x83\xc2\xa4");
    }
}
