//! A look for a file and the other codings of it, on the loop if nothing has to be waited for, else
//! on a thread that may wait.

use std::borrow::Cow;
use std::fs::File;
use std::io::IoSliceMut;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rustix::fs::{FileType, Stat, fstat};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use crate::coding::Coding;
use crate::mount::Mount;
use crate::opened::Opened;
use crate::path::Relative;
use crate::root::{Patience, open_beneath};

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    pub(crate) len: u64,
    /// Since the Unix epoch; zero for what is older.
    pub(crate) modified: Duration,
    changed: Duration,
}

impl Stamp {
    #[allow(
        clippy::unnecessary_cast,
        clippy::useless_conversion,
        reason = "widths differ by platform"
    )]
    fn of(stat: &Stat) -> Self {
        let time = |seconds: i64, nanos: u64| {
            let seconds = u64::try_from(seconds).unwrap_or(0);
            Duration::new(seconds, u32::try_from(nanos).unwrap_or(0).min(999_999_999))
        };
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            len: u64::try_from(stat.st_size).unwrap_or(0),
            modified: time(stat.st_mtime as i64, stat.st_mtime_nsec as u64),
            changed: time(stat.st_ctime as i64, stat.st_ctime_nsec as u64),
        }
    }

    /// Whether it has just changed: another change may not show in its times.
    fn is_fresh(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.saturating_sub(self.changed) < TICKS && self.changed.saturating_sub(now) < TICKS
    }
}

/// Several times the kernel's coarse clock, which files are stamped with.
const TICKS: Duration = Duration::from_millis(40);
/// A coding that is older than its original by more than this was made of another original. Not at
/// all: copies of both are made within a moment.
const CODING_LAG: Duration = Duration::from_secs(2);
/// How often a file is read that changes while it is read.
const READS: usize = 3;

/// A file as it was found.
#[derive(Debug)]
pub(crate) struct Representation {
    pub(crate) coding: Coding,
    pub(crate) stamp: Stamp,
    pub(crate) bytes: Source,
}

/// Where its bytes are.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Memory(Bytes),
    File(Arc<Opened>),
}

/// Why there is no file to answer with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// 400: no file can have such a name.
    Malformed,
    /// 403: a directory, or one that must not be read, or a way out.
    Forbidden,
    /// 404
    Missing,
    /// 500: the system has failed us; what it says.
    Failed(String),
}

impl Refused {
    fn because(errno: Errno) -> Self {
        match errno {
            Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::LOOP => Self::Missing,
            // A socket, or a device without a driver.
            Errno::NXIO | Errno::NODEV => Self::Missing,
            Errno::ACCESS | Errno::PERM | Errno::XDEV => Self::Forbidden,
            _ => Self::Failed(std::io::Error::from(errno).to_string()),
        }
    }
}

/// What a search has come to.
#[derive(Debug)]
pub enum Outcome {
    /// As it was known.
    Unchanged,
    /// A file; see [`crate::Files::settle`].
    Found(Findings),
    /// A directory, asked for without its slash, that has an index.
    IsDirectory,
    /// Nothing.
    Refused(Refused),
}

/// A file with the codings of it that there are, the original first.
#[derive(Debug)]
pub struct Findings {
    pub(crate) representations: Vec<Representation>,
    /// Whether it may be kept in memory.
    pub(crate) is_steady: bool,
}

/// A search under way.
#[derive(Debug)]
pub struct Search {
    pub(crate) mount: Arc<Mount>,
    pub(crate) relative: Relative,
    /// What is in memory of it.
    pub(crate) known: Vec<(Coding, Stamp)>,
    /// Files of no more bytes are read into memory.
    pub(crate) memory_bytes_max: u64,
}

/// The kernel would have to wait for a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WouldWait;

impl Search {
    /// Looks without waiting for a disk.
    ///
    /// # Errors
    /// When it would have to: then [`Search::wait`] must run elsewhere.
    pub fn look(&self) -> Result<Outcome, WouldWait> {
        match self.run(Patience::None) {
            Err(Errno::AGAIN) => Err(WouldWait),
            outcome => {
                Ok(outcome.unwrap_or_else(|errno| Outcome::Refused(Refused::because(errno))))
            }
        }
    }

    /// Looks for as long as it takes.
    pub fn wait(&self) -> Outcome {
        self.run(Patience::Disk).unwrap_or_else(|errno| Outcome::Refused(Refused::because(errno)))
    }

