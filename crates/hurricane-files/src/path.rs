//! From the path of a URL to the name of a file below a root.
//!
//! Invariants of a [`Relative`]: no NUL, no empty, `.` or `..` component, no leading or trailing
//! slash.

/// Why a path names no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A `%` without two hex digits behind it, or a NUL.
    #[error("the path is malformed")]
    Malformed,
    /// `.` or `..`, however they are encoded.
    #[error("the path leaves its directory")]
    Traversal,
}

/// The name of a file or directory below a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relative {
    name: Vec<u8>,
    is_directory: bool,
    is_canonical: bool,
}

impl Relative {
    /// Reads what follows the prefix of a mount in the path of a URL.
    ///
    /// # Errors
    /// When no file may be looked for under it.
    pub fn parse(encoded: &[u8]) -> Result<Self, PathError> {
        let mut name = Vec::with_capacity(encoded.len() + ROOM);
        let mut rest = encoded;
        let mut is_canonical = true;
        while let Some((&byte, behind)) = rest.split_first() {
            rest = behind;
            let byte = if byte == b'%' {
                is_canonical = false;
                let (high, low, behind) = match rest {
                    [high, low, behind @ ..] => (hex(*high)?, hex(*low)?, behind),
                    _ => return Err(PathError::Malformed),
                };
                rest = behind;
                high << 4 | low
            } else {
                byte
            };
            match byte {
                0 => return Err(PathError::Malformed),
                // Repeated and leading slashes mean one and none, as to the kernel.
                b'/' if name.is_empty() || name.last() == Some(&b'/') => is_canonical = false,
                _ => name.push(byte),
            }
        }
        let is_directory = matches!(name.last(), None | Some(b'/'));
        if name.last() == Some(&b'/') {
            name.pop();
        }
        if name.split(|byte| *byte == b'/').any(|part| part == b"." || part == b"..") {
            return Err(PathError::Traversal);
        }
        Ok(Self { name, is_directory, is_canonical })
    }

    /// Reads the name of a file as an application knows it: nothing in it is encoded.
    ///
    /// # Errors
    /// As [`Relative::parse`].
    pub fn plain(name: &[u8]) -> Result<Self, PathError> {
        let mut encoded = Vec::with_capacity(name.len());
        for byte in name {
            match byte {
                b'%' => encoded.extend_from_slice(b"%25"),
                _ => encoded.push(*byte),
            }
        }
        Self::parse(&encoded)
    }

    /// Its bytes; empty for the root itself.
    pub fn as_bytes(&self) -> &[u8] {
        &self.name
    }

    /// Whether it ends with a slash, or is the root.
    pub fn is_directory(&self) -> bool {
        self.is_directory
    }

    /// Whether the URL spells it as everybody would: then it may be known by that spelling.
    pub fn is_canonical(&self) -> bool {
        self.is_canonical
    }

    /// The file of that name in this directory.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        let mut joined = self.name.clone();
        if !joined.is_empty() {
            joined.push(b'/');
        }
        joined.extend_from_slice(name.as_bytes());
        Self { name: joined, is_directory: false, is_canonical: self.is_canonical }
    }

    /// What is left of it below a directory (`admin/`, or empty for all), if it is below.
    pub(crate) fn below(&self, directory: &str) -> Option<&[u8]> {
        self.name.strip_prefix(directory.as_bytes())
    }
}

/// For the suffix of a coding.
const ROOM: usize = 4;

fn hex(digit: u8) -> Result<u8, PathError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(PathError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(encoded: &str) -> Result<String, PathError> {
        Relative::parse(encoded.as_bytes())
            .map(|path| String::from_utf8_lossy(path.as_bytes()).into_owned())
    }

    #[test]
    fn names_are_decoded_once() {
        for (encoded, expected) in [
            ("a.css", "a.css"),
            ("a%20b.css", "a b.css"),
            ("%C3%A4", "\u{e4}"),
            ("a%2fb", "a/b"),
            ("a%252fb", "a%2fb"),
            ("a//b///c", "a/b/c"),
            ("/etc/passwd", "etc/passwd"),
            ("%2f%2fetc", "etc"),
            ("...", "..."),
            ("a/..b/.c", "a/..b/.c"),
            ("a\\..\\b", "a\\..\\b"),
            ("a+b", "a+b"),
        ] {
            assert_eq!(name(encoded).as_deref(), Ok(expected), "{encoded}");
        }
    }

    #[test]
    fn no_encoding_leaves_the_directory() {
        for encoded in [
            "..",
            "../a",
            "a/..",
            "a/../b",
            "%2e%2e/a",
            ".%2E/a",
            "a/%2e",
            "./a",
            "..%2fa",
            "a/..%2F..%2fb",
            "%2e%2e%2fa",
            "a//../b",
        ] {
            assert_eq!(name(encoded), Err(PathError::Traversal), "{encoded}");
        }
    }

    #[test]
    fn what_is_not_a_path_is_refused() {
        for encoded in ["%", "a%2", "%zz", "%2", "%00", "a%00.css", "%u002e", "% 2"] {
            assert_eq!(name(encoded), Err(PathError::Malformed), "{encoded}");
        }
    }

    #[test]
    fn directories_and_spellings_are_told_apart() {
        let is = |encoded: &str| {
            let path = Relative::parse(encoded.as_bytes()).unwrap();
            (path.is_directory(), path.is_canonical())
        };
        assert_eq!(is("a/b"), (false, true));
        assert_eq!(is("a/b/"), (true, true));
        assert_eq!(is(""), (true, true));
        assert_eq!(is("/"), (true, false));
        assert_eq!(is("a//b"), (false, false));
        assert_eq!(is("%61"), (false, false));
        assert_eq!(Relative::parse(b"a").unwrap().join("b").as_bytes(), b"a/b");
        assert_eq!(Relative::parse(b"").unwrap().join("b").as_bytes(), b"b");
    }

    #[test]
    fn plain_names_keep_their_percent_signs() {
        assert_eq!(Relative::plain(b"100%.txt").unwrap().as_bytes(), b"100%.txt");
        assert_eq!(Relative::plain(b"%2e%2e/x").unwrap().as_bytes(), b"%2e%2e/x");
        assert_eq!(Relative::plain(b"../x"), Err(PathError::Traversal));
        assert_eq!(Relative::plain(b"a\0"), Err(PathError::Malformed));
    }

    proptest! {
        #[test]
        fn whatever_is_asked_stays_below_the_root(encoded in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(path) = Relative::parse(&encoded) {
                let name = path.as_bytes();
                prop_assert!(!name.contains(&0) && !name.starts_with(b"/"));
                prop_assert!(!name.split(|byte| *byte == b'/').any(|part| part == b".." || part == b"."));
            }
        }
    }
}
