//! The identifier of a request, `X-Request-ID`: which ones are believed, and one that outlives the
//! head that it came with.
//!
//! Invariants:
//! - An identifier is printable ASCII without spaces, and short: it may stand in a log line and in
//!   a field of a response as it is.

use crate::span::Span;

/// The name of the field, as it is written.
pub(crate) const FIELD: &[u8] = b"X-Request-ID";
/// Longest identifier of a request that is believed. Tracing systems use up to a hundred bytes.
pub const REQUEST_ID_BYTES_MAX: usize = 128;
/// Length of an identifier that is made here: 128 bits in hexadecimal digits, which are a valid
/// `trace-id` as well.
pub const REQUEST_ID_BYTES: usize = 32;
/// What a field with such an identifier takes.
pub(crate) const ROOM_BYTES: usize = FIELD.len() + REQUEST_ID_BYTES;

/// Whether this is the name of the field.
#[inline]
pub(crate) fn is_field(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(FIELD)
}

/// What the fields of a head say about the identifier.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SentId {
    /// Where it stands, if it can be believed.
    pub(crate) place: Option<Span>,
    /// There is a field, but none to be believed: malformed, or not the only one.
    pub(crate) is_odd: bool,
}

impl SentId {
    /// Takes a field of that name into account.
    pub(crate) fn add(&mut self, place: Span, value: &[u8]) {
        let is_believable = (1..=REQUEST_ID_BYTES_MAX).contains(&value.len())
            && value.iter().all(u8::is_ascii_graphic);
        self.is_odd |= self.place.is_some() || !is_believable;
        self.place = (!self.is_odd).then_some(place);
    }
}

/// A copy of an identifier that is believed.
#[derive(Clone, Debug)]
pub struct RequestId(Copied);

/// It is moved about with each request, so the common one is short.
#[derive(Clone, Debug)]
enum Copied {
    /// As they are made here.
    Made([u8; REQUEST_ID_BYTES]),
    Other(Box<[u8]>),
}

impl RequestId {
    /// Copies one that a head holds.
    pub(crate) fn new(id: &[u8]) -> Self {
        Self(match id.try_into() {
            Ok(made) => Copied::Made(made),
            Err(_) => Copied::Other(id.into()),
        })
    }

    /// The identifier.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Copied::Made(id) => id,
            Copied::Other(id) => id,
        }
    }
}
