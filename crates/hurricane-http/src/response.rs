//! Responses: what an application answers, and how its head is put on the wire.

use std::pin::Pin;

use bytes::Bytes;
use futures_core::Stream;

use crate::{Head, HttpDate, ResponseError, Version};

/// A part of a file, sent without passing through the application.
#[derive(Debug)]
pub struct File {
    /// Open for reading; its position is not used.
    pub file: std::fs::File,
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub len: u64,
}

/// The body of a [`Response`].
#[derive(Default)]
pub enum ResponseBody {
    /// No bytes.
    #[default]
    Empty,
    /// All bytes.
    Full(Bytes),
    /// Bytes as they come: the next item is asked for when the previous one is written. An
    /// error closes the connection without a final chunk.
    Stream(Pin<Box<dyn Stream<Item = std::io::Result<Bytes>>>>),
    /// A part of a file.
    File(File),
}

/// A response that the worker encodes and writes.
#[derive(Debug)]
pub struct Response {
    /// 100..=999; 1xx cannot be final and is refused by the encoder.
    pub status: u16,
    /// Fields, without Date, Server, Connection, Content-Length and Transfer-Encoding unless the
    /// application wants them otherwise.
    pub headers: Vec<(Bytes, Bytes)>,
    /// The body.
    pub body: ResponseBody,
}

impl Response {
    /// `text/plain; charset=utf-8` with status 200.
    pub fn text(body: impl Into<Bytes>) -> Self {
        todo!()
    }

    /// An empty response.
    pub fn empty(status: u16) -> Self {
        todo!()
    }

    /// Adds a field.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the status code.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }
}

/// What an application that writes on the [`crate::Outlet`] itself leaves to the worker.
#[derive(Debug, Default)]
pub struct Rest {
    /// Encoded bytes that did not fit into the socket.
    pub bytes: Bytes,
    /// A file (or part of one) that follows those bytes.
    pub file: Option<File>,
}

/// A response that the application has encoded, and written as far as it went.
#[derive(Debug)]
pub struct Written {
    /// The status code that was sent; 0 when nothing was (the peer had left).
    pub status: u16,
    /// Whether the connection lives on. False closes it after `rest`.
    pub keep_alive: bool,
    /// What the worker has still to write.
    pub rest: Rest,
}

/// An application's answer.
#[derive(Debug)]
pub enum Reply {
    /// The worker encodes and writes it.
    Response(Response),
    /// The application wrote it.
    Written(Written),
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self::Response(response)
    }
}

/// What the encoder has to know of the request that is answered.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts {
    /// The request's version.
    pub version: Version,
    /// Whether the method is HEAD.
    pub is_head: bool,
    /// Whether the connection may live on.
    pub keep_alive: bool,
}

/// How long the body of a response is, as far as the encoder's caller knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// Exactly so many bytes.
    Known(u64),
    /// Not known before it ends.
    Unknown,
}

/// How the body that follows an encoded head must be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferFraming {
    /// No body bytes at all (HEAD, 204, 304): drop what the application gives.
    None,
    /// Exactly so many bytes, then the response is over.
    Length(u64),
    /// In chunks; see `chunk_prefix` and [`FINAL_CHUNK`].
    Chunked,
    /// Until the connection is closed (HTTP/1.0 peers).
    Close,
}

/// Ends a chunked body.
pub const FINAL_CHUNK: &[u8] = b"0\r\n\r\n";

/// Writes a response head into a buffer, field by field, validating each.
#[derive(Debug)]
pub struct HeadEncoder<'a> {
    out: &'a mut Vec<u8>,
    // start of this head in out, what has been seen: Date, Server, Content-Length, Connection: close …
}

impl<'a> HeadEncoder<'a> {
    /// Starts with the status line. An empty `reason` takes the standard phrase. On an error
    /// here or later `out` is cut back to where it was.
    pub fn new(out: &'a mut Vec<u8>, status: u16, reason: &[u8]) -> Result<Self, ResponseError> {
        todo!()
    }

    /// Adds a field of the application: name a token, value without CR, LF, NUL. Hop-by-hop
    /// fields (PEP 3333) are an error, except `Connection: close` which ends the connection and
    /// `Connection: keep-alive` which is dropped. Content-Length is parsed and kept aside.
    pub fn header(&mut self, name: &[u8], value: &[u8]) -> Result<(), ResponseError> {
        todo!()
    }

    /// Ends the head: adds Date and Server where missing, Content-Length or Transfer-Encoding,
    /// and `Connection`. Returns how to write the body and whether the connection lives on.
    ///
    /// The application's Content-Length wins over `BodyLength`: the caller counts, cuts or
    /// closes.
    pub fn finish(
        self,
        length: BodyLength,
        facts: RequestFacts,
        date: &HttpDate,
    ) -> Result<(TransferFraming, bool), ResponseError> {
        todo!()
    }
}

/// Appends the size line of a chunk of `len` bytes (`len` > 0). The chunk's bytes and `\r\n`
/// follow.
pub fn chunk_prefix(out: &mut Vec<u8>, len: usize) {
    todo!()
}
