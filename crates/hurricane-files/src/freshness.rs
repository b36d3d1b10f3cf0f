//! How long others may keep a file without asking: Cache-Control and Expires.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use hurricane_http::HttpDate;

/// Ten years: for good.
const FOR_GOOD: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
/// What a name that changes with its content is answered with.
const IMMUTABLE: &[u8] = b"Cache-Control: max-age=315360000, public, immutable\r\n";
/// Digits of a hash in a name: Django's, webpack's, MD5, SHA-1, SHA-256.
const HASH_DIGITS: [usize; 5] = [12, 20, 32, 40, 64];

/// How long the files of a mount may be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// Names that do not change with their content; zero: others shall ask each time.
    pub max_age: Duration,
    /// Names that do: those of a manifest.
    pub immutable_names: Arc<HashSet<Vec<u8>>>,
    /// Whether names that look as if they held a hash are such names too.
    pub trusts_hashes: bool,
}

impl Freshness {
    /// The line for a file of that name below the mount's prefix.
    pub(crate) fn line(&self, name: &[u8]) -> Vec<u8> {
        if self.immutable_names.contains(name) || (self.trusts_hashes && is_hashed_name(name)) {
            return IMMUTABLE.to_vec();
        }
        match self.max_age.as_secs() {
            0 => b"Cache-Control: no-cache\r\n".to_vec(),
            seconds => format!("Cache-Control: max-age={seconds}\r\n").into_bytes(),
        }
    }
}

/// Whether a file's name holds a hash of its content: `name.HASH.ext` in hexadecimal, as Django's
/// manifest storage and bundlers write them. Digits alone may be a date, and letters a word.
pub fn is_hashed_name(name: &[u8]) -> bool {
    let file = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    file.split(|byte| *byte == b'.').skip(1).any(|part| {
        HASH_DIGITS.contains(&part.len())
            && part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            && part.iter().any(u8::is_ascii_digit)
            && part.iter().any(u8::is_ascii_alphabetic)
    })
}

/// Whether a query has the argument `v`, by which a template names the version that it wants.
pub(crate) fn names_version(query: &[u8]) -> bool {
    !query.is_empty()
        && query.split(|byte| *byte == b'&').any(|part| part == b"v" || part.starts_with(b"v="))
}

/// The lines for a file that was asked for by version.
pub(crate) fn add_versioned(out: &mut Vec<u8>, now: &HttpDate) {
    out.extend_from_slice(b"Cache-Control: max-age=315360000\r\nExpires: ");
    let expires = HttpDate::new(now.unix_seconds().saturating_add(FOR_GOOD.as_secs()));
    out.extend_from_slice(expires.as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_told_from_dates_and_words() {
        for name in [
            "a.0123456789ab.css",
            "d/a.0123456789ab.css",
            "a.min.0123456789ab.css.map",
            "a.d41d8cd98f00b204e9800998ecf8427e.js",
            "a.0123456789abcdef0123.js",
        ] {
            assert!(is_hashed_name(name.as_bytes()), "{name}");
        }
        for name in [
            "a.css",
            "a.202401011200.csv",
            "a.abcdefabcdef.css",
            "a.0123456789AB.css",
            "a.0123456789a.css",
            "0123456789ab.css",
            "a-0123456789ab.css",
            "d.0123456789ab/a.css",
            "",
        ] {
            assert!(!is_hashed_name(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn what_never_changes_is_kept_for_good() {
        let freshness = Freshness {
            max_age: Duration::from_secs(60),
            immutable_names: Arc::new(HashSet::from([b"x/known.css".to_vec()])),
            trusts_hashes: true,
        };
        let line = |name: &str| String::from_utf8(freshness.line(name.as_bytes())).unwrap();
        assert_eq!(line("a.css"), "Cache-Control: max-age=60\r\n");
        assert!(line("x/known.css").contains("immutable"));
        assert!(line("a.0123456789ab.css").contains("immutable"));
        let cautious = Freshness::default();
        assert_eq!(cautious.line(b"a.0123456789ab.css"), b"Cache-Control: no-cache\r\n");
    }

    #[test]
    fn versions_are_named_by_one_argument() {
        for query in ["v=1", "v", "v=", "a=1&v=2"] {
            assert!(names_version(query.as_bytes()), "{query}");
        }
        for query in ["", "w=1", "av=1", "V=1", "x=v=1"] {
            assert!(!names_version(query.as_bytes()), "{query}");
        }
        let mut out = Vec::new();
        add_versioned(&mut out, &HttpDate::new(784_111_777));
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "Cache-Control: max-age=315360000\r\nExpires: Wed, 03 Nov 2004 08:49:37 GMT\r\n"
        );
    }
}
