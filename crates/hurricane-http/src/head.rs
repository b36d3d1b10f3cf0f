//! The head parser: a state machine over the bytes of a connection.
//!
//! It is our own, not a tokeniser with checks behind it: the tokenisers at hand take bare line
//! feeds and start over with every read, so that a head that comes byte by byte costs the square
//! of its length.
//!
//! Invariants:
//! - A byte is looked at once, in whatever pieces the head comes.
//! - The first byte that breaks a rule decides the error, so a split never changes the result.
//! - Offsets fit into `u32`: the window onto the input is never longer.

use crate::fields::{Framing, token_prefix_len, trim, value_prefix_len};
use crate::request::{FieldSpan, Span};
use crate::target::{self, Target};
use crate::{BodyFraming, Head, Limits, RequestError, Version};

/// Fields that a head has room for before its list of places grows.
const FIELDS_EXPECTED: usize = 24;

/// Parses the heads of one connection, each in as many pieces as it comes in.
#[derive(Debug, Default)]
pub struct HeadParser {
    phase: Phase,
    /// Length of the empty line that was skipped. All other offsets are relative to its end.
    skipped: usize,
    /// Bytes before this offset have been judged.
    scanned: usize,
    /// Start of the target, field line or field value that `scanned` is in.
    element: usize,
    parts: Parts,
}

/// What has been read of a head.
#[derive(Debug, Default)]
struct Parts {
    method: Span,
    target: Target,
    version: Option<Version>,
    fields: Vec<FieldSpan>,
    name: Span,
    host: Option<Span>,
    framing: Framing,
}

/// What stands at `scanned`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// The first byte, or that of an empty line.
    #[default]
    Start,
    Method,
    Target,
    Version,
    /// The first byte of a field line, or of the empty line that ends the head.
    Line,
    Name,
    Value,
}

/// Whether a step came to its end. `More`: it needs bytes that are not there yet.
enum Step {
    Next(Phase),
    More,
    End,
}

impl HeadParser {
    /// Goes on with the head at the start of `input`; see [`Head::parse`].
    ///
    /// Until a head is complete, `input` must start with the bytes of the call before. After
    /// that the parser is ready for the next head. After an error it must not be used again.
    pub fn parse(
        &mut self,
        input: &[u8],
        limits: &Limits,
    ) -> Result<Option<(Head, usize)>, RequestError> {
        if self.phase == Phase::Start && !self.skip_empty_line(input)? {
            return Ok(None);
        }
        let head_bytes_max = limits.head_bytes_max.min(u32::MAX as usize);
        let unskipped = &input[self.skipped..];
        let window = &unskipped[..unskipped.len().min(head_bytes_max)];
        loop {
            match self.step(window, limits)? {
                Step::Next(phase) => self.phase = phase,
                Step::End => return self.finish(window).map(Some),
                Step::More if window.len() == head_bytes_max => {
                    return Err(RequestError::HeadTooLarge { limit: limits.head_bytes_max });
                }
                Step::More => return Ok(None),
            }
        }
    }

    /// Whether a head has begun: false before the first byte that is not of an empty line.
    pub fn has_begun(&self) -> bool {
        self.scanned > 0
    }

    fn skip_empty_line(&mut self, input: &[u8]) -> Result<bool, RequestError> {
        match input {
            [] | [b'\r'] => return Ok(false),
            [b'\r', b'\n', ..] => self.skipped = 2,
            [b'\r', ..] => return Err(RequestError::BareCarriageReturn),
            _ => {}
        }
        self.phase = Phase::Method;
        Ok(true)
    }

    #[inline]
    fn step(&mut self, window: &[u8], limits: &Limits) -> Result<Step, RequestError> {
        match self.phase {
            Phase::Start | Phase::Method => self.method(window),
            Phase::Target => self.target(window, limits),
            Phase::Version => self.version(window),
            Phase::Line => self.line(window, limits),
            Phase::Name => self.name(window),
            Phase::Value => self.value(window),
        }
    }

