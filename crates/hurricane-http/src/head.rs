//! The head parser: httparse cuts a complete head into tokens, our rules judge them.
//!
//! A valid head that one read brings whole needs no more than that. Any other input goes through
//! a state machine that keeps its place between reads: it finds the end of the head, where
//! httparse gets its turn, or refuses what is already wrong and names the rule. httparse cannot
//! do this part: it starts over with every read, it has one error for many of our rules, and it
//! takes line feeds without carriage return, any number of empty lines before a request, and a
//! `#` in a target.
//!
//! Invariants:
//! - A byte is seen by the state machine at most once and by httparse at most three times, in
//!   whatever pieces the head comes.
//! - The first byte that breaks a rule decides the error, so a split never changes the result.
//! - Every [`Head`] has passed both httparse and our rules.
//! - Offsets fit into `u32`: the window onto the input is never longer.

use std::mem::MaybeUninit;

use crate::fields::{Framing, is_token_byte, token_prefix_len, trim, value_prefix_len};
use crate::request::Parts;
use crate::request_id::{self, SentId};
use crate::span::{FieldSpan, Span};
use crate::target::{self, Target};
use crate::{BodyFraming, Head, Limits, RequestError, Version};

/// Fields that httparse has room for without an allocation. Those of a longer head, where the
/// limits allow one, are counted by the state machine first.
const FIELDS_ON_STACK: usize = 128;

/// Parses the heads of one connection, each in as many pieces as it comes in.
#[derive(Debug, Default)]
pub struct HeadParser {
    phase: Phase,
    /// Whether the byte before `scanned` is a CR; only an LF may follow.
    after_cr: bool,
    /// Length of the empty line that was skipped. All other offsets are relative to its end.
    skipped: usize,
    /// Bytes before this offset have been judged.
    scanned: usize,
    /// Start of the target, version or field line that `scanned` is in.
    element: usize,
    /// Place of the field line's colon.
    colon: usize,
    field_count: usize,
    rules: Rules,
}

