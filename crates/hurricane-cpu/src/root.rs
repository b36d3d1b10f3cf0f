//! The file tree that is read: `/`, or a fixture that holds `proc/` and `sys/`.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The longest file that is believed; a node with thousands of mounts stays far below it.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Where `proc/` and `sys/` are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root(PathBuf);

impl Root {
    /// A tree below `path`, which stands for `/`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The tree that this process sees.
    pub fn host() -> Self {
        Self::new("/")
    }

    /// The content of a file, `None` when it is not there, not readable or absurdly long.
    pub(crate) fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let file = File::open(self.0.join(path.strip_prefix("/").unwrap_or(path))).ok()?;
        let mut content = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content).ok()?;
        (content.len() as u64 <= FILE_BYTES_MAX).then_some(content)
    }

    /// The content of a file whose format is ASCII, without the white space around it.
    pub(crate) fn text(&self, path: &Path) -> Option<String> {
        let content = self.bytes(path)?;
        Some(String::from_utf8_lossy(content.trim_ascii()).into_owned())
    }
}
