//! What is asked of whom, how often and for how long.

use std::net::SocketAddr;
use std::time::Duration;

/// A load, as the command line describes it.
pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    /// One request, to its last byte.
    pub(crate) request: Vec<u8>,
    /// What is written at once: `pipeline` requests.
    pub(crate) batch: Vec<u8>,
    pub(crate) connections: usize,
    pub(crate) pipeline: u32,
    /// Whether each request has a connection of its own.
    pub(crate) churn: bool,
    /// Open loop: the time between two requests. None: the next when one is answered.
    pub(crate) interval: Option<Duration>,
    pub(crate) duration: Duration,
    pub(crate) requests_max: u64,
    /// Bytes a second that each connection reads; none: as fast as it can.
    pub(crate) read_rate: Option<u64>,
    pub(crate) slow: Slow,
}

/// Clients beside the load that take long to say what they want.
pub(crate) struct Slow {
    pub(crate) clients: usize,
    /// How long one of them takes for a request.
    pub(crate) duration: Duration,
}

/// What a browser behind a proxy would send at least: a few fields that a server has to parse.
pub(crate) fn request(path: &str, address: SocketAddr, churn: bool, body_bytes: usize) -> Vec<u8> {
    let connection = if churn { "Connection: close\r\n" } else { "" };
    let (method, length) = match body_bytes {
        0 => ("GET", String::new()),
        _ => (
            "POST",
            format!("Content-Type: application/octet-stream\r\nContent-Length: {body_bytes}\r\n"),
        ),
    };
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: hurricane-loadtest\r\n\
         Accept: */*\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n\
         {connection}{length}\r\n"
    )
    .into_bytes();
    request.resize(request.len() + body_bytes, b'x');
    request
}
