//! Paths of probes as regular expressions, which they were in Django-Hurricane 1.6.2.

use std::fmt;

use regex_lite::Regex;

/// Probe paths that match more than themselves: startup, readiness, liveness.
#[derive(Clone)]
pub struct Patterns([Regex; 3]);

/// A path that is no regular expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path {path} is no regular expression: {fault}")]
pub struct PatternError {
    path: String,
    fault: String,
}

impl Patterns {
    /// Reads paths as they are configured: with one slash in front, and without spaces.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn new(paths: [&str; 3]) -> Result<Self, PatternError> {
        let [startup, readiness, liveness] = paths.map(pattern);
        Ok(Self([startup?, readiness?, liveness?]))
    }

    /// Which of them the path of a request is.
    pub(crate) fn find(&self, path: &[u8]) -> Option<usize> {
        let path = std::str::from_utf8(path).ok()?;
        self.0.iter().position(|pattern| pattern.is_match(path))
    }
}

fn pattern(path: &str) -> Result<Regex, PatternError> {
    let path = format!("/{}", path.replace(' ', "").trim_start_matches('/'));
    let fault =
        |fault: regex_lite::Error| PatternError { path: path.clone(), fault: fault.to_string() };
    Regex::new(&format!("^(?:{path})/?$")).map_err(fault)
}

impl fmt::Debug for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(Regex::as_str)).finish()
    }
}

impl PartialEq for Patterns {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(own, other)| own.as_str() == other.as_str())
    }
}

impl Eq for Patterns {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_matches_as_a_whole_with_a_slash_more() {
        let patterns = Patterns::new(["//start up", "/ready", "al.ve"]).unwrap();
        for (path, found) in [
            ("/startup", Some(0)),
            ("/ready/", Some(1)),
            ("/alXve", Some(2)),
            ("/ready//", None),
            ("/readyx", None),
            ("/x/ready", None),
        ] {
            assert_eq!(patterns.find(path.as_bytes()), found, "{path}");
        }
        let refused = Patterns::new(["/startup", "/rea(dy", "/alive"]).unwrap_err();
        assert!(refused.to_string().starts_with("the path /rea(dy is no regular expression: "));
    }
}
