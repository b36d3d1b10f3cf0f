//! What all servers here answer: the bytes of `crates/hurricane/examples/native.rs`.

use std::net::{Ipv4Addr, SocketAddr};

pub mod buffers;

/// The body of every response.
pub const BODY: &[u8] = b"hello\n";

/// Its media type.
pub const MEDIA_TYPE: &str = "text/plain; charset=utf-8";

/// Loopback, with the port that is the only argument.
pub fn address() -> SocketAddr {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok());
    (Ipv4Addr::LOCALHOST, port.expect("the only argument is the port")).into()
}
