//! The chunked coding of request bodies (RFC 9112 §7.1), decoded in any split of its bytes.
//!
//! Extensions and trailers are held to their grammar and dropped. Between two bytes nothing is
//! kept but the state, counts and the size of the current chunk.
//!
//! ```text
//! Size ─ ";" ─► extension ─ CR ─► LineEnd ─ size > 0 ─► Data ─► DataEnd ─► Size
//!   └──────────── CR ────────────────▲ └─ size = 0 ─► Trailer… ─ empty line ─► Done
//! ```

use crate::fields::{is_token_byte, is_value_byte};
use crate::{Limits, RequestError};

/// Takes the chunked coding off one body.
#[derive(Debug)]
pub(crate) struct ChunkedDecoder {
    state: State,
    /// Size of the current chunk, then what is left of it.
    size: u64,
    /// What `body_bytes_max` leaves for chunks after the current one.
    budget: u64,
    /// Bytes of the current chunk line.
    line_bytes: usize,
    /// Bytes of all extensions.
    extension_bytes: usize,
    /// Bytes of all trailer lines.
    trailer_bytes: usize,
    limits: ChunkLimits,
}

/// The limits of a chunked body.
#[derive(Debug)]
struct ChunkLimits {
    body: u64,
    line: usize,
    extensions: usize,
    trailers: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first digit of a size.
    SizeStart,
    Size,
    /// White space behind a size.
    SizeSpace,
    /// Behind a `;`.
    ExtensionStart,
    ExtensionName,
    /// White space behind an extension's name.
    NameSpace,
    /// Behind a `=`.
    ValueStart,
    ValueToken,
    Quoted,
    /// Behind a backslash.
    QuotedPair,
    QuotedEnd,
    /// White space behind an extension's value.
    ValueSpace,
    /// Behind the CR of a chunk line.
    LineEnd,
    Data,
    /// Behind a chunk's data.
    DataCr,
    DataLf,
    /// At the start of a trailer line.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    /// Behind the CR of the last, empty line.
    FinalLf,
    Done,
}

