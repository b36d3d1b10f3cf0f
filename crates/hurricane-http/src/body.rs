//! Request bodies: their framing on the wire, and what the application gets.

use crate::chunked::ChunkedDecoder;
use crate::{BodyFraming, Limits, RequestError};

/// A request body, wholly received before the application is called.
#[derive(Debug, Default)]
pub enum Body {
    /// No body, or an empty one.
    #[default]
    Empty,
    /// A body of at most `body_memory_bytes_max` bytes.
    Memory(Vec<u8>),
    /// A longer one in an unlinked temporary file, positioned at its start.
    File {
        /// The file.
        file: std::fs::File,
        /// Its length in bytes.
        len: u64,
    },
}

impl Body {
    /// Length in bytes after decoding.
    pub fn len(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
        }
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What one call of [`BodyDecoder::decode`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyProgress {
    /// Bytes of the input that belong to this body and were used up.
    pub consumed: usize,
    /// Whether the body (with its trailers) is complete. What follows is the next request.
    pub complete: bool,
}

/// Takes the framing off a body, in any split of its bytes.
#[derive(Debug)]
pub struct BodyDecoder(Decoder);

#[derive(Debug)]
enum Decoder {
    /// So many bytes are still to come.
    Length(u64),
    Chunked(ChunkedDecoder),
}

impl BodyDecoder {
    /// A decoder for one body. `limits.body_bytes_max` is checked against a declared
    /// Content-Length here, and against the running sum of a chunked body in `decode`.
    pub fn new(framing: BodyFraming, limits: &Limits) -> Result<Self, RequestError> {
        Ok(Self(match framing {
            BodyFraming::Chunked => Decoder::Chunked(ChunkedDecoder::new(limits)),
            BodyFraming::None => Decoder::Length(0),
            BodyFraming::Length(length) if length <= limits.body_bytes_max => {
                Decoder::Length(length)
            }
            BodyFraming::Length(_) => {
                return Err(RequestError::BodyTooLarge { limit: limits.body_bytes_max });
            }
        }))
    }

    /// Appends decoded bytes of `input` to `out`; stops at the end of the body or of the input.
    /// Appends at most `input.len()` bytes. After an error the decoder must not be used again.
    pub fn decode(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<BodyProgress, RequestError> {
        let consumed = match &mut self.0 {
            Decoder::Chunked(chunked) => chunked.decode(input, out)?,
            Decoder::Length(left) => {
                let len = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                out.extend_from_slice(&input[..len]);
                *left -= len as u64;
                len
            }
        };
        Ok(BodyProgress { consumed, complete: self.is_complete() })
    }

    /// Whether the body is complete; true from the start when there is none.
    pub fn is_complete(&self) -> bool {
        match &self.0 {
            Decoder::Length(left) => *left == 0,
            Decoder::Chunked(chunked) => chunked.is_complete(),
        }
    }
}
