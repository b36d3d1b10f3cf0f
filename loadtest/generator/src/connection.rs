//! A keep-alive connection with at most one request under way.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::response::{Framing, frame};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A response that is larger is not what this load is about.
const RESPONSE_BYTES_MAX: usize = 1 << 20;

pub(crate) struct Connection {
    stream: TcpStream,
    /// The response so far is `buffer[..filled]`.
    buffer: Vec<u8>,
    filled: usize,
    since: Instant,
}

/// What reading from a connection has brought.
pub(crate) enum Progress {
    Partial,
    Answered {
        status: u16,
        since: Instant,
    },
    /// The connection cannot be used any more, and its request is lost.
    Broken(String),
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, buffer: vec![0; 4096], filled: 0, since: Instant::now() })
    }

    /// Requests are small, so that an empty send buffer takes them whole.
    pub(crate) fn send(&mut self, request: &[u8]) -> std::io::Result<()> {
        self.since = Instant::now();
        self.filled = 0;
        self.stream.write_all(request)
    }

    pub(crate) fn receive(&mut self) -> Progress {
        if self.filled == self.buffer.len() {
            if self.filled >= RESPONSE_BYTES_MAX {
                return Progress::Broken(format!("response exceeds {RESPONSE_BYTES_MAX} bytes"));
            }
            self.buffer.resize(self.filled * 2, 0);
        }
        match self.stream.read(&mut self.buffer[self.filled..]) {
            Ok(0) => return Progress::Broken("closed by the server".to_owned()),
            Ok(read) => self.filled += read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::Partial,
            Err(error) => return Progress::Broken(error.to_string()),
        }
        match frame(&self.buffer[..self.filled]) {
            Framing::Partial => Progress::Partial,
            Framing::Whole { status } => Progress::Answered { status, since: self.since },
            Framing::Malformed(cause) => Progress::Broken(cause.to_owned()),
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
