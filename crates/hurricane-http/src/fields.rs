//! Fields of a head: which bytes they are made of, and what the few that frame a message say.
//!
//! Invariants:
//! - Scans return the length of the valid prefix, so a caller that sees more bytes later goes on
//!   where it stopped and judges the first offending byte the same in any split.

use crate::{RequestError, Version};

/// `tchar` of RFC 9110 §5.6.2.
const TOKEN: [bool; 256] = table(b"!#$%&'*+-.^_`|~");

/// Which bytes are letters, digits, or among `punctuation`.
pub(crate) const fn table(punctuation: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut index = 0;
    while index < punctuation.len() {
        table[punctuation[index] as usize] = true;
        index += 1;
    }
    table
}

/// Whether a byte may stand in a token.
#[inline]
pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// Whether this is a token: not empty, of token bytes only.
#[inline]
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && token_prefix_len(bytes) == bytes.len()
}

/// Whether a byte may stand in a field value (RFC 9110 §5.5): anything but control bytes other
/// than the tab.
#[inline]
pub(crate) fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// How many of the first bytes may stand in a token.
#[inline]
pub(crate) fn token_prefix_len(bytes: &[u8]) -> usize {
    bytes.iter().position(|&byte| !is_token_byte(byte)).unwrap_or(bytes.len())
}

/// How many of the first bytes may stand in a field value. Looks at eight bytes at a time: most
/// bytes of a head are values.
#[inline]
pub(crate) fn value_prefix_len(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const TOPS: u64 = ONES << 7;
    let mut len = 0;
    while let Some(chunk) = bytes[len..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let deletes = word ^ (ONES * 0x7f);
        // The top bit of each byte below 0x20 or equal to 0x7f. A borrow can only mark bytes
        // above one that is marked rightly, so the lowest mark is exact.
        let marks = ((word.wrapping_sub(ONES * 0x20) & !word)
            | (deletes.wrapping_sub(ONES) & !deletes))
            & TOPS;
        if marks == 0 {
            len += 8;
            continue;
        }
        len += marks.trailing_zeros() as usize / 8;
        if bytes[len] != b'\t' {
            return len;
        }
        len += 1;
    }
    let tail = &bytes[len..];
    len + tail.iter().position(|&byte| !is_value_byte(byte)).unwrap_or(tail.len())
}

/// Takes the optional white space (RFC 9110 §5.6.3) off both ends.
#[inline]
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The elements of a comma-separated list, trimmed; empty ones included.
pub(crate) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim)
}

/// Reads a number of digits only, without sign, space or prefix.
pub(crate) fn decimal(digits: &[u8]) -> Result<u64, DecimalError> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(DecimalError::Malformed);
    }
    digits
        .iter()
        .try_fold(0_u64, |number, digit| {
            number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
        })
        .ok_or(DecimalError::Overflow)
}

/// Why a number could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecimalError {
    /// Not a row of digits.
    Malformed,
    /// Above `u64::MAX`.
    Overflow,
}

/// What the `Connection` fields of a message ask for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ConnectionOptions {
    /// The option `close`.
    pub(crate) close: bool,
    /// The option `keep-alive`.
    pub(crate) keep_alive: bool,
    /// Any other option.
    pub(crate) other: bool,
}

impl ConnectionOptions {
    /// Adds one field's options (RFC 9110 §7.6.1): nearly always one.
    pub(crate) fn add(&mut self, value: &[u8]) {
        match value {
            b"keep-alive" => self.keep_alive = true,
            b"close" => self.close = true,
            _ => self.add_all(value),
        }
    }

    fn add_all(&mut self, value: &[u8]) {
        for option in elements(value) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if !option.is_empty() {
                self.other = true;
            }
        }
    }
}

/// What the fields seen so far say about the message that they stand in.
#[derive(Debug, Default)]
pub(crate) struct Framing {
    /// Content-Length.
    pub(crate) length: Option<u64>,
    /// Transfer-Encoding: chunked.
    pub(crate) chunked: bool,
    /// Expect: 100-continue.
    pub(crate) expects_continue: bool,
    /// Connection.
    pub(crate) connection: ConnectionOptions,
    /// Whether Content-Length may be repeated with the same number.
    pub(crate) joins_equal_lengths: bool,
}