    fn method(&mut self, window: &[u8]) -> Result<Step, RequestError> {
        self.scanned += token_prefix_len(&window[self.scanned..]);
        match window[self.scanned..] {
            [] => Ok(Step::More),
            [b' ', ..] if self.scanned > 0 => {
                self.parts.method = Span::new(0, self.scanned);
                self.scanned += 1;
                self.element = self.scanned;
                Ok(Step::Next(Phase::Target))
            }
            ref rest => {
                line_fault(rest, RequestError::InvalidRequestLine, RequestError::InvalidMethod)
            }
        }
    }

    fn target(&mut self, window: &[u8], limits: &Limits) -> Result<Step, RequestError> {
        let too_long = self.element.saturating_add(limits.target_bytes_max).saturating_add(1);
        let end = window.len().min(too_long);
        self.scanned += target::prefix_len(&window[self.scanned..end]);
        if self.scanned == too_long {
            return Err(RequestError::TargetTooLong { limit: limits.target_bytes_max });
        }
        match window[self.scanned..] {
            [] => Ok(Step::More),
            [b' ', ..] if self.scanned == self.element => Err(RequestError::InvalidRequestLine),
            [b' ', ..] => {
                let method = self.parts.method.of(window);
                self.parts.target = Target::parse(method, window, self.element, self.scanned)?;
                self.scanned += 1;
                Ok(Step::Next(Phase::Version))
            }
            [b'#', ..] => Err(RequestError::TargetFragment),
            ref rest => {
                line_fault(rest, RequestError::InvalidRequestLine, RequestError::InvalidTarget)
            }
        }
    }

    fn version(&mut self, window: &[u8]) -> Result<Step, RequestError> {
        let rest = &window[self.scanned..];
        // At most ten bytes, so looking at them again costs nothing worth a state.
        for (index, expected) in b"HTTP/d.d".iter().enumerate() {
            let matches = match rest.get(index) {
                None => return Ok(Step::More),
                Some(byte) if *expected == b'd' => byte.is_ascii_digit(),
                Some(byte) => byte == expected,
            };
            if !matches {
                return line_fault(
                    &rest[index..],
                    RequestError::InvalidVersion,
                    RequestError::InvalidVersion,
                );
            }
        }
        match rest[8..] {
            [] | [b'\r'] => return Ok(Step::More),
            [b'\r', b'\n', ..] => {}
            ref rest => {
                return line_fault(
                    rest,
                    RequestError::InvalidVersion,
                    RequestError::InvalidVersion,
                );
            }
        }
        self.parts.version = match &rest[5..8] {
            b"1.1" => Some(Version::Http11),
            b"1.0" => Some(Version::Http10),
            _ => return Err(RequestError::UnsupportedVersion),
        };
        self.scanned += 10;
        self.parts.fields.reserve(FIELDS_EXPECTED);
        Ok(Step::Next(Phase::Line))
    }

    fn line(&mut self, window: &[u8], limits: &Limits) -> Result<Step, RequestError> {
        match window[self.scanned..] {
            [] | [b'\r'] => Ok(Step::More),
            [b'\r', b'\n', ..] => {
                self.scanned += 2;
                Ok(Step::End)
            }
            [b' ' | b'\t', ..] if self.parts.fields.is_empty() => {
                Err(RequestError::SpaceBeforeFirstField)
            }
            [b' ' | b'\t', ..] => Err(RequestError::FoldedField),
            [b'\r', ..] => Err(RequestError::BareCarriageReturn),
            _ if self.parts.fields.len() >= limits.header_count_max => {
                Err(RequestError::TooManyFields { limit: limits.header_count_max })
            }
            _ => {
                self.element = self.scanned;
                Ok(Step::Next(Phase::Name))
            }
        }
    }

