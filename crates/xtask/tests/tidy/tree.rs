//! The files of this checkout, without what is built or fetched.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders that are not ours to keep tidy.
const SKIPPED: [&str; 5] = ["target", "__pycache__", "media", "node_modules", "corpus"];
/// Hidden folders that are part of the project; all others belong to some tool.
const HIDDEN: [&str; 2] = [".cargo", ".ci"];

/// A file of ours that is text.
pub(crate) struct Source {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    /// Whether it holds tests only.
    pub(crate) fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.contains("/tests/")
    }
}

pub(crate) fn root() -> PathBuf {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR"));
    ours.ancestors().nth(2).unwrap().to_owned()
}

/// Every text file of the tree.
pub(crate) fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root(), &mut found);
    assert!(found.len() > 100, "found {} files only", found.len());
    found
}

/// The files whose names end with `.extension`.
pub(crate) fn sources_with(extension: &str) -> Vec<Source> {
    let mut found = sources();
    found.retain(|source| Path::new(&source.path).extension() == Some(OsStr::new(extension)));
    found
}

fn collect(directory: &Path, found: &mut Vec<Source>) {
    let mut paths: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() {
            let hidden = name.starts_with('.') && !HIDDEN.contains(&name.as_ref());
            if !hidden && !SKIPPED.contains(&name.as_ref()) {
                collect(&path, found);
            }
        // In a linked worktree `.git` is a file that says where the repository is.
        } else if name != ".git"
            && let Ok(text) = fs::read_to_string(&path)
        {
            let path = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            found.push(Source { path, text });
        }
    }
}
