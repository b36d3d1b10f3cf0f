//! Signals while the application is loaded, before the supervisor takes them.
//!
//! Loading is the application's own code: imports, system checks, a database that does not answer.
//! Whoever tells the process to stop must not wait for it, and PID 1 has no default action that
//! would end it. So a handler ends the process at once, wherever it is; nothing is bound, no child
//! has to be told, and what the kernel does to a process that ends is all that is needed.
#![expect(unsafe_code, reason = "handlers of signals have no safe form")]

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::exit::Exit;
use crate::process;
use crate::reload::errand;

/// The signals that tell a server to stop.
pub(crate) const ENDING: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT];

const LAST_LINE: &[u8] = b"hurricane: stopped by a signal before the server had started\n";

/// The process that loads.
static LOADING: AtomicI32 = AtomicI32::new(0);
/// What the signals did before.
static FORMER: Mutex<Vec<(Signal, SigAction)>> = Mutex::new(Vec::new());

/// From here on SIGTERM, SIGINT and SIGQUIT end this process at once, with the codes of
/// [`Exit`]. The supervisor takes over from the handler without a gap. May be called again. Does
/// nothing in a reload, where other processes have to be told.
pub fn heed_signals() {
    if !errand::is_done() {
        return;
    }
    let mut former = FORMER.lock().unwrap_or_else(PoisonError::into_inner);
    LOADING.store(process::id(), Ordering::Relaxed);
    if former.is_empty() {
        *former = install();
    }
}

/// Brings back what the signals did before [`heed_signals`].
pub fn release_signals() {
    let mut former = FORMER.lock().unwrap_or_else(PoisonError::into_inner);
    for (signal, action) in former.drain(..) {
        // SAFETY: what was there before has been a valid action of this process.
        let _ = unsafe { sigaction(signal, &action) };
    }
}

/// Installs the handlers again, where a child or the supervisor has put others in their place.
pub(crate) fn install() -> Vec<(Signal, SigAction)> {
    LOADING.store(process::id(), Ordering::Relaxed);
    let leaving = SigAction::new(SigHandler::Handler(leave), SaFlags::empty(), SigSet::all());
    ENDING
        .into_iter()
        // SAFETY: the handler calls nothing but what a handler may call.
        .filter_map(|signal| Some((signal, unsafe { sigaction(signal, &leaving) }.ok()?)))
        .collect()
}

extern "C" fn leave(signal: i32) {
    // SAFETY: all of these may be called in a handler of a signal; the line is a static.
    unsafe {
        if libc::getpid() != LOADING.load(Ordering::Relaxed) {
            // A process that the application has forked is ended as it would have been.
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
            return;
        }
        libc::write(libc::STDERR_FILENO, LAST_LINE.as_ptr().cast(), LAST_LINE.len());
        let exit = if signal == libc::SIGQUIT { Exit::Quit } else { Exit::Clean };
        libc::_exit(i32::from(exit.code()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::ask_child;

    #[test]
    fn what_signals_did_before_comes_back() {
        let answer = ask_child(|| {
            let ours = SigAction::new(SigHandler::SigIgn, SaFlags::SA_RESTART, SigSet::empty());
            process::set_action(Signal::SIGTERM, &ours).unwrap();
            heed_signals();
            heed_signals();
            release_signals();
            release_signals();
            // SAFETY: the kernel's own action.
            let found = unsafe { sigaction(Signal::SIGTERM, &ours) }.unwrap();
            let restarts = found.flags().contains(SaFlags::SA_RESTART);
            format!("{:?} {restarts}", found.handler())
        });
        assert_eq!(answer.unwrap(), "SigIgn true");
    }
}
