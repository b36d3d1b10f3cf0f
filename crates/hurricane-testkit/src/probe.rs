//! Probes as a kubelet sends them.
//!
//! As measured with kubelet 1.36: [`probe_request`] on a connection of its own, one limit for the time
//! from connecting to the end of the body, and 10 KiB of that are read. A kubelet also follows
//! redirects on the same host, of which Hurricane's probes give none. `tests/kubelet.py` is all of it
//! for the tests in Python.

use std::io;
use std::time::{Duration, Instant};

use crate::client::{Answer, Client};

/// A kubelet grants 1 s, unless it is told otherwise; a busy machine may need more.
const TIMEOUT: Duration = Duration::from_secs(10);
const BODY_BYTES_MAX: usize = 10 * 1024;

/// What a probe was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeAnswer {
    /// Status code.
    pub status: u16,
    /// Body.
    pub body: String,
    /// From connecting to the end of the body.
    pub took: Duration,
}

/// What a kubelet sends to a port of this host, byte for byte.
pub fn probe_request(port: u16, path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: kube-probe/1.36\r\n\
         Accept: */*\r\nConnection: close\r\n\r\n"
    )
}

/// Sends one, and reads to the end of the connection.
///
/// # Errors
/// What a kubelet would count as a failure: refused, reset, not HTTP, late. And what it would not
/// notice: a body that it cuts off, an answer that is not followed by the end of the connection.
pub fn probe(port: u16, path: &str) -> io::Result<ProbeAnswer> {
    let began = Instant::now();
    let mut client = Client::connect(port)?;
    client.send(probe_request(port, path))?;
    let Answer { status, body, .. } = client.read_answer()?;
    let took = began.elapsed();
    if took > TIMEOUT {
        return Err(io::ErrorKind::TimedOut.into());
    }
    if body.len() > BODY_BYTES_MAX {
        return Err(io::Error::other(format!("{} bytes are more than is read", body.len())));
    }
    match client.read_to_end()?.as_slice() {
        [] => {}
        surplus => return Err(io::Error::other(format!("{} surplus bytes", surplus.len()))),
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(ProbeAnswer { status, body, took })
}
