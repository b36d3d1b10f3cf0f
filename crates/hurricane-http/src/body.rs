//! Request bodies: their framing on the wire, and what the application gets.

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
pub struct BodyDecoder {
    // The implementer's state.
}

impl BodyDecoder {
    /// A decoder for one body. `limits.body_bytes_max` is checked against a declared
    /// Content-Length here, and against the running sum of a chunked body in `decode`.
    pub fn new(framing: BodyFraming, limits: &Limits) -> Result<Self, RequestError> {
        todo!()
    }

    /// Appends decoded bytes of `input` to `out`; stops at the end of the body or of the input.
    /// Appends at most `input.len()` bytes.
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<BodyProgress, RequestError> {
        todo!()
    }
}