    fn name(&mut self, window: &[u8]) -> Result<Step, RequestError> {
        self.scanned += token_prefix_len(&window[self.scanned..]);
        match window[self.scanned..] {
            [] => Ok(Step::More),
            [b':', ..] if self.scanned == self.element => Err(RequestError::EmptyFieldName),
            [b':', ..] => {
                self.parts.name = Span::new(self.element, self.scanned);
                self.scanned += 1;
                self.element = self.scanned;
                Ok(Step::Next(Phase::Value))
            }
            [b' ' | b'\t', ..] => Err(RequestError::SpaceBeforeColon),
            ref rest => {
                line_fault(rest, RequestError::MissingColon, RequestError::InvalidFieldName)
            }
        }
    }

    fn value(&mut self, window: &[u8]) -> Result<Step, RequestError> {
        self.scanned += value_prefix_len(&window[self.scanned..]);
        match window[self.scanned..] {
            [] | [b'\r'] => Ok(Step::More),
            [b'\r', b'\n', ..] => {
                self.parts.field(window, self.element, self.scanned)?;
                self.scanned += 2;
                Ok(Step::Next(Phase::Line))
            }
            ref rest => {
                line_fault(rest, RequestError::InvalidFieldValue, RequestError::InvalidFieldValue)
            }
        }
    }

    /// The head is complete: what only its whole can tell.
    fn finish(&mut self, window: &[u8]) -> Result<(Head, usize), RequestError> {
        let Self { skipped, scanned, parts, .. } = std::mem::take(self);
        let Parts { method, target, version, fields, host, framing, .. } = parts;
        let version = version.ok_or(RequestError::InvalidVersion)?;
        if version == Version::Http11 && host.is_none() {
            return Err(RequestError::MissingHost);
        }
        let body = match framing.length {
            Some(_) if framing.chunked => return Err(RequestError::AmbiguousLength),
            None if framing.chunked => BodyFraming::Chunked,
            None | Some(0) => BodyFraming::None,
            Some(length) => BodyFraming::Length(length),
        };
        let connection = framing.connection;
        let head = Head {
            bytes: window[..scanned].into(),
            fields,
            method,
            target,
            host,
            version,
            framing: body,
            keep_alive: !connection.close && (version == Version::Http11 || connection.keep_alive),
            expects_continue: framing.expects_continue && body != BodyFraming::None,
        };
        Ok((head, skipped + scanned))
    }
}

impl Parts {
    /// Takes the field whose value is `window[start..end]`, and judges it if it is one that
    /// decides about the message.
    #[inline]
    fn field(&mut self, window: &[u8], start: usize, end: usize) -> Result<(), RequestError> {
        let leading = window[start..end].iter().take_while(|byte| b" \t".contains(byte)).count();
        let value = trim(&window[start + leading..end]);
        let value_span = Span::new(start + leading, start + leading + value.len());
        self.fields.push(FieldSpan { name: self.name, value: value_span });
        let name = self.name.of(window);
        let version = self.version.unwrap_or(Version::Http11);
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                if self.host.replace(value_span).is_some() {
                    return Err(RequestError::RepeatedHost);
                }
                if !target::is_authority(value) {
                    return Err(RequestError::InvalidHost);
                }
            }
            6 if name.eq_ignore_ascii_case(b"expect") => self.framing.expect(value, version)?,
            10 if name.eq_ignore_ascii_case(b"connection") => self.framing.connection.add(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                self.framing.content_length(value)?;
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.framing.transfer_encoding(value, version)?;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Judges the byte that `rest` starts with, which has no place in its line: the line's end came
/// too early, a line ends wrongly, or the byte is foreign.
#[cold]
fn line_fault(
    rest: &[u8],
    ended: RequestError,
    foreign: RequestError,
) -> Result<Step, RequestError> {
    match rest {
        [] | [b'\r'] => Ok(Step::More),
        [b'\r', b'\n', ..] => Err(ended),
        [b'\r', ..] => Err(RequestError::BareCarriageReturn),
        [b'\n', ..] => Err(RequestError::BareLineFeed),
        _ => Err(foreign),
    }
}