/// What `scanned` is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Before the first byte that is not of an empty line.
    #[default]
    Start,
    Method,
    Target,
    Version,
    /// At the first byte of a field line, or of the empty line that ends the head.
    Line,
    Name,
    Value,
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
        // Whole at once, or ending with this read: the state machine is spared.
        if self.scanned == 0 || window.ends_with(b"\r\n\r\n") {
            let field_count_max = limits.header_count_max.min(FIELDS_ON_STACK);
            if let Some(head) = tokenise(window, field_count_max, limits) {
                return Ok(Some(self.finish(head)));
            }
        }
        self.scan(window, limits)?;
        if self.phase == Phase::End {
            let head = tokenise(&window[..self.scanned], self.field_count, limits);
            debug_assert!(head.is_some(), "httparse refuses what our rules let through");
            let head = head.ok_or(RequestError::InvalidRequestLine)?;
            return Ok(Some(self.finish(head)));
        }
        if window.len() == head_bytes_max {
            return Err(RequestError::HeadTooLarge { limit: limits.head_bytes_max });
        }
        Ok(None)
    }

    /// Whether a head has begun: false before the first byte behind the empty line that is
    /// skipped.
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

    fn finish(&mut self, head: Head) -> (Head, usize) {
        let consumed = self.skipped + head.0.bytes.len();
        *self = Self::default();
        (head, consumed)
    }

    /// Judges the bytes that are new in `window`, up to the end of the head.
    fn scan(&mut self, window: &[u8], limits: &Limits) -> Result<(), RequestError> {
        self.rules.fields.joins_equal_lengths = limits.dialect.joins_equal_lengths;
        while self.phase != Phase::End && self.scanned < window.len() {
            if !self.after_cr {
                self.scanned += match self.phase {
                    Phase::Name => token_prefix_len(&window[self.scanned..]),
                    Phase::Value => value_prefix_len(&window[self.scanned..]),
                    _ => 0,
                };
            }
            let Some(&byte) = window.get(self.scanned) else { break };
            self.phase = match byte {
                b'\n' if self.after_cr => self.end_line(window)?,
                _ if self.after_cr => return Err(RequestError::BareCarriageReturn),
                b'\r' => self.phase,
                _ => self.next(byte, window, limits)?,
            };
            self.after_cr = byte == b'\r';
            self.scanned += 1;
        }
        Ok(())
    }

    /// Judges a byte that is not of a line's end.
    fn next(&mut self, byte: u8, window: &[u8], limits: &Limits) -> Result<Phase, RequestError> {
        let at = self.scanned;
        match (self.phase, byte) {
            (Phase::Method, b' ') if at > 0 => {
                self.element = at + 1;
                Ok(Phase::Target)
            }
            (Phase::Method, _) if is_token_byte(byte) => Ok(Phase::Method),
            (Phase::Target, b' ') if at == self.element => Err(RequestError::InvalidRequestLine),
            (Phase::Target, b' ') => {
                Target::parse(&window[..self.element - 1], window, self.element, at)?;
                self.element = at + 1;
                Ok(Phase::Version)
            }
            (Phase::Target, b'#') => Err(RequestError::TargetFragment),
            (Phase::Target, _) if target::is_target_byte(byte) => {
                if at - self.element < limits.target_bytes_max {
                    return Ok(Phase::Target);
                }
                Err(RequestError::TargetTooLong { limit: limits.target_bytes_max })
            }
            (Phase::Version, _) if is_version_byte(byte, at - self.element) => Ok(Phase::Version),
            (Phase::Line, b' ' | b'\t') if self.field_count == 0 => {
                Err(RequestError::SpaceBeforeFirstField)
            }
            (Phase::Line, b' ' | b'\t') => Err(RequestError::FoldedField),
            (Phase::Line, _) if self.field_count >= limits.header_count_max => {
                Err(RequestError::TooManyFields { limit: limits.header_count_max })
            }
            (Phase::Line, b':') => Err(RequestError::EmptyFieldName),
            (Phase::Line, _) if is_token_byte(byte) => {
                self.element = at;
                Ok(Phase::Name)
            }
            (Phase::Name, b':') => {
                self.colon = at;
                Ok(Phase::Value)
            }
            (Phase::Name, b' ' | b'\t') => Err(RequestError::SpaceBeforeColon),
            (_, b'\n') => Err(RequestError::BareLineFeed),
            (Phase::Start | Phase::Method, _) => Err(RequestError::InvalidMethod),
            (Phase::Target, _) => Err(RequestError::InvalidTarget),
            (Phase::Version, _) => Err(RequestError::InvalidVersion),
            (Phase::Line | Phase::Name, _) => Err(RequestError::InvalidFieldName),
            (Phase::Value | Phase::End, _) => Err(RequestError::InvalidFieldValue),
        }
    }

    /// Judges a line when its LF, at `scanned`, is there.
    fn end_line(&mut self, window: &[u8]) -> Result<Phase, RequestError> {
        let end = self.scanned - 1;
        match self.phase {
            Phase::Start | Phase::Method | Phase::Target => Err(RequestError::InvalidRequestLine),
            Phase::Version => {
                self.rules.version = match &window[self.element..end] {
                    b"HTTP/1.1" => Version::Http11,
                    b"HTTP/1.0" => Version::Http10,
                    version if version.len() == VERSION.len() => {
                        return Err(RequestError::UnsupportedVersion);
                    }
                    _ => return Err(RequestError::InvalidVersion),
                };
                Ok(Phase::Line)
            }
            Phase::Name => Err(RequestError::MissingColon),
            Phase::Value => {
                let name = Span::new(self.element, self.colon);
                let value = Span::within(window, trim(&window[self.colon + 1..end]));
                self.rules.field(window, FieldSpan { name, value })?;
                self.field_count += 1;
                Ok(Phase::Line)
            }
            Phase::Line | Phase::End => self.rules.framing().map(|_| Phase::End),
        }
    }
}

/// A version; `d` stands for a digit.
const VERSION: &[u8] = b"HTTP/d.d";

fn is_version_byte(byte: u8, index: usize) -> bool {
    match VERSION.get(index) {
        Some(b'd') => byte.is_ascii_digit(),
        expected => expected == Some(&byte),
    }
}