impl ChunkedDecoder {
    /// A decoder before the first chunk.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            state: State::SizeStart,
            size: 0,
            budget: limits.body_bytes_max,
            line_bytes: 0,
            extension_bytes: 0,
            trailer_bytes: 0,
            limits: ChunkLimits {
                body: limits.body_bytes_max,
                line: limits.chunk_line_bytes_max,
                extensions: limits.chunk_extension_bytes_max,
                trailers: limits.trailer_bytes_max,
            },
        }
    }

    /// Whether the body and its trailers are complete.
    pub(crate) fn is_complete(&self) -> bool {
        self.state == State::Done
    }

    /// Appends the data in `input` to `out`. Returns how many bytes of `input` are of this body.
    pub(crate) fn decode(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<usize, RequestError> {
        let mut used = 0;
        while used < input.len() && self.state != State::Done {
            if self.state == State::Data {
                let rest = &input[used..];
                let len =
                    usize::try_from(self.size).map_or(rest.len(), |left| left.min(rest.len()));
                out.extend_from_slice(&rest[..len]);
                used += len;
                self.size -= len as u64;
                if self.size == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            self.state = self.next(input[used])?;
            used += 1;
        }
        Ok(used)
    }

    fn next(&mut self, byte: u8) -> Result<State, RequestError> {
        match self.state {
            State::SizeStart | State::Size | State::SizeSpace => self.size(byte),
            State::LineEnd => self.line_end(byte),
            State::Data | State::DataCr => match byte {
                b'\r' => Ok(State::DataLf),
                _ => Err(RequestError::MissingChunkEnd),
            },
            State::DataLf => match byte {
                b'\n' => Ok(State::SizeStart),
                _ => Err(RequestError::MissingChunkEnd),
            },
            State::TrailerStart
            | State::TrailerName
            | State::TrailerValue
            | State::TrailerLf
            | State::FinalLf
            | State::Done => self.trailer(byte),
            _ => self.extension(byte),
        }
    }

    fn size(&mut self, byte: u8) -> Result<State, RequestError> {
        self.count_line_byte(byte)?;
        match (self.state, byte) {
            (State::SizeStart | State::Size, byte) if byte.is_ascii_hexdigit() => {
                // A value above the budget cannot come back below it: refuse at once.
                let digit = (byte as char).to_digit(16).unwrap_or_default();
                self.size = self
                    .size
                    .checked_mul(16)
                    .and_then(|size| size.checked_add(u64::from(digit)))
                    .filter(|size| *size <= self.budget)
                    .ok_or(RequestError::BodyTooLarge { limit: self.limits.body })?;
                Ok(State::Size)
            }
            (State::Size, b'\r') => Ok(State::LineEnd),
            (State::Size | State::SizeSpace, b' ' | b'\t') => {
                self.count_extension_byte()?;
                Ok(State::SizeSpace)
            }
            (State::Size | State::SizeSpace, b';') => {
                self.count_extension_byte()?;
                Ok(State::ExtensionStart)
            }
            (_, b'\n') => Err(RequestError::BareLineFeed),
            _ => Err(RequestError::InvalidChunkSize),
        }
    }

    fn extension(&mut self, byte: u8) -> Result<State, RequestError> {
        self.count_line_byte(byte)?;
        if matches!(
            (self.state, byte),
            (State::ExtensionName | State::ValueToken | State::QuotedEnd, b'\r')
        ) {
            return Ok(State::LineEnd);
        }
        self.count_extension_byte()?;
        Ok(match (self.state, byte) {
            (State::ExtensionStart, b' ' | b'\t') => State::ExtensionStart,
            (State::ExtensionStart | State::ExtensionName, byte) if is_token_byte(byte) => {
                State::ExtensionName
            }
            (State::ExtensionName | State::NameSpace, b' ' | b'\t') => State::NameSpace,
            (State::ExtensionName | State::NameSpace, b'=') => State::ValueStart,
            (State::ValueStart, b' ' | b'\t') => State::ValueStart,
            (State::ValueStart, b'"') => State::Quoted,
            (State::ValueStart | State::ValueToken, byte) if is_token_byte(byte) => {
                State::ValueToken
            }
            (State::Quoted, b'"') => State::QuotedEnd,
            (State::Quoted, b'\\') => State::QuotedPair,
            (State::Quoted | State::QuotedPair, byte) if is_value_byte(byte) => State::Quoted,
            (State::ValueToken | State::QuotedEnd | State::ValueSpace, b' ' | b'\t') => {
                State::ValueSpace
            }
            (
                State::ExtensionName
                | State::NameSpace
                | State::ValueToken
                | State::QuotedEnd
                | State::ValueSpace,
                b';',
            ) => State::ExtensionStart,
            (_, b'\n') => return Err(RequestError::BareLineFeed),
            _ => return Err(RequestError::InvalidChunkExtension),
        })
    }

    fn line_end(&mut self, byte: u8) -> Result<State, RequestError> {
        if byte != b'\n' {
            return Err(RequestError::BareCarriageReturn);
        }
        self.line_bytes = 0;
        if self.size == 0 {
            return Ok(State::TrailerStart);
        }
        self.budget -= self.size;
        Ok(State::Data)
    }

    fn trailer(&mut self, byte: u8) -> Result<State, RequestError> {
        if !matches!((self.state, byte), (State::TrailerStart, b'\r') | (State::FinalLf, _)) {
            self.trailer_bytes += 1;
            if self.trailer_bytes > self.limits.trailers {
                return Err(RequestError::TrailersTooLarge { limit: self.limits.trailers });
            }
        }
        match (self.state, byte) {
            (State::TrailerStart, b'\r') => Ok(State::FinalLf),
            (State::FinalLf, b'\n') => Ok(State::Done),
            (State::TrailerStart, b' ' | b'\t') => Err(RequestError::FoldedField),
            (State::TrailerStart, b':') => Err(RequestError::EmptyFieldName),
            (State::TrailerName, b':') => Ok(State::TrailerValue),
            (State::TrailerName, b' ' | b'\t') => Err(RequestError::SpaceBeforeColon),
            (State::TrailerName, b'\r') => Err(RequestError::MissingColon),
            (State::TrailerStart | State::TrailerName, byte) if is_token_byte(byte) => {
                Ok(State::TrailerName)
            }
            (State::TrailerValue, b'\r') => Ok(State::TrailerLf),
            (State::TrailerValue, byte) if is_value_byte(byte) => Ok(State::TrailerValue),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            (State::TrailerLf | State::FinalLf, _) => Err(RequestError::BareCarriageReturn),
            (_, b'\n') => Err(RequestError::BareLineFeed),
            (State::TrailerValue, _) => Err(RequestError::InvalidFieldValue),
            _ => Err(RequestError::InvalidFieldName),
        }
    }

    /// Counts a byte of a chunk line; the CR that ends it is free.
    fn count_line_byte(&mut self, byte: u8) -> Result<(), RequestError> {
        if byte != b'\r' {
            self.line_bytes += 1;
        }
        if self.line_bytes > self.limits.line {
            return Err(RequestError::ChunkLineTooLong { limit: self.limits.line });
        }
        Ok(())
    }

    fn count_extension_byte(&mut self) -> Result<(), RequestError> {
        self.extension_bytes += 1;
        if self.extension_bytes > self.limits.extensions {
            return Err(RequestError::ChunkExtensionsTooLarge { limit: self.limits.extensions });
        }
        Ok(())
    }
}
