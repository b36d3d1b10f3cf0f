//! The file tree that is read: `/`, a fixture that holds `proc/` and `sys/`, or one in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The longest file that is believed; a node with thousands of mounts stays far below it.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Where `proc/` and `sys/` are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root(Tree);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Tree {
    Below(PathBuf),
    /// By absolute path.
    Memory(BTreeMap<PathBuf, Vec<u8>>),
}

impl Root {
    /// A tree below `path`, which stands for `/`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(Tree::Below(path.into()))
    }

    /// The tree that this process sees.
    pub fn host() -> Self {
        Self::new("/")
    }

    /// A tree of these files, each by its absolute path: what a kernel could say, without one.
    pub fn of_files(files: impl IntoIterator<Item = (PathBuf, Vec<u8>)>) -> Self {
        Self(Tree::Memory(files.into_iter().collect()))
    }

    /// The content of a file, `None` when it is not there, not readable or absurdly long.
    pub(crate) fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let mut content = Vec::new();
        match &self.0 {
            Tree::Below(root) => {
                let file = File::open(root.join(path.strip_prefix("/").unwrap_or(path))).ok()?;
                file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content).ok()?;
            }
            Tree::Memory(files) => content.clone_from(files.get(path)?),
        }
        (content.len() as u64 <= FILE_BYTES_MAX).then_some(content)
    }

    /// The content of a file whose format is ASCII, without the white space around it.
    pub(crate) fn text(&self, path: &Path) -> Option<String> {
        let content = self.bytes(path)?;
        Some(String::from_utf8_lossy(content.trim_ascii()).into_owned())
    }
}
