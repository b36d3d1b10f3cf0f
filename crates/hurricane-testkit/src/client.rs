//! A client that sends exactly the bytes it is told to.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use crate::until::PATIENCE;

/// One connection over IPv4 loopback.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    /// Bytes that were received and belong to the next answer.
    received: Vec<u8>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Fields in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body without its framing.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first value of a field, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// Connects to a port of this host.
    ///
    /// # Errors
    /// As the kernel says: refused, reset.
    pub fn connect(port: u16) -> io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::new() })
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// As the kernel says.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends a GET request and reads its answer. The connection stays open.
    ///
    /// # Errors
    /// As the kernel says, or when the peer closes before the answer is whole.
    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))?;
        self.read_answer()
    }

    /// Reads one answer: by Content-Length, chunked, or until the peer closes.
    ///
    /// # Errors
    /// As the kernel says, or when the peer closes before the answer is whole.
    pub fn read_answer(&mut self) -> io::Result<Answer> {
        let head = self.read_through(b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1)?.parse().ok())
            .ok_or_else(|| garbage(&head))?;
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(':').ok_or_else(|| garbage(line)))
            .map(|pair| pair.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())))
            .collect::<Result<_, _>>()?;
        let mut answer = Answer { status, headers, body: Vec::new() };
        answer.body = match answer.header("content-length").map(str::parse) {
            Some(len) => self.read_exactly(len.map_err(|_| garbage(&head))?)?,
            None if answer.header("transfer-encoding") == Some("chunked") => self.read_chunks()?,
            None if matches!(status, 100..=199 | 204 | 304) => Vec::new(),
            None => self.read_to_end()?,
        };
        Ok(answer)
    }

    /// Reads until the peer closes.
    ///
    /// # Errors
    /// As the kernel says: a reset is an error.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = std::mem::take(&mut self.received);
        self.stream.read_to_end(&mut rest)?;
        Ok(rest)
    }

    fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.read_through(b"\r\n")?;
            let line = String::from_utf8_lossy(&line).into_owned();
            let len = usize::from_str_radix(line.trim(), 16).map_err(|_| garbage(&line))?;
            let chunk = self.read_exactly(len + 2)?;
            if len == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&chunk[..len]);
        }
    }

    fn read_through(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.received.windows(end.len()).position(|window| window == end) {
                return Ok(self.received.drain(..at + end.len()).collect());
            }
            self.receive()?;
        }
    }

    fn read_exactly(&mut self, len: usize) -> io::Result<Vec<u8>> {
        while self.received.len() < len {
            self.receive()?;
        }
        Ok(self.received.drain(..len).collect())
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            len => {
                self.received.extend_from_slice(&buffer[..len]);
                Ok(())
            }
        }
    }
}

fn garbage(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not HTTP: {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn answers(bytes: &'static [u8]) -> Client {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = Client::connect(listener.local_addr().unwrap().port()).unwrap();
        listener.accept().unwrap().0.write_all(bytes).unwrap();
        client
    }

    #[test]
    fn answers_are_framed_by_length_chunks_or_close() {
        let mut client = answers(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi\
              HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n1\r\n!\r\n0\r\n\r\n\
              HTTP/1.0 500 Oops\r\nX: y\r\n\r\nrest",
        );
        assert_eq!(client.read_answer().unwrap().text(), "hi");
        let second = client.read_answer().unwrap();
        assert_eq!((second.status, second.text().as_str()), (404, "no!"));
        let third = client.read_answer().unwrap();
        assert_eq!((third.header("x"), third.text().as_str()), (Some("y"), "rest"));
    }

    #[test]
    fn an_answer_that_is_cut_off_is_an_error() {
        let mut client = answers(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi");
        assert_eq!(client.read_answer().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
