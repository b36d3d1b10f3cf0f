//! Probes as a kubelet sends them.

use std::io;
use std::time::{Duration, Instant};

use crate::client::{Answer, Client};

/// What a probe was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeAnswer {
    /// Status code.
    pub status: u16,
    /// Body.
    pub body: String,
    /// From connecting to the end of the connection.
    pub took: Duration,
}

/// Sends the request of Kubernetes' prober, on a connection of its own, and reads to its end.
///
/// # Errors
/// What a kubelet would count as a failure: refused, reset, not HTTP, and an answer that is not
/// followed by the end of the connection.
pub fn probe(port: u16, path: &str) -> io::Result<ProbeAnswer> {
    let began = Instant::now();
    let mut client = Client::connect(port)?;
    client.send(format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUser-Agent: kube-probe/1.36\r\n\
         Accept: */*\r\nConnection: close\r\n\r\n"
    ))?;
    let Answer { status, body, .. } = client.read_answer()?;
    match client.read_to_end()?.as_slice() {
        [] => {}
        surplus => return Err(io::Error::other(format!("{} surplus bytes", surplus.len()))),
    }
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(ProbeAnswer { status, body, took: began.elapsed() })
}
