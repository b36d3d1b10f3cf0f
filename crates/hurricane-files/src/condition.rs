//! What a request's preconditions and its Range mean for a representation (RFC 9110 §13.2.2).

use hurricane_http::Head;

use crate::range::{ByteRange, Ranged, ranged};

/// A representation as conditions see it.
#[derive(Clone, Copy, Debug)]
pub struct Entity<'a> {
    /// A strong entity tag, in quotes.
    pub etag: &'a [u8],
    /// The Last-Modified that is sent.
    pub last_modified: &'a [u8],
    /// The same in seconds since the Unix epoch.
    pub modified_seconds: u64,
    /// Bytes.
    pub len: u64,
}

/// How a request is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// 200 with all of it.
    Full,
    /// 206 with a part.
    Part(ByteRange),
    /// 304: the peer has it already.
    NotModified,
    /// 412: it is not what the peer thought.
    Failed,
    /// 416: it has no such part.
    Unsatisfiable,
}

/// Which of the fields that matter here a request has.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    if_match: bool,
    if_unmodified_since: bool,
    if_none_match: bool,
    if_modified_since: bool,
    if_range: bool,
    range: bool,
}

impl Asked {
    /// Looks at each name once; nearly all differ in length.
    fn by(head: &Head) -> Option<Self> {
        let mut asked = Self::default();
        let mut any = false;
        for (name, _) in head.fields() {
            let field = match name.len() {
                5 => (&mut asked.range, "range"),
                8 if name[3] | 0x20 == b'm' => (&mut asked.if_match, "if-match"),
                8 => (&mut asked.if_range, "if-range"),
                13 => (&mut asked.if_none_match, "if-none-match"),
                17 => (&mut asked.if_modified_since, "if-modified-since"),
                19 => (&mut asked.if_unmodified_since, "if-unmodified-since"),
                _ => continue,
            };
            if name.eq_ignore_ascii_case(field.1.as_bytes()) {
                (*field.0, any) = (true, true);
            }
        }
        any.then_some(asked)
    }
}

/// Judges a GET or HEAD about `entity`.
pub fn judge(head: &Head, entity: &Entity<'_>) -> Verdict {
    let Some(asked) = Asked::by(head) else { return Verdict::Full };
    if asked.if_match {
        if !names(head, "if-match", entity.etag, Comparison::Strong) {
            return Verdict::Failed;
        }
    } else if asked.if_unmodified_since
        && let Some(date) = date(head, "if-unmodified-since")
        && entity.modified_seconds > date
    {
        return Verdict::Failed;
    }
    if asked.if_none_match {
        if names(head, "if-none-match", entity.etag, Comparison::Weak) {
            return Verdict::NotModified;
        }
    } else if asked.if_modified_since && is_unmodified(head, entity) {
        return Verdict::NotModified;
    }
    // Ranges are defined for GET only.
    if !asked.range || head.method() != "GET" || (asked.if_range && !is_same(head, entity)) {
        return Verdict::Full;
    }
    match ranged(head.header("range").unwrap_or_default(), entity.len) {
        Ranged::Whole => Verdict::Full,
        Ranged::Part(range) => Verdict::Part(range),
        Ranged::Unsatisfiable => Verdict::Unsatisfiable,
    }
}

/// If-Modified-Since. Nearly always it is what we have sent.
fn is_unmodified(head: &Head, entity: &Entity<'_>) -> bool {
    head.header("if-modified-since") == Some(entity.last_modified)
        || date(head, "if-modified-since").is_some_and(|date| entity.modified_seconds <= date)
}

/// If-Range: the same entity tag, which must be strong, or the very date.
fn is_same(head: &Head, entity: &Entity<'_>) -> bool {
    let value = head.header("if-range").unwrap_or_default();
    value == entity.etag || value == entity.last_modified
}

