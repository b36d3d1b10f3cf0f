//! Responses: what an application answers, and how its head is put on the wire.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use futures_core::Stream;

use crate::{Dialect, Head, HeadEncoder, HttpDate, RequestId, ResponseError, Version};

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

impl ResponseBody {
    /// How long it is, as far as it is known.
    pub fn length(&self) -> BodyLength {
        match self {
            Self::Empty => BodyLength::Known(0),
            Self::Full(bytes) => BodyLength::Known(bytes.len() as u64),
            Self::File(file) => BodyLength::Known(file.len),
            Self::Stream(_) => BodyLength::Unknown,
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("Empty"),
            Self::Full(bytes) => write!(formatter, "Full({} bytes)", bytes.len()),
            Self::Stream(_) => formatter.write_str("Stream"),
            Self::File(file) => write!(formatter, "File({} bytes)", file.len),
        }
    }
}

/// A response that the worker encodes and writes.
#[derive(Debug)]
pub struct Response {
    /// 200..=999; the encoder refuses others, 1xx because it cannot be final.
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
        Self::typed("text/plain; charset=utf-8", body.into())
    }

    /// `application/json` with status 200. `body` is JSON already.
    pub fn json(body: impl Into<Bytes>) -> Self {
        Self::typed("application/json", body.into())
    }

    fn typed(media_type: &'static str, body: Bytes) -> Self {
        let name = Bytes::from_static(b"Content-Type");
        Self {
            status: 200,
            headers: vec![(name, Bytes::from_static(media_type.as_bytes()))],
            body: ResponseBody::Full(body),
        }
    }

    /// An empty response.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: ResponseBody::Empty }
    }

    /// Appends the whole head to `out`; see [`HeadEncoder`]. On an error `out` is as it was.
    pub fn encode_head(
        &self,
        out: &mut Vec<u8>,
        facts: RequestFacts<'_>,
        date: &HttpDate,
    ) -> Result<(TransferFraming, bool), ResponseError> {
        let mut encoder = HeadEncoder::new(out, self.status, b"")?;
        for (name, value) in &self.headers {
            encoder.header(name, value)?;
        }
        encoder.finish(self.body.length(), facts, date)
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

impl Rest {
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.file.is_none()
    }
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
pub struct RequestFacts<'a> {
    /// The request's version.
    pub version: Version,
    /// Whether the method is HEAD.
    pub is_head: bool,
    /// Whether the connection may live on.
    pub keep_alive: bool,
    /// The identifier that the answer tells, unless the application does.
    pub id: Option<&'a RequestId>,
    /// How it is answered.
    pub dialect: &'static Dialect,
}

impl RequestFacts<'static> {
    /// What there is to know of a request whose connection may live on or not. Its identifier is
    /// not told.
    pub fn of(head: &Head, keep_alive: bool) -> Self {
        Self {
            version: head.version(),
            is_head: head.0.method.of(&head.0.bytes) == b"HEAD",
            keep_alive,
            id: None,
            dialect: head.dialect(),
        }
    }
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
    /// No body bytes at all (HEAD, 204, 205, 304): drop what the application gives.
    None,
    /// Exactly so many bytes, then the response is over.
    Length(u64),
    /// In chunks; see [`crate::chunk_prefix`] and [`crate::FINAL_CHUNK`].
    Chunked,
    /// Until the connection is closed (HTTP/1.0 peers).
    Close,
}
