//! The calls of the operating system that need `unsafe`: fork, prctl, signal dispositions.
#![expect(unsafe_code, reason = "fork, prctl, sigaction and _exit have no safe form")]

use std::ffi::CString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI32, Ordering};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigAction, Signal, kill, sigaction};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, getpid, getppid, pipe};

/// How long a process may take to answer a question, in milliseconds.
const ANSWER_TIME_MAX: u16 = 500;

/// How a child process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) pid: i32,
    pub(crate) how: How,
}

/// Exit code or signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Exited(i32),
    /// By the signal of this number.
    Killed(i32),
    /// By the kernel's SIGKILL.
    OutOfMemory,
}

impl How {
    /// By a signal that the process raised with what it did.
    pub(crate) fn is_crash(self) -> bool {
        const CRASHES: [i32; 5] =
            [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT];
        matches!(self, Self::Killed(signal) if CRASHES.contains(&signal))
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exited(code) => write!(f, "exited with code {code}"),
            Self::Killed(number) => match Signal::try_from(number) {
                Ok(signal) => write!(f, "killed by {signal}"),
                Err(_) => write!(f, "killed by signal {number}"),
            },
            Self::OutOfMemory => f.write_str("killed by the kernel: out of memory"),
        }
    }
}

/// Sets what a signal does.
pub(crate) fn set_action(signal: Signal, action: &SigAction) -> nix::Result<()> {
    exchange_action(signal, action).map(drop)
}

/// Sets what a signal does; returns what it did.
pub(crate) fn exchange_action(signal: Signal, action: &SigAction) -> nix::Result<SigAction> {
    // SAFETY: the handlers given in this crate do nothing that a handler may not do, or are those
    // that were there before.
    unsafe { sigaction(signal, action) }
}

/// Descriptors beside the first three that the next program of this process would have.
pub(crate) fn inheritable_descriptors() -> Vec<RawFd> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let numbers: Vec<RawFd> = names.filter_map(|name| name.parse().ok()).collect();
    // SAFETY: F_GETFD takes a number and touches no memory.
    let flags = |number: &RawFd| unsafe { libc::fcntl(*number, libc::F_GETFD) };
    // Of one that is closed by now, such as that of the directory itself, the answer is -1.
    numbers.into_iter().filter(|it| *it > 2 && flags(it) == 0).collect()
}

/// Keeps a descriptor, whoever has opened it, from the next program of this process.
pub(crate) fn close_on_exec(number: RawFd) {
    // SAFETY: F_SETFD takes numbers and touches no memory.
    unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
}

/// Takes a descriptor that this process was started with, by its number.
pub(crate) fn adopt_descriptor(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD takes a number and touches no memory.
    if number < 3 || unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(io::Error::other(format!("descriptor {number} was not handed over")));
    }
    // SAFETY: it is open; who asks was told its number by the image before, and asks once.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Ends this process when its parent ends, even by SIGKILL. `parent`: who that is.
pub(crate) fn die_with_parent(parent: i32) {
    // SAFETY: PR_SET_PDEATHSIG takes a signal number and touches no memory.
    let set = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    debug_assert_eq!(set, 0);
    // The parent may have ended before the call.
    if getppid().as_raw() != parent {
        // SAFETY: ends the process without running anything more.
        unsafe { libc::_exit(1) }
    }
}

/// Names the calling thread (of a process's first thread: the process) in `ps` and `top`;
/// 15 bytes are shown.
pub(crate) fn set_name(name: &str) {
    let Ok(name) = CString::new(name) else { return };
    // SAFETY: PR_SET_NAME reads at most 16 bytes of a string that ends with a NUL.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// This process.
pub(crate) fn id() -> i32 {
    getpid().as_raw()
}

/// Sends a signal to one thread of a process. It may have ended by itself.
pub(crate) fn signal_thread(pid: i32, tid: i32, signal: i32) {
    // SAFETY: tgkill takes numbers and touches no memory.
    unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, signal) };
}

/// By what name the C library knows the calling thread.
pub(crate) fn pthread() -> u64 {
    // SAFETY: returns a number.
    unsafe { libc::pthread_self() }
}

