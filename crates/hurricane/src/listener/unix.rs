//! The application's Unix domain socket and its file.
//!
//! The file outlives a server that is killed: then nobody listens behind it, and it is replaced.
//! It is removed when the server stops accepting, so that the next one can make its own while this
//! one ends what runs; by then the path may be the next one's, which is left alone.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::process;

/// Why the server cannot listen on a Unix domain socket.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnixError {
    /// Somebody listens there.
    #[error(
        "--uds {} is taken: another process listens there; stop it or choose another path",
        path.display()
    )]
    Taken {
        /// What was asked for.
        path: PathBuf,
    },
    /// Something else has that name.
    #[error("--uds {} exists and is no socket; remove it or choose another path", path.display())]
    NotASocket {
        /// What was asked for.
        path: PathBuf,
    },
    /// The kernel takes 107 bytes.
    #[error(
        "--uds {} is too long: a socket's path has at most 107 bytes; choose a shorter one",
        path.display()
    )]
    TooLong {
        /// What was asked for.
        path: PathBuf,
    },
    /// No such directory.
    #[error("--uds {}: its directory does not exist; make it", path.display())]
    NoDirectory {
        /// What was asked for.
        path: PathBuf,
    },
    /// Not our directory.
    #[error(
        "--uds {}: this user may not make or replace a file there; grant write access to its \
         directory or choose another path", path.display()
    )]
    Forbidden {
        /// What was asked for.
        path: PathBuf,
    },
    /// Anything else.
    #[error("cannot listen on --uds {}: {source}", path.display())]
    Other {
        /// What was asked for.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl UnixError {
    fn new(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::Taken { path },
            io::ErrorKind::NotFound => Self::NoDirectory { path },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Forbidden { path }
            }
            _ => Self::Other { path, source },
        }
    }
}

/// Listens on `path`, whose file has `mode` before anybody can connect.
pub(crate) fn listen(
    path: &Path,
    mode: u32,
    backlog: usize,
) -> Result<(Socket, SocketFile), UnixError> {
    let address = SockAddr::unix(path).map_err(|_| UnixError::TooLong { path: path.to_owned() })?;
    make_room(path, &address)?;
    let listen = || {
        // Socket::new sets FD_CLOEXEC.
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address)?;
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        let file = SocketFile::at(path)?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok((socket, file))
    };
    listen().map_err(|source| UnixError::new(path, source))
}

/// Removes the file of a socket that nobody listens on any more.
fn make_room(path: &Path, address: &SockAddr) -> Result<(), UnixError> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(UnixError::NotASocket { path: path.to_owned() });
    }
    let trial = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // With a full queue the answer would be waited for.
        socket.set_nonblocking(true)?;
        socket.connect(address)
    };
    match trial() {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|source| UnixError::new(path, source))
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(UnixError::Forbidden { path: path.to_owned() })
        }
        _ => Err(UnixError::Taken { path: path.to_owned() }),
    }
}

/// The file of a listening socket of ours. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Another server may have put its own there since.
    identity: Identity,
    /// Forked processes have a copy of this, and leave the file alone.
    process: i32,
}

impl SocketFile {
    /// The file that is at `path` now.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), identity: identity(&found), process: process::id() })
    }

    /// Removes the file, if it is still this one.
    pub(crate) fn remove(&self) {
        let is_ours =
            fs::symlink_metadata(&self.path).is_ok_and(|found| identity(&found) == self.identity);
        if is_ours
            && process::id() == self.process
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "could not remove the socket's file");
        }
    }
}

/// Device, number, and when it was made or given its mode: numbers are used again.
type Identity = (u64, u64, i64, i64);

fn identity(found: &Metadata) -> Identity {
    (found.dev(), found.ino(), found.ctime(), found.ctime_nsec())
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("hurricane-{}-{name}", process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_file_has_its_mode_and_goes_with_its_owner() {
        let scratch = Scratch::new("mode");
        let path = scratch.0.join("socket");
        let (socket, file) = listen(&path, 0o640, 16).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert!(UnixStream::connect(&path).is_ok());
        drop(file);
        assert!(!path.exists());
        drop(socket);
    }

    #[test]
    fn a_live_socket_is_refused_and_a_stale_one_replaced() {
        let scratch = Scratch::new("live");
        let path = scratch.0.join("socket");
        let (first, file) = listen(&path, 0o600, 16).unwrap();
        let error = listen(&path, 0o600, 16).unwrap_err();
        assert!(matches!(error, UnixError::Taken { .. }), "{error}");
        drop(first);
        let _second = listen(&path, 0o600, 16).unwrap();
        // The one that is there now is not ours.
        drop(file);
        assert!(UnixStream::connect(&path).is_ok());
    }

    #[test]
    fn what_is_in_the_way_is_named() {
        let scratch = Scratch::new("errors");
        let file = scratch.0.join("file");
        fs::write(&file, "").unwrap();
        let said = |path: &Path| listen(path, 0o600, 16).unwrap_err().to_string();
        assert!(said(&file).contains("is no socket"));
        assert!(said(&scratch.0.join("no/socket")).contains("its directory does not exist"));
        assert!(said(&scratch.0.join("x".repeat(120))).contains("too long"));
    }
}
