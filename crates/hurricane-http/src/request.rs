//! A request: its head, parsed once into spans of one buffer, and its body.

use std::net::SocketAddr;

use crate::{Body, Limits, Outlet, RequestError};

/// HTTP version of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// How the body of a request ends on the wire (RFC 9112 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    /// No body.
    None,
    /// Content-Length.
    Length(u64),
    /// Transfer-Encoding: chunked.
    Chunked,
}

/// One field: name as sent (compare without case), value without surrounding space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// A token.
    pub name: &'a str,
    /// Bytes without CR, LF and NUL.
    pub value: &'a [u8],
}

/// A request head that has passed every rule of RFC 9112 and 9110 that we hold peers to.
#[derive(Clone, Debug)]
pub struct Head {
    // bytes: Box<[u8]> of exactly the head, spans as u32 offsets into it.
}

impl Head {
    /// Parses the head at the start of `input`.
    ///
    /// `Ok(None)`: not complete yet. `Ok(Some((head, consumed)))`: `input[consumed..]` is body
    /// or the next request. At most one empty line before the request line is skipped
    /// (RFC 9112 §2.2).
    pub fn parse(input: &[u8], limits: &Limits) -> Result<Option<(Self, usize)>, RequestError> {
        todo!()
    }

    /// The method token, such as `GET`. Any token is accepted.
    pub fn method(&self) -> &str {
        todo!()
    }

    /// The target as sent.
    pub fn target(&self) -> &[u8] {
        todo!()
    }

    /// The path of the target, percent-encoded as sent: of absolute-form the part after the
    /// authority (`/` when empty), `*` for asterisk-form.
    pub fn path(&self) -> &[u8] {
        todo!()
    }

    /// What follows the first `?` of the target, without it; empty when there is none.
    pub fn query(&self) -> &[u8] {
        todo!()
    }

    /// The version of the request line.
    pub fn version(&self) -> Version {
        todo!()
    }

    /// All fields in order.
    pub fn headers(&self) -> impl Iterator<Item = Header<'_>> {
        std::iter::empty()
    }

    /// The first value of a field.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        todo!()
    }

    /// Host: of absolute-form the target's authority, else the Host field; `None` only for
    /// HTTP/1.0 without it.
    pub fn host(&self) -> Option<&[u8]> {
        todo!()
    }

    /// How the body ends.
    pub fn framing(&self) -> BodyFraming {
        todo!()
    }

    /// Whether the peer lets the connection live on: HTTP/1.1 without `Connection: close`, or
    /// HTTP/1.0 with `Connection: keep-alive`.
    pub fn keep_alive(&self) -> bool {
        todo!()
    }

    /// Whether the peer waits for `100 Continue` (HTTP/1.1 with a body only).
    pub fn expects_continue(&self) -> bool {
        todo!()
    }
}

/// One request as the application gets it.
#[derive(Debug)]
pub struct Request {
    /// Request line and fields.
    pub head: Head,
    /// The whole body.
    pub body: Body,
    /// The peer's address.
    pub peer: SocketAddr,
    /// Our address on this connection.
    pub local: SocketAddr,
    /// Whether the connection may live on after the answer: what the peer asks for and the
    /// server (which may be draining) allows.
    pub keep_alive: bool,
    /// For applications that write their response themselves.
    pub outlet: Option<Outlet>,
}