/// The file that [`end_of_stacks`] writes to.
static STACKS: AtomicI32 = AtomicI32::new(-1);

/// From now on `signal` writes a NUL into `file`, which stays open for good. What a language
/// runtime has to write first it does in a handler of its own, which calls this one at its end.
pub(crate) fn answer_with_end_of_stacks(signal: i32, file: OwnedFd) -> RawFd {
    let file = file.into_raw_fd();
    STACKS.store(file, Ordering::Relaxed);
    let handler: extern "C" fn(i32) = end_of_stacks;
    // SAFETY: all-zero is a sigaction without flags and mask; the handler only writes to a
    // descriptor, which a signal handler may.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(signal, &raw const action, std::ptr::null_mut());
    }
    file
}

extern "C" fn end_of_stacks(_signal: i32) {
    let before = Errno::last_raw();
    // SAFETY: one byte of a constant.
    unsafe { libc::write(STACKS.load(Ordering::Relaxed), c"".as_ptr().cast(), 1) };
    Errno::set_raw(before);
}

/// Sends a signal to a process, which may have ended by itself.
pub(crate) fn send(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

/// Ends a process at once. It may have ended by itself.
pub(crate) fn end_at_once(pid: i32) {
    send(pid, Signal::SIGKILL);
}

/// The next child that has ended; of PID 1 also orphans of other processes. `None` when none has.
pub(crate) fn reap() -> Option<Ended> {
    let mut status = 0;
    // SAFETY: writes one integer. nix has no name for real-time signals and would lose a child
    // that one of them has killed.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    let how = match libc::WIFSIGNALED(status) {
        true => How::Killed(libc::WTERMSIG(status)),
        false => How::Exited(libc::WEXITSTATUS(status)),
    };
    (pid > 0).then_some(Ended { pid, how })
}

/// The hard limit of open files, to which the soft one is raised before anything is accepted.
pub(crate) fn open_files_max() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(_, hard)| hard)
}

/// Raises the soft limit of open files to the hard one.
pub(crate) fn raise_open_files() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Runs `question` in a process of its own that ends with it, and returns its answer (at most a
/// pipe's capacity), so that nothing it makes is left in this process.
///
/// `question` must do nothing but system calls and its own small work: no application hook has
/// prepared the process, and other threads of this one are not in it.
pub(crate) fn ask_child(question: impl FnOnce() -> String) -> io::Result<String> {
    let (answer, said) = pipe()?;
    // SAFETY: the child runs `question`, writes to a pipe and ends without unwinding into the
    // caller or running its destructors.
    let child = match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Child => {
            drop(answer);
            let text = catch_unwind(AssertUnwindSafe(question)).unwrap_or_default();
            let written = File::from(said).write_all(text.as_bytes());
            // SAFETY: as above.
            unsafe { libc::_exit(i32::from(written.is_err())) }
        }
        nix::unistd::ForkResult::Parent { child } => child,
    };
    drop(said);
    let mut watched = [PollFd::new(answer.as_fd(), PollFlags::POLLIN)];
    let ready = poll(&mut watched, PollTimeout::from(ANSWER_TIME_MAX));
    // It has answered, or never will; either way it is not needed any more.
    let mut text = String::new();
    let read = match ready {
        Ok(0) => Err(io::ErrorKind::TimedOut.into()),
        Ok(_) => File::from(answer).read_to_string(&mut text).map(|_| text),
        Err(error) => Err(error.into()),
    };
    end_at_once(child.as_raw());
    let _ = waitpid(child, None);
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_answers_and_is_gone() {
        let parent = id();
        let answer = ask_child(|| format!("{}", getppid())).unwrap();
        assert_eq!(answer, parent.to_string());
    }

    #[test]
    fn an_end_is_told_by_the_signals_name_or_number() {
        assert_eq!(How::Exited(3).to_string(), "exited with code 3");
        assert_eq!(How::Killed(libc::SIGSEGV).to_string(), "killed by SIGSEGV");
        assert_eq!(How::Killed(61).to_string(), "killed by signal 61");
    }

    #[test]
    fn a_child_that_does_not_answer_is_ended() {
        let error = ask_child(|| {
            nix::unistd::pause();
            String::new()
        });
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
