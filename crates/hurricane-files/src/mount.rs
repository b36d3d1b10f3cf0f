//! Which URLs stand for files, and of which directories.

use std::path::PathBuf;
use std::time::Duration;

use crate::freshness::Freshness;

/// Who may ask for the files of a mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Audience {
    /// Everyone, by URL.
    #[default]
    Everyone,
    /// Those whom the application hands a file to.
    Application,
}

/// A directory whose files appear below a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Where they appear: empty for the prefix itself, or a path that ends with a slash.
    pub below: String,
    /// Looked up by each search anew, so that it may be replaced as a whole.
    pub directory: PathBuf,
}

/// A prefix of URLs and the directories behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// As [`Mount::new`] has made it.
    pub prefix: String,
    /// The first that has a file gives it.
    pub roots: Vec<Root>,
    /// Who may ask.
    pub audience: Audience,
    /// How long others may keep a file.
    pub freshness: Freshness,
    /// Whether `NAME.zst`, `NAME.br` and `NAME.gz` are other codings of `NAME`. Not where strangers
    /// choose names: one could replace what another has uploaded.
    pub is_precompressed: bool,
    /// The file that stands for its directory.
    pub index: Option<String>,
    /// How long a file is answered from memory without a look at the directory.
    pub trust: Duration,
    /// Whether text says that it is UTF-8.
    pub names_charset: bool,
}

/// Why a prefix cannot be that of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MountError {
    /// Every URL would be a file's.
    #[error("a path below /, such as /static/")]
    Everything,
    /// It does not begin with a slash, or no URL looks like it.
    #[error("a path that begins with / and holds no space, ? or #")]
    NotAPath,
}

impl Mount {
    /// Everyone's files of one directory. A slash at the end of `prefix` may be left out.
    ///
    /// # Errors
    /// When `prefix` is not the path of a part of the URLs.
    pub fn new(prefix: &str, directory: PathBuf) -> Result<Self, MountError> {
        let is_path = prefix.starts_with('/')
            && !prefix.bytes().any(|byte| byte <= b' ' || matches!(byte, b'?' | b'#' | 0x7f));
        if !is_path {
            return Err(MountError::NotAPath);
        }
        let prefix = format!("{}/", prefix.trim_end_matches('/'));
        if prefix == "/" {
            return Err(MountError::Everything);
        }
        Ok(Self {
            prefix,
            roots: vec![Root { below: String::new(), directory }],
            audience: Audience::Everyone,
            freshness: Freshness::default(),
            is_precompressed: true,
            index: None,
            trust: TRUST,
            names_charset: true,
        })
    }

    /// Begins and ends with a slash.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

/// A file may be as old as this while it is asked for often.
const TRUST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_path_below_the_root() {
        let prefix = |text: &str| Mount::new(text, PathBuf::new()).map(|mount| mount.prefix);
        assert_eq!(prefix("/static/"), Ok("/static/".to_owned()));
        assert_eq!(prefix("/a/b"), Ok("/a/b/".to_owned()));
        assert_eq!(prefix("/"), Err(MountError::Everything));
        assert_eq!(prefix("//"), Err(MountError::Everything));
        for text in ["", "static/", "/a b", "/a?b", "http://a/"] {
            assert_eq!(prefix(text), Err(MountError::NotAPath), "{text}");
        }
    }
}
