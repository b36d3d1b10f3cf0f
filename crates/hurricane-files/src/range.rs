//! The field Range (RFC 9110 §14).

/// Bytes of a representation, both ends included; `first` <= `last` < its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// Offset of the first byte.
    pub first: u64,
    /// Offset of the last byte.
    pub last: u64,
}

impl ByteRange {
    /// Number of bytes, above zero.
    #[expect(clippy::len_without_is_empty, reason = "none is empty")]
    pub fn len(&self) -> u64 {
        self.last - self.first + 1
    }
}

/// What a Range asks of a representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranged {
    /// All of it: the field is malformed, has another unit, or asks for several ranges, which a
    /// server may answer with the whole. Many small ranges cost more than one file.
    Whole,
    /// One part.
    Part(ByteRange),
    /// Nothing that there is.
    Unsatisfiable,
}

/// Reads the value of a Range about `len` bytes.
pub fn ranged(value: &[u8], len: u64) -> Ranged {
    let Some((unit, set)) = split_once(value, b'=') else { return Ranged::Whole };
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return Ranged::Whole;
    }
    let Some((first, last)) = split_once(set.trim_ascii(), b'-') else { return Ranged::Whole };
    match (number(first), number(last)) {
        (Number::Is(first), Number::None) if first < len => part(first, len - 1),
        (Number::Is(first), Number::Is(last)) if first > last => Ranged::Whole,
        (Number::Is(first), Number::Is(last)) if first < len => part(first, last.min(len - 1)),
        (Number::Is(_), Number::None | Number::Is(_)) => Ranged::Unsatisfiable,
        (Number::None, Number::Is(suffix)) if suffix > 0 && len > 0 => {
            part(len.saturating_sub(suffix), len - 1)
        }
        (Number::None, Number::Is(_)) => Ranged::Unsatisfiable,
        _ => Ranged::Whole,
    }
}

fn part(first: u64, last: u64) -> Ranged {
    Ranged::Part(ByteRange { first, last })
}

enum Number {
    None,
    Is(u64),
    Malformed,
}

/// What is above `u64::MAX` is as good as that.
fn number(digits: &[u8]) -> Number {
    if digits.is_empty() {
        return Number::None;
    }
    if !digits.iter().all(u8::is_ascii_digit) {
        return Number::Malformed;
    }
    Number::Is(digits.iter().fold(0_u64, |number, digit| {
        number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
    }))
}

fn split_once(value: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let index = memchr::memchr(at, value)?;
    Some((&value[..index], &value[index + 1..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn single_ranges_are_cut_to_the_length() {
        for (value, len, expected) in [
            ("bytes=0-0", 10, part(0, 0)),
            ("bytes=0-9", 10, part(0, 9)),
            ("bytes=0-10", 10, part(0, 9)),
            ("bytes=3-", 10, part(3, 9)),
            ("bytes=-3", 10, part(7, 9)),
            ("bytes=-30", 10, part(0, 9)),
            ("Bytes= 3-4 ", 10, part(3, 4)),
            ("bytes=0-99999999999999999999999", 10, part(0, 9)),
            ("bytes=-99999999999999999999999", 10, part(0, 9)),
            ("bytes=10-", 10, Ranged::Unsatisfiable),
            ("bytes=10-20", 10, Ranged::Unsatisfiable),
            ("bytes=-0", 10, Ranged::Unsatisfiable),
            ("bytes=0-", 0, Ranged::Unsatisfiable),
            ("bytes=-1", 0, Ranged::Unsatisfiable),
            ("bytes=99999999999999999999999-", 10, Ranged::Unsatisfiable),
        ] {
            assert_eq!(ranged(value.as_bytes(), len), expected, "{value} of {len}");
        }
    }

    #[test]
    fn what_is_no_single_range_is_ignored() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=1-2,3-4",
            "bytes=5-4",
            "items=0-1",
            "bytes=1 - 2",
            "bytes=--1",
            "bytes=+1-2",
            "bytes=0x1-2",
            "bytes 0-1",
        ] {
            assert_eq!(ranged(value.as_bytes(), 10), Ranged::Whole, "{value}");
        }
    }

    proptest! {
        #[test]
        fn a_part_lies_inside(value in "bytes=[0-9]{0,22}-[0-9]{0,22}", len in any::<u64>()) {
            if let Ranged::Part(range) = ranged(value.as_bytes(), len) {
                prop_assert!(range.first <= range.last && range.last < len);
            }
        }
    }
}