    /// The name of the file: of a directory that of its index.
    pub(crate) fn wanted(&self) -> Cow<'_, Relative> {
        match &self.mount.index {
            Some(index) if self.relative.is_directory() => Cow::Owned(self.relative.join(index)),
            _ => Cow::Borrowed(&self.relative),
        }
    }

    fn run(&self, patience: Patience) -> Result<Outcome, Errno> {
        let relative = &*self.wanted();
        let (directory, below, file, stat) = match self.original(relative, patience) {
            Err(Errno::NOENT | Errno::NOTDIR) if self.relative.is_directory() => {
                return self.directory_itself(patience);
            }
            found => found?,
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile if relative.is_directory() => {
                return Ok(Outcome::Refused(Refused::Missing));
            }
            FileType::RegularFile => {}
            FileType::Directory if self.mount.index.is_some() && !relative.is_directory() => {
                return Ok(Outcome::IsDirectory);
            }
            FileType::Directory => return Ok(Outcome::Refused(Refused::Forbidden)),
            _ => return Ok(Outcome::Refused(Refused::Missing)),
        }
        let mut opened = vec![(Coding::Identity, file, Stamp::of(&stat))];
        if self.mount.is_precompressed {
            self.add_codings(directory, below, &mut opened, patience)?;
        }
        let is_known =
            self.known.iter().copied().eq(opened.iter().map(|(c, _, stamp)| (*c, *stamp)));
        if is_known {
            return Ok(Outcome::Unchanged);
        }
        let mut findings = Findings { representations: Vec::new(), is_steady: true };
        for (coding, file, stamp) in opened {
            let (representation, is_steady) = self.read(coding, file, stamp, patience)?;
            findings.is_steady &= is_steady;
            findings.representations.push(representation);
        }
        Ok(Outcome::Found(findings))
    }

    /// A directory without an index, or nothing.
    fn directory_itself(&self, patience: Patience) -> Result<Outcome, Errno> {
        let (.., stat) = self.original(&self.relative, patience)?;
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let refused = if is_directory { Refused::Forbidden } else { Refused::Missing };
        Ok(Outcome::Refused(refused))
    }

    /// The file of that name in the first root that has one.
    fn original<'a>(
        &'a self,
        relative: &'a Relative,
        patience: Patience,
    ) -> Result<(&'a Path, &'a [u8], File, Stat), Errno> {
        let mut failure = Errno::NOENT;
        for root in &self.mount.roots {
            let Some(name) = relative.below(&root.below) else { continue };
            match open_beneath(&root.directory, name, patience) {
                Ok(file) => {
                    let stat = fstat(&file)?;
                    return Ok((&root.directory, name, file, stat));
                }
                Err(errno @ (Errno::NOENT | Errno::NOTDIR)) => failure = errno,
                Err(errno) => return Err(errno),
            }
        }
        Err(failure)
    }

    /// Adds the codings that are there, are of this original, and are shorter.
    fn add_codings(
        &self,
        directory: &Path,
        name: &[u8],
        opened: &mut Vec<(Coding, File, Stamp)>,
        patience: Patience,
    ) -> Result<(), Errno> {
        let original = opened[0].2;
        for coding in Coding::COMPRESSED {
            let name = [name, coding.suffix().as_bytes()].concat();
            let file = match open_beneath(directory, &name, patience) {
                Ok(file) => file,
                Err(Errno::AGAIN) => return Err(Errno::AGAIN),
                Err(_) => continue,
            };
            let stat = fstat(&file)?;
            let stamp = Stamp::of(&stat);
            let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            let is_current = stamp.modified + CODING_LAG >= original.modified;
            if is_file && is_current && stamp.len < original.len {
                opened.push((coding, file, stamp));
            }
        }
        Ok(())
    }

    /// Reads a short file; tells whether it stood still.
    fn read(
        &self,
        coding: Coding,
        file: File,
        mut stamp: Stamp,
        patience: Patience,
    ) -> Result<(Representation, bool), Errno> {
        if stamp.len > self.memory_bytes_max {
            let is_steady = !stamp.is_fresh();
            let bytes = Source::File(Arc::new(file.into()));
            return Ok((Representation { coding, stamp, bytes }, is_steady));
        }
        for attempt in 1.. {
            let bytes = read_all(&file, stamp.len, patience)?;
            let after = Stamp::of(&fstat(&file)?);
            let stood_still = after == stamp && bytes.len() as u64 == stamp.len;
            if stood_still || attempt == READS {
                stamp.len = bytes.len() as u64;
                let is_steady = stood_still && !stamp.is_fresh();
                let bytes = Source::Memory(bytes);
                return Ok((Representation { coding, stamp, bytes }, is_steady));
            }
            stamp = after;
            if stamp.len > self.memory_bytes_max {
                let bytes = Source::File(Arc::new(file.into()));
                return Ok((Representation { coding, stamp, bytes }, false));
            }
        }
        unreachable!("the last attempt returns")
    }
}

/// Reads up to `len` bytes; fewer when the file has become shorter.
fn read_all(file: &File, len: u64, patience: Patience) -> Result<Bytes, Errno> {
    let mut buffer = vec![0; usize::try_from(len).map_err(|_| Errno::FBIG)?];
    let mut filled = 0;
    while filled < buffer.len() {
        match read_at(file, &mut buffer[filled..], filled as u64, patience) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    buffer.truncate(filled);
    Ok(Bytes::from(buffer))
}

fn read_at(file: &File, room: &mut [u8], at: u64, patience: Patience) -> Result<usize, Errno> {
    match patience {
        Patience::Disk => {
            let read = file.read_at(room, at);
            read.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
        }
        Patience::None => {
            let mut room = [IoSliceMut::new(room)];
            preadv2(file.as_fd(), &mut room, at, ReadWriteFlags::NOWAIT).map_err(|errno| {
                // A file system or kernel that cannot be asked not to wait.
                if matches!(errno, Errno::OPNOTSUPP | Errno::NOSYS) { Errno::AGAIN } else { errno }
            })
        }
    }
}
