//! A file that is open to be sent, and whether sending it would wait for a disk.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::{Errno, ReadWriteFlags, preadv2};

/// Of so many bytes one is asked for: the kernel reads ahead by half of it, and forgets as it reads.
const ASKED_BYTES: u64 = 256 * 1024;
/// Bytes that are read at once, to have them in the kernel's memory.
const ROOM_BYTES: usize = 64 * 1024;

/// A file that is open for reading.
#[derive(Debug)]
pub struct Opened {
    file: File,
    /// Bytes from its beginning that were read lately. It counts only where the kernel cannot be
    /// asked what it has in memory.
    warm_bytes: AtomicU64,
}

impl From<File> for Opened {
    fn from(file: File) -> Self {
        Self { file, warm_bytes: AtomicU64::new(0) }
    }
}

impl Opened {
    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn into_file(self) -> File {
        self.file
    }

    /// Whether sending these bytes would not wait for a disk, as far as can be told without reading
    /// them all.
    pub fn is_in_memory(&self, offset: u64, len: u64) -> bool {
        let end = offset.saturating_add(len);
        let mut at = offset;
        while at < end {
            // The kernel reads ahead, so the last of them comes last.
            at = at.saturating_add(ASKED_BYTES).min(end);
            let mut room = [0];
            let mut room = [IoSliceMut::new(&mut room)];
            match preadv2(self.file.as_fd(), &mut room, at - 1, ReadWriteFlags::NOWAIT) {
                Err(Errno::AGAIN) => return false,
                // File systems and kernels that cannot be asked: overlayfs, which containers are on.
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                    return end <= self.warm_bytes.load(Ordering::Relaxed);
                }
                // Whoever sends it will see.
                _ => {}
            }
        }
        true
    }

    /// Reads these bytes, so that the kernel has them in memory. Waits for the disk.
    ///
    /// # Errors
    /// When the disk has failed.
    pub fn warm(&self, offset: u64, len: u64) -> io::Result<()> {
        let end = offset.saturating_add(len);
        let mut room = [0; ROOM_BYTES];
        let mut at = offset;
        while at < end {
            let wanted = usize::try_from(end - at).unwrap_or(ROOM_BYTES).min(ROOM_BYTES);
            match self.file.read_at(&mut room[..wanted], at) {
                // It has become shorter.
                Ok(0) => break,
                Ok(count) => at += count as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if offset <= self.warm_bytes.load(Ordering::Relaxed) {
            self.warm_bytes.fetch_max(at, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The kernel may have forgotten meanwhile what was read.
    pub(crate) fn cool(&self) {
        self.warm_bytes.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_counts_from_the_beginning_on() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(3 * ASKED_BYTES).unwrap();
        let opened = Opened::from(file);
        let warm = || opened.warm_bytes.load(Ordering::Relaxed);
        opened.warm(ASKED_BYTES, 10).unwrap();
        assert_eq!(warm(), 0);
        opened.warm(0, ASKED_BYTES).unwrap();
        opened.warm(ASKED_BYTES, ASKED_BYTES).unwrap();
        assert_eq!(warm(), 2 * ASKED_BYTES);
        opened.warm(0, 1).unwrap();
        assert_eq!(warm(), 2 * ASKED_BYTES);
        // There are no more than that.
        opened.warm(0, u64::MAX).unwrap();
        assert_eq!(warm(), 3 * ASKED_BYTES);
        assert!(opened.is_in_memory(0, 3 * ASKED_BYTES));
        opened.cool();
        assert_eq!(warm(), 0);
    }
}
