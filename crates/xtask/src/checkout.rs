//! Where this checkout is, where it builds, and what its extension module is built from.

use std::ffi::OsStr;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// What a wheel is made of; tests and tools beside it do not change it.
const WHEEL_SOURCES: [&str; 7] =
    [".cargo", "Cargo.lock", "Cargo.toml", "README.md", "crates", "pyproject.toml", "python"];
const NO_WHEEL_SOURCES: [&str; 5] =
    ["__pycache__", "tests", "examples", "xtask", "hurricane-testkit"];

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR"));
    ours.ancestors().nth(2).unwrap_or(ours).to_owned()
}

/// Where cargo builds, and where everything that we make goes.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => root().join(directory),
        None => root().join("target"),
    }
}

/// Changes with everything that goes into the wheel.
pub(crate) fn fingerprint() -> io::Result<String> {
    let mut hasher = DefaultHasher::new();
    for name in WHEEL_SOURCES {
        hash_tree(&root().join(name), &mut hasher)?;
    }
    Ok(format!("{:016x}", hasher.finish()))
}

fn hash_tree(path: &Path, hasher: &mut DefaultHasher) -> io::Result<()> {
    if !path.is_dir() {
        path.hash(hasher);
        fs::read(path)?.hash(hasher);
        return Ok(());
    }
    let mut entries: Vec<PathBuf> =
        fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    entries.sort();
    for entry in entries {
        let skipped =
            NO_WHEEL_SOURCES.map(OsStr::new).contains(&entry.file_name().unwrap_or_default());
        if !skipped && entry.extension() != Some(OsStr::new("so")) {
            hash_tree(&entry, hasher)?;
        }
    }
    Ok(())
}