/// A field that is no date says nothing.
fn date(head: &Head, name: &str) -> Option<u64> {
    let text = std::str::from_utf8(head.header(name)?).ok()?;
    let date = httpdate::parse_http_date(text).ok()?;
    date.duration_since(std::time::UNIX_EPOCH).ok().map(|since| since.as_secs())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether the fields of that name are `*` or list this entity tag.
fn names(head: &Head, name: &str, etag: &[u8], comparison: Comparison) -> bool {
    let fields = head.fields().filter(|(field, _)| field.eq_ignore_ascii_case(name.as_bytes()));
    fields.map(|(_, value)| value).any(|value| value == etag || lists(value, etag, comparison))
}

/// `1#entity-tag`, read tag by tag: a comma may stand inside one.
fn lists(mut value: &[u8], etag: &[u8], comparison: Comparison) -> bool {
    if value.trim_ascii() == b"*" {
        return true;
    }
    loop {
        while let [b' ' | b'\t' | b',', rest @ ..] = value {
            value = rest;
        }
        let (is_weak, opaque) = match value {
            [b'W', b'/', opaque @ ..] => (true, opaque),
            opaque => (false, opaque),
        };
        let [b'"', inner @ ..] = opaque else { return false };
        let Some(len) = memchr::memchr(b'"', inner) else { return false };
        let is_match = opaque[..len + 2] == *etag;
        if is_match && !(is_weak && comparison == Comparison::Strong) {
            return true;
        }
        value = &inner[len + 1..];
    }
}

#[cfg(test)]
mod tests {
    use hurricane_http::Limits;

    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const EARLIER: &str = "Sunday, 06-Nov-94 08:49:36 GMT";

    fn entity() -> Entity<'static> {
        Entity {
            etag: b"\"a,b\"",
            last_modified: DATE.as_bytes(),
            modified_seconds: 784_111_777,
            len: 10,
        }
    }

    fn judged(method: &str, fields: &[(&str, &str)]) -> Verdict {
        let fields: String =
            fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let text = format!("{method} / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let (head, _) = Head::parse(text.as_bytes(), &Limits::default()).unwrap().unwrap();
        judge(&head, &entity())
    }

    fn part(first: u64, last: u64) -> Verdict {
        Verdict::Part(ByteRange { first, last })
    }

    #[test]
    fn conditions_are_judged_one_by_one() {
        for (name, value, expected) in [
            ("If-None-Match", "\"a,b\"", Verdict::NotModified),
            ("if-none-match", "W/\"a,b\"", Verdict::NotModified),
            ("If-None-Match", "\"x\", W/\"y\",\"a,b\"", Verdict::NotModified),
            ("If-None-Match", " * ", Verdict::NotModified),
            ("If-None-Match", "\"x\"", Verdict::Full),
            ("If-None-Match", "\"a\", \"b\"", Verdict::Full),
            ("If-None-Match", "a,b", Verdict::Full),
            ("If-None-Match", "\"a,b", Verdict::Full),
            ("If-None-Match", "", Verdict::Full),
            ("If-Match", "\"a,b\"", Verdict::Full),
            ("If-Match", "*", Verdict::Full),
            ("If-Match", "W/\"a,b\"", Verdict::Failed),
            ("If-Match", "\"x\"", Verdict::Failed),
            ("If-Modified-Since", DATE, Verdict::NotModified),
            ("If-Modified-Since", LATER, Verdict::NotModified),
            ("If-Modified-Since", EARLIER, Verdict::Full),
            ("If-Modified-Since", "yesterday", Verdict::Full),
            ("If-Unmodified-Since", DATE, Verdict::Full),
            ("If-Unmodified-Since", EARLIER, Verdict::Failed),
            ("If-Unmodified-Since", "yesterday", Verdict::Full),
            ("Range", "bytes=1-2", part(1, 2)),
            ("Range", "bytes=10-", Verdict::Unsatisfiable),
            ("Range", "bytes=0-1,4-5", Verdict::Full),
        ] {
            assert_eq!(judged("GET", &[(name, value)]), expected, "{name}: {value}");
        }
    }

    #[test]
    fn conditions_have_an_order() {
        let (fresh, stale) = (("If-None-Match", "\"a,b\""), ("If-None-Match", "\"x\""));
        for (fields, expected) in [
            (&[stale, ("If-Modified-Since", DATE)][..], Verdict::Full),
            (&[("If-Match", "\"a,b\""), ("If-Unmodified-Since", EARLIER)], Verdict::Full),
            (&[fresh, ("If-Match", "\"x\"")], Verdict::Failed),
            (&[fresh, ("Range", "bytes=0-1")], Verdict::NotModified),
            (&[stale, fresh], Verdict::NotModified),
            (&[stale, ("Range", "bytes=0-1")], part(0, 1)),
            (&[("Range", "bytes=0-1"), ("If-Range", "\"a,b\"")], part(0, 1)),
            (&[("Range", "bytes=0-1"), ("If-Range", DATE)], part(0, 1)),
            (&[("Range", "bytes=0-1"), ("If-Range", LATER)], Verdict::Full),
            (&[("Range", "bytes=0-1"), ("If-Range", "W/\"a,b\"")], Verdict::Full),
            (&[("Range", "bytes=20-"), ("If-Range", "\"x\"")], Verdict::Full),
            (&[("If-Range", "\"x\"")], Verdict::Full),
        ] {
            assert_eq!(judged("GET", fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn a_head_request_has_conditions_and_no_ranges() {
        assert_eq!(judged("HEAD", &[("Range", "bytes=0-1")]), Verdict::Full);
        assert_eq!(judged("HEAD", &[("If-None-Match", "*")]), Verdict::NotModified);
    }
}
