//! Opens files beneath a directory, and nothing else.
//!
//! The kernel resolves a name with RESOLVE_BENEATH, so that no link and no race leads out. Where it
//! has no openat2 (before Linux 5.6, gVisor, old seccomp profiles) the file is found first, without
//! being opened for reading, and asked where it is.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, open, openat, openat2, readlink};
use rustix::io::Errno;

/// Whether the caller can wait for a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// No: what the kernel does not have in memory is `EAGAIN`.
    None,
    /// Yes.
    Disk,
}

/// Reading a FIFO or terminal must not wait; neither is wanted.
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
const FIND: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
/// A name that is resolved while another process renames things is tried so often.
const TRIES: usize = 8;

static HAS_NO_OPENAT2: AtomicBool = AtomicBool::new(false);
/// RESOLVE_CACHED came with Linux 5.12.
static HAS_NO_CACHED: AtomicBool = AtomicBool::new(false);

/// Opens what `name` stands for beneath `directory`: a file or directory, for reading. An empty
/// name is the directory itself.
pub(crate) fn open_beneath(
    directory: &Path,
    name: &[u8],
    patience: Patience,
) -> Result<File, Errno> {
    let name = Path::new(OsStr::from_bytes(if name.is_empty() { b"." } else { name }));
    if HAS_NO_OPENAT2.load(Ordering::Relaxed) {
        return find_then_open(directory, name, patience);
    }
    match resolve_beneath(directory, name, patience) {
        // Profiles that do not know the call refuse it with either.
        Err(Errno::NOSYS | Errno::PERM) => {
            HAS_NO_OPENAT2.store(true, Ordering::Relaxed);
            find_then_open(directory, name, patience)
        }
        opened => opened,
    }
}

fn resolve_beneath(directory: &Path, name: &Path, patience: Patience) -> Result<File, Errno> {
    let cached = match patience {
        Patience::None if HAS_NO_CACHED.load(Ordering::Relaxed) => return Err(Errno::AGAIN),
        Patience::None => ResolveFlags::CACHED,
        Patience::Disk => ResolveFlags::empty(),
    };
    let root = match openat2(CWD, directory, FIND | OFlags::DIRECTORY, Mode::empty(), cached) {
        Err(Errno::INVAL) if patience == Patience::None => {
            HAS_NO_CACHED.store(true, Ordering::Relaxed);
            return Err(Errno::AGAIN);
        }
        root => root?,
    };
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | cached;
    let mut opened = Err(Errno::AGAIN);
    for _ in 0..TRIES {
        opened = openat2(&root, name, READ, Mode::empty(), how);
        if patience == Patience::None || !matches!(opened, Err(Errno::AGAIN)) {
            break;
        }
    }
    opened.map(File::from)
}

/// What cannot be asked not to wait is left to those who can wait.
fn find_then_open(directory: &Path, name: &Path, patience: Patience) -> Result<File, Errno> {
    if patience == Patience::None {
        return Err(Errno::AGAIN);
    }
    let root = open(directory, FIND | OFlags::DIRECTORY, Mode::empty())?;
    let found = openat(&root, name, FIND, Mode::empty())?;
    let (root, place) = (place_of(&root)?, place_of(&found)?);
    let is_beneath = place
        .strip_prefix(root.as_slice())
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/") || root.as_slice() == b"/");
    if !is_beneath {
        return Err(Errno::XDEV);
    }
    let again = own_descriptor(&found);
    open(again.as_str(), READ, Mode::empty()).map(File::from)
}

fn place_of(found: &OwnedFd) -> Result<Vec<u8>, Errno> {
    Ok(readlink(own_descriptor(found).as_str(), Vec::new())?.into_bytes())
}

fn own_descriptor(found: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", found.as_fd().as_raw_fd())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    fn text(file: Result<File, Errno>) -> Result<String, Errno> {
        let mut text = String::new();
        file?.read_to_string(&mut text).unwrap();
        Ok(text)
    }

    #[test]
    fn links_lead_nowhere_but_beneath_in_either_way() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "secret").unwrap();
        let root = outside.path().join("root");
        fs::create_dir_all(root.join("d")).unwrap();
        fs::write(root.join("d/a"), "content").unwrap();
        fs::create_dir(outside.path().join("rooted")).unwrap();
        fs::write(outside.path().join("rooted/a"), "neighbour").unwrap();
        symlink("d/a", root.join("inside")).unwrap();
        symlink("../secret", root.join("up")).unwrap();
        symlink(outside.path().join("secret"), root.join("absolute")).unwrap();
        symlink("../rooted", root.join("neighbour")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("/proc/self/exe", root.join("magic")).unwrap();
        for open in [resolve_beneath, find_then_open] {
            let opened = |name: &str| text(open(&root, Path::new(name), Patience::Disk));
            assert_eq!(opened("d/a").as_deref(), Ok("content"));
            assert_eq!(opened("inside").as_deref(), Ok("content"));
            assert_eq!(opened("up"), Err(Errno::XDEV));
            assert_eq!(opened("absolute"), Err(Errno::XDEV));
            assert_eq!(opened("neighbour/a"), Err(Errno::XDEV));
            assert_eq!(opened("loop"), Err(Errno::LOOP));
            assert!(matches!(opened("magic"), Err(Errno::XDEV | Errno::LOOP)));
            assert_eq!(opened("none"), Err(Errno::NOENT));
            assert_eq!(opened("d/a/b"), Err(Errno::NOTDIR));
            assert_eq!(opened(&"x".repeat(300)), Err(Errno::NAMETOOLONG));
        }
    }

    #[test]
    fn what_is_in_memory_is_found_without_patience() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), "content").unwrap();
        let opened = text(open_beneath(root.path(), b"a", Patience::None));
        assert!(opened == Ok("content".to_owned()) || opened == Err(Errno::AGAIN));
        assert!(
            open_beneath(root.path(), b"", Patience::Disk).unwrap().metadata().unwrap().is_dir()
        );
    }
}
