//! This process with another program in it: the same id, parent, children and descriptors.
//!
//! While freshly loaded code is on its way to serve, nobody watches the workers and nobody hears
//! a signal to stop. [`Guard`] bounds that: such a signal, and the end of the time for loading,
//! replace the program by one without the application, which knows how to stop.
#![expect(unsafe_code, reason = "handlers of signals, and execve in them, have no safe form")]

use std::ffi::{CString, OsStr, c_char};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::unistd::alarm;

use crate::process;
use crate::reload::program::Program;

/// Signals that end loading. The alarm says that its time is over.
const ENDING: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGALRM];

/// Runs the program anew in this process, with these descriptors. Returns only what went wrong;
/// then nothing has changed.
pub(crate) fn replace<'a>(
    program: &Program,
    errand: &str,
    descriptors: impl Iterator<Item = BorrowedFd<'a>> + Clone,
) -> io::Error {
    // What the application has opened to be inherited would be opened once more each time.
    Program::close_others_on_exec();
    let kept = descriptors.clone().try_for_each(|descriptor| set_close_on_exec(descriptor, false));
    let error = match kept {
        Ok(()) => program.command(errand).exec(),
        Err(error) => error,
    };
    for descriptor in descriptors {
        let _ = set_close_on_exec(descriptor, true);
    }
    error
}

/// Whether a descriptor is closed when the process is given another program.
pub(crate) fn set_close_on_exec(descriptor: impl AsFd, close: bool) -> io::Result<()> {
    let flag = if close { FdFlag::FD_CLOEXEC } else { FdFlag::empty() };
    fcntl(descriptor, FcntlArg::F_SETFD(flag)).map(drop).map_err(io::Error::from)
}

/// What a handler needs to replace the program: all of it is made before, as a handler may not
/// ask for memory.
struct Plan {
    process: i32,
    directory: CString,
    /// For each signal of `ENDING`.
    words: [Words; ENDING.len()],
    environment: Words,
    descriptors: Vec<RawFd>,
}

static PLAN: AtomicPtr<Plan> = AtomicPtr::new(ptr::null_mut());

/// Strings as `execve` wants them.
struct Words {
    /// What `pointers` point to.
    _strings: Vec<CString>,
    /// Ends with a null.
    pointers: Vec<*const c_char>,
}

impl Words {
    fn new<'a>(words: impl Iterator<Item = &'a OsStr>) -> Self {
        // A word with a NUL cannot have come from a command line or an environment.
        let strings: Vec<CString> =
            words.filter_map(|word| CString::new(word.as_bytes()).ok()).collect();
        let pointers = strings.iter().map(|it| it.as_ptr()).chain([ptr::null()]).collect();
        Self { _strings: strings, pointers }
    }
}

/// Ends loading by signal or after a time, as long as it lives.
pub(crate) struct Guard {
    former: Vec<(Signal, SigAction)>,
}

impl Guard {
    /// From now on a signal to stop, or `limit` having passed, replaces the program by the one of
    /// `errand_of` that signal. Descriptors are handed to it. There is one guard at a time.
    pub(crate) fn set(
        program: &Program,
        errand_of: impl Fn(Signal) -> String,
        descriptors: Vec<RawFd>,
        limit: Duration,
    ) -> io::Result<Self> {
        let words = ENDING.map(|signal| {
            let words = program.words(&errand_of(signal));
            Words::new(words.iter().map(AsRef::as_ref))
        });
        let environment: Vec<_> = Program::environment()
            .iter()
            .map(|(name, value)| [name.as_os_str(), OsStr::new("="), value.as_os_str()])
            .map(|parts| parts.map(OsStr::as_bytes).concat())
            .collect();
        let plan = Box::new(Plan {
            process: process::id(),
            directory: CString::new(Program::directory().as_os_str().as_bytes())?,
            words,
            environment: Words::new(environment.iter().map(|entry| OsStr::from_bytes(entry))),
            descriptors,
        });
        // A handler may still be looking at an earlier one: it is left alone.
        PLAN.store(Box::into_raw(plan), Ordering::Release);
        let handler = SigHandler::Handler(replace_in_handler);
        let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::all());
        let mut former = Vec::new();
        for signal in ENDING {
            former.push((signal, process::exchange_action(signal, &action)?));
        }
        // Rounded up: an alarm of zero seconds is none.
        alarm::set(u32::try_from(limit.as_secs() + 1).unwrap_or(u32::MAX));
        SigSet::from_iter(ENDING).thread_unblock()?;
        Ok(Self { former })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        alarm::cancel();
        PLAN.store(ptr::null_mut(), Ordering::Release);
        for (signal, action) in &self.former {
            let _ = process::set_action(*signal, action);
        }
    }
}

/// Does nothing that a handler may not do.
extern "C" fn replace_in_handler(number: i32) {
    // SAFETY: plans are never freed, and none is changed after it was stored.
    let Some(plan) = (unsafe { PLAN.load(Ordering::Acquire).as_ref() }) else { return };
    // SAFETY: these calls take numbers and strings that end with a NUL, and are safe in handlers;
    // errno is not kept, as this does not return when all goes well.
    unsafe {
        // A child that was forked meanwhile has our handler until it runs another program.
        if libc::getpid() != plan.process {
            return;
        }
        // Children are killed when the thread that forked them ends, so that thread has to do it.
        // Not by glibc's function, which is newer than the library that wheels are built for.
        if libc::syscall(libc::SYS_gettid) != libc::c_long::from(plan.process) {
            libc::syscall(libc::SYS_tgkill, plan.process, plan.process, number);
            return;
        }
        let Some(at) = ENDING.iter().position(|signal| *signal as i32 == number) else { return };
        for descriptor in &plan.descriptors {
            libc::fcntl(*descriptor, libc::F_SETFD, 0);
        }
        libc::chdir(plan.directory.as_ptr());
        let words = &plan.words[at].pointers;
        libc::execve(words[0], words.as_ptr(), plan.environment.pointers.as_ptr());
        libc::_exit(1)
    }
}

/// The numbers of descriptors.
pub(crate) fn numbers<'a>(descriptors: impl Iterator<Item = BorrowedFd<'a>>) -> Vec<RawFd> {
    descriptors.map(|descriptor| descriptor.as_raw_fd()).collect()
}
