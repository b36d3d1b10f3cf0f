//! Where a socket listens, as it is logged and handed on.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use socket2::Socket;

/// An address of TCP or a path of a Unix domain socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Endpoint {
    /// Address and port.
    Tcp(SocketAddr),
    /// The socket's file; empty when it has none.
    Unix(PathBuf),
    /// No socket: a consumer serves nobody.
    Nowhere,
}

impl Endpoint {
    /// Where this socket listens.
    pub(crate) fn of(socket: &Socket) -> io::Result<Self> {
        let address = socket.local_addr()?;
        Ok(match address.as_socket() {
            Some(address) => Self::Tcp(address),
            None => Self::Unix(address.as_pathname().map(PathBuf::from).unwrap_or_default()),
        })
    }

    pub(crate) fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) | Self::Nowhere => None,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Nowhere => f.write_str("nowhere"),
        }
    }
}