impl Framing {
    /// One Content-Length field (RFC 9112 §6.3). Lists and repetitions are refused even when
    /// their members agree: no honest peer needs them, unless the dialect says so.
    pub(crate) fn content_length(&mut self, value: &[u8]) -> Result<(), RequestError> {
        let length = match decimal(value) {
            Ok(length) => length,
            Err(DecimalError::Malformed) => return Err(RequestError::InvalidContentLength),
            Err(DecimalError::Overflow) => return Err(RequestError::ContentLengthOverflow),
        };
        let earlier = self.length.replace(length);
        if earlier.is_some_and(|earlier| !self.joins_equal_lengths || earlier != length) {
            return Err(RequestError::RepeatedContentLength);
        }
        Ok(())
    }

    /// One Transfer-Encoding field (RFC 9112 §6.1, §6.3, §7).
    pub(crate) fn transfer_encoding(
        &mut self,
        value: &[u8],
        version: Version,
    ) -> Result<(), RequestError> {
        if version == Version::Http10 {
            return Err(RequestError::TransferEncodingInHttp10);
        }
        let mut codings = 0;
        let mut chunked_at = None;
        for coding in elements(value) {
            if !is_token(coding) {
                return Err(RequestError::InvalidTransferEncoding);
            }
            if coding.eq_ignore_ascii_case(b"chunked") && chunked_at.replace(codings).is_some() {
                return Err(RequestError::RepeatedChunked);
            }
            codings += 1;
        }
        if chunked_at != Some(codings - 1) {
            return Err(RequestError::ChunkedNotLast);
        }
        if codings > 1 {
            return Err(RequestError::UnknownTransferCoding);
        }
        if self.chunked {
            return Err(RequestError::RepeatedChunked);
        }
        self.chunked = true;
        Ok(())
    }

    /// One Expect field (RFC 9110 §10.1.1), which HTTP/1.0 does not have.
    pub(crate) fn expect(&mut self, value: &[u8], version: Version) -> Result<(), RequestError> {
        if version == Version::Http10 {
            return Ok(());
        }
        for expectation in elements(value).filter(|expectation| !expectation.is_empty()) {
            if !expectation.eq_ignore_ascii_case(b"100-continue") {
                return Err(RequestError::UnknownExpectation);
            }
            self.expects_continue = true;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_prefix_stops_at_each_control_byte_wherever_it_stands() {
        for byte in 0..=255_u8 {
            for len in 0..40 {
                for at in 0..len {
                    let mut bytes = vec![b'a'; len];
                    bytes[at] = byte;
                    let expected = if is_value_byte(byte) { len } else { at };
                    assert_eq!(value_prefix_len(&bytes), expected, "{byte:#x} at {at} of {len}");
                }
            }
        }
    }

    #[test]
    fn value_prefix_passes_over_tabs_and_high_bytes_before_a_control_byte() {
        assert_eq!(value_prefix_len(b"\t\xff\x80 a\t\tb\x80cdefgh\r\n"), 15);
        assert_eq!(value_prefix_len(b"\x7f"), 0);
    }

    #[test]
    fn token_bytes_are_those_of_the_grammar() {
        let punctuation = b"!#$%&'*+-.^_`|~";
        for byte in 0..=255_u8 {
            let expected = byte.is_ascii_alphanumeric() || punctuation.contains(&byte);
            assert_eq!(is_token_byte(byte), expected, "{byte:#x}");
        }
    }

    #[test]
    fn decimal_takes_digits_and_tells_overflow_from_nonsense() {
        assert_eq!(decimal(b"18446744073709551615"), Ok(u64::MAX));
        assert_eq!(decimal(b"18446744073709551616"), Err(DecimalError::Overflow));
        assert_eq!(decimal(b"00000000000000000000000007"), Ok(7));
        for nonsense in ["", "+1", "-1", "1 ", "0x1", "1_0", "1,1", "\u{0661}"] {
            let result = decimal(nonsense.as_bytes());
            assert_eq!(result, Err(DecimalError::Malformed), "{nonsense}");
        }
    }

    #[test]
    fn connection_options_are_read_without_case_and_across_lists() {
        let mut options = ConnectionOptions::default();
        options.add(b" ,Keep-Alive\t, upgrade");
        assert!(options.keep_alive && options.other && !options.close);
        options.add(b"CLOSE");
        assert!(options.close);
    }
}
