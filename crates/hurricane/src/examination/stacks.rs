//! The stacks of a worker's threads, as the worker's language runtime writes them.
//!
//! Each worker process shares a file in memory with the supervisor. On [`stack_signal`] it writes
//! there, from a signal handler, so that it can do so while it is stuck; a NUL follows when it has
//! said all. A file, not a pipe: a worker that crashes writes its last stack there as well, and
//! must not wait for a reader.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use nix::sys::memfd::{MFdFlags, memfd_create};

/// More than a hundred threads with a hundred frames need less.
const READ_BYTES_MAX: u64 = 2 << 20;

/// The signal that makes a worker write its stacks: SIGRTMAX-3. Applications have no use for it:
/// the C library's own signals and what others count from are at the lower end.
pub fn stack_signal() -> i32 {
    libc::SIGRTMAX() - 3
}

/// The supervisor's end of a worker's file.
#[derive(Debug)]
pub(crate) struct StackFile {
    file: File,
    /// How much has been read.
    read: Cell<u64>,
}

/// What was written since the last look.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) text: String,
    /// Whether the worker has said all that it had to.
    pub(crate) is_whole: bool,
}

impl StackFile {
    pub(crate) fn create() -> io::Result<Self> {
        let file = memfd_create(c"hurricane-stacks", MFdFlags::MFD_CLOEXEC)?;
        Ok(Self { file: File::from(file), read: Cell::new(0) })
    }

    /// The supervisor's end as an earlier image of its process had it; what is in it was read.
    pub(crate) fn adopt(file: OwnedFd) -> Self {
        let adopted = Self { file: File::from(file), read: Cell::new(0) };
        adopted.take();
        adopted
    }

    /// The file itself.
    pub(crate) fn memory(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// The worker's end.
    pub(crate) fn share(&self) -> io::Result<OwnedFd> {
        self.file.try_clone().map(OwnedFd::from)
    }

    /// What was written since [`Self::take`] was last called, without taking it.
    pub(crate) fn look(&self) -> Written {
        let len = self.file.metadata().map_or(0, |metadata| metadata.len());
        let fresh = len.saturating_sub(self.read.get()).min(READ_BYTES_MAX);
        let mut bytes = vec![0; usize::try_from(fresh).unwrap_or(0)];
        // The position of the file is the worker's, which writes at it.
        if self.file.read_exact_at(&mut bytes, self.read.get()).is_err() {
            bytes.clear();
        }
        let is_whole = bytes.last() == Some(&0);
        bytes.retain(|byte| *byte != 0);
        Written { text: String::from_utf8_lossy(&bytes).into_owned(), is_whole }
    }

    /// As [`Self::look`]; what is returned is not returned again.
    pub(crate) fn take(&self) -> Written {
        let written = self.look();
        self.read.set(self.file.metadata().map_or(0, |metadata| metadata.len()));
        written
    }
}

/// The stack of one thread.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stack<'a> {
    /// `pthread_self`.
    pub(crate) pthread: u64,
    /// Innermost first, such as `File "/app/views.py", line 12 in slow`.
    pub(crate) frames: Vec<&'a str>,
}

/// What a runtime has written, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Stacks<'a> {
    /// Why it was written, when the process is about to die: `Fatal Python error: …`.
    pub(crate) fatal: Option<&'a str>,
    pub(crate) stacks: Vec<Stack<'a>>,
}

impl<'a> Stacks<'a> {
    /// Reads the format of Python's `faulthandler`. What is not of it is skipped.
    pub(crate) fn parse(text: &'a str) -> Self {
        let mut parsed = Self::default();
        // A frame behind anything else than a thread's line is not a thread's.
        let mut in_thread = false;
        for line in text.lines() {
            if let Some(pthread) = thread_of(line) {
                parsed.stacks.push(Stack { pthread, frames: Vec::new() });
                in_thread = true;
            } else if let Some(frame) = line.strip_prefix("  ") {
                let stack = parsed.stacks.last_mut().filter(|_| in_thread);
                // A thread that runs no Python has `<no Python frame>`.
                if let Some(stack) = stack.filter(|_| !frame.starts_with('<')) {
                    stack.frames.push(frame);
                }
            } else {
                in_thread = false;
                if line.starts_with("Fatal Python error") {
                    parsed.fatal = Some(line);
                }
            }
        }
        parsed
    }

    pub(crate) fn of(&self, pthread: u64) -> Option<&Stack<'a>> {
        self.stacks.iter().find(|stack| stack.pthread == pthread)
    }
}

/// `Thread 0x00007f8d (most recent call first):`, or `Current thread 0x…`; later versions add a
/// name behind the number.
fn thread_of(line: &str) -> Option<u64> {
    let rest = line.strip_prefix("Thread 0x").or_else(|| line.strip_prefix("Current thread 0x"))?;
    let digits = rest.split(|c: char| !c.is_ascii_hexdigit()).next()?;
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const DUMP: &str = "Thread 0x00007f8d62de16c0 (most recent call first):
  File \"/app/views.py\", line 6 in spin
  File \"/app/wsgi.py\", line 10 in __call__

Thread 0x00007f8d62de16c1 [application-1] (most recent call first):
  <no Python frame>

Current thread 0x00007f8d64a8ac40 (most recent call first):
  File \"manage.py\", line 10 in <module>
";

    #[test]
    fn threads_and_their_frames_are_told_apart() {
        let parsed = Stacks::parse(DUMP);
        assert_eq!(parsed.fatal, None);
        let threads: Vec<_> = parsed.stacks.iter().map(|stack| stack.pthread).collect();
        assert_eq!(threads, [0x7f8d_62de_16c0, 0x7f8d_62de_16c1, 0x7f8d_64a8_ac40]);
        let frames = &parsed.of(0x7f8d_62de_16c0).unwrap().frames;
        assert_eq!(frames[0], "File \"/app/views.py\", line 6 in spin");
        assert_eq!(frames.len(), 2);
        assert!(parsed.of(0x7f8d_62de_16c1).unwrap().frames.is_empty());
        assert_eq!(parsed.of(1), None);
    }

    #[test]
    fn a_crash_says_what_it_was() {
        let crash = format!(
            "Fatal Python error: Segmentation fault\n\n{DUMP}\nExtension modules: a, b (total: 2)\n  c"
        );
        let parsed = Stacks::parse(&crash);
        assert_eq!(parsed.fatal, Some("Fatal Python error: Segmentation fault"));
        assert_eq!(parsed.stacks.len(), 3);
        assert_eq!(parsed.stacks[2].frames.len(), 1);
        assert_eq!(Stacks::parse("anything\n  at all"), Stacks::default());
    }

    #[test]
    fn what_is_written_is_taken_once_and_ends_with_a_nul() {
        let ours = StackFile::create().unwrap();
        let mut theirs = File::from(ours.share().unwrap());
        theirs.write_all(b"Thread ").unwrap();
        assert!(!ours.look().is_whole);
        theirs.write_all(b"0x1\n\0").unwrap();
        let written = ours.take();
        assert_eq!((written.text.as_str(), written.is_whole), ("Thread 0x1\n", true));
        assert!(ours.look().text.is_empty());
        theirs.write_all(b"more").unwrap();
        assert_eq!(ours.take().text, "more");
    }
}
