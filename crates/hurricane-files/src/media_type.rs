//! Content-Type by a file's name.

use mime_guess::mime;

/// For what has no known ending.
const UNKNOWN: &str = "application/octet-stream";

/// The type that the ending of a name stands for. Text says that it is UTF-8: a browser would
/// guess, and guess by where it is.
pub(crate) fn of(name: &[u8]) -> String {
    let file = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let ending = ending(file).and_then(|ending| std::str::from_utf8(ending).ok());
    let Some(guessed) = ending.and_then(|ending| mime_guess::from_ext(ending).first()) else {
        return UNKNOWN.to_owned();
    };
    if guessed.subtype() == mime::JAVASCRIPT {
        return "text/javascript; charset=utf-8".to_owned();
    }
    if guessed.type_() == mime::TEXT && guessed.get_param(mime::CHARSET).is_none() {
        return format!("{guessed}; charset=utf-8");
    }
    guessed.to_string()
}

/// The same without a charset.
pub(crate) fn bare(name: &[u8]) -> String {
    let named = of(name);
    named.split_once(';').map_or_else(|| named.clone(), |(bare, _)| bare.to_owned())
}

/// What is behind the last dot, unless the name begins with it.
fn ending(name: &[u8]) -> Option<&[u8]> {
    let at = memchr::memrchr(b'.', name).filter(|at| *at > 0)?;
    Some(&name[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_come_with_a_charset_where_they_are_text() {
        for (name, expected) in [
            ("a.css", "text/css; charset=utf-8"),
            ("a.html", "text/html; charset=utf-8"),
            ("a.js", "text/javascript; charset=utf-8"),
            ("a.mjs", "text/javascript; charset=utf-8"),
            ("d.x/a.TXT", "text/plain; charset=utf-8"),
            ("a.min.css", "text/css; charset=utf-8"),
            ("a.json", "application/json"),
            ("a.svg", "image/svg+xml"),
            ("a.png", "image/png"),
            ("a.webp", "image/webp"),
            ("a.avif", "image/avif"),
            ("a.woff2", "font/woff2"),
            ("a.wasm", "application/wasm"),
            ("a.pdf", "application/pdf"),
            ("a.mp4", "video/mp4"),
            ("a.gz", "application/gzip"),
            ("a", UNKNOWN),
            ("css", UNKNOWN),
            (".css", UNKNOWN),
            ("a.", UNKNOWN),
            ("a.nothing-known", UNKNOWN),
            ("d.css/a", UNKNOWN),
        ] {
            assert_eq!(of(name.as_bytes()), expected, "{name}");
        }
    }
}