/// Makes a head of the one at the start of `window`. `None`: it is not complete, has more fields
/// than `field_count_max`, or breaks a rule.
fn tokenise(window: &[u8], field_count_max: usize, limits: &Limits) -> Option<Head> {
    let mut stack = [const { MaybeUninit::uninit() }; FIELDS_ON_STACK];
    let mut heap = Vec::new();
    let slots = if field_count_max <= FIELDS_ON_STACK {
        &mut stack[..field_count_max]
    } else {
        heap.resize(field_count_max, MaybeUninit::uninit());
        &mut heap[..]
    };
    let mut request = httparse::Request::new(&mut []);
    let parsed = request.parse_with_uninit_headers(window, slots);
    let Ok(httparse::Status::Complete(len)) = parsed else { return None };
    let (bytes, method) = (&window[..len], request.method?.as_bytes());
    let version = if request.version? == 0 { Version::Http10 } else { Version::Http11 };
    let (method_span, target_bytes) = (Span::within(bytes, method), request.path?.as_bytes());
    if method_span.start() > 0
        || target_bytes.len() > limits.target_bytes_max
        || !bytes.ends_with(b"\r\n\r\n")
    {
        return None;
    }
    let start = method.len() + 1;
    let target = Target::parse(method, bytes, start, start + target_bytes.len()).ok()?;
    let mut rules = Rules { version, ..Rules::default() };
    rules.fields.joins_equal_lengths = limits.dialect.joins_equal_lengths;
    let mut fields = Vec::with_capacity(request.headers.len() + 1);
    for header in request.headers {
        let name = Span::within(bytes, header.name.as_bytes());
        if !bytes[..name.start()].ends_with(b"\r\n") {
            return None;
        }
        let field = FieldSpan { name, value: Span::within(bytes, header.value) };
        rules.field(bytes, field).ok()?;
        fields.push(field);
    }
    let framing = rules.framing().ok()?;
    let connection = rules.fields.connection;
    // Room for an identifier, so that it costs no second allocation.
    let mut owned = Vec::with_capacity(bytes.len() + request_id::ROOM_BYTES);
    owned.extend_from_slice(bytes);
    Some(Head(Box::new(Parts {
        bytes: owned,
        fields,
        method: method_span,
        target,
        host: rules.host,
        version,
        framing,
        keep_alive: !connection.close && (version == Version::Http11 || connection.keep_alive),
        expects_continue: rules.fields.expects_continue && framing != BodyFraming::None,
        id: rules.id,
        is_identified: false,
        dialect: limits.dialect,
    })))
}

/// The rules of the fields that decide about a message, and what they have said so far.
#[derive(Debug, Default)]
struct Rules {
    version: Version,
    host: Option<Span>,
    fields: Framing,
    id: SentId,
}

impl Rules {
    /// Judges a field of `head`: most need no more than a look at length and first letter.
    #[inline]
    fn field(&mut self, head: &[u8], field: FieldSpan) -> Result<(), RequestError> {
        let name = field.name.of(head);
        let first = name.first().map(u8::to_ascii_lowercase);
        match (name.len(), first) {
            (4, Some(b'h'))
            | (6, Some(b'e'))
            | (10 | 14, Some(b'c'))
            | (12, Some(b'x'))
            | (17, Some(b't')) => self.ruled_field(head, field),
            _ => Ok(()),
        }
    }

    #[inline(never)]
    fn ruled_field(&mut self, head: &[u8], field: FieldSpan) -> Result<(), RequestError> {
        let (name, value) = (field.name.of(head), field.value.of(head));
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                if self.host.replace(field.value).is_some() {
                    return Err(RequestError::RepeatedHost);
                }
                if !target::is_authority(value) {
                    return Err(RequestError::InvalidHost);
                }
            }
            6 if name.eq_ignore_ascii_case(b"expect") => self.fields.expect(value, self.version)?,
            10 if name.eq_ignore_ascii_case(b"connection") => self.fields.connection.add(value),
            12 if request_id::is_field(name) => self.id.add(field.value, value),
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                self.fields.content_length(value)?;
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.fields.transfer_encoding(value, self.version)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// All fields are there: what only their whole can tell.
    fn framing(&self) -> Result<BodyFraming, RequestError> {
        if self.version == Version::Http11 && self.host.is_none() {
            return Err(RequestError::MissingHost);
        }
        match self.fields.length {
            Some(_) if self.fields.chunked => Err(RequestError::AmbiguousLength),
            None if self.fields.chunked => Ok(BodyFraming::Chunked),
            None | Some(0) => Ok(BodyFraming::None),
            Some(length) => Ok(BodyFraming::Length(length)),
        }
    }
}
