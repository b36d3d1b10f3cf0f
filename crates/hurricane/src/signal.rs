//! Signals, taken one by one from a descriptor instead of interrupting anything.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::launch::ChildRole;
use crate::loading;

/// The signals that the supervisor takes.
const TAKEN: [Signal; 5] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP, Signal::SIGCHLD];

fn taken() -> SigSet {
    TAKEN.into_iter().collect()
}

/// Blocks them without reading them yet.
pub(crate) fn block() -> nix::Result<()> {
    taken().thread_block()
}

/// Lets them through, in a program that was started while they were blocked.
pub(crate) fn unblock() -> nix::Result<()> {
    taken().thread_unblock()
}

/// The supervisor's signals: blocked in this thread and in all that it starts, read from a
/// descriptor. Dropping it brings the former mask back.
#[derive(Debug)]
pub(crate) struct Signals {
    descriptor: SignalFd,
    former: SigSet,
}

impl Signals {
    /// Blocks the signals. Must run before the first thread or process is started.
    pub(crate) fn take() -> nix::Result<Self> {
        let former = taken().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        Self::read_from(former)
    }

    /// Goes on with signals that an earlier image of this process has blocked. `blocked`: what
    /// was blocked before that.
    pub(crate) fn take_over(blocked: &[i32]) -> nix::Result<Self> {
        let former: SigSet =
            blocked.iter().filter_map(|number| Signal::try_from(*number).ok()).collect();
        let mut mask = former;
        mask.extend(&taken());
        mask.thread_set_mask()?;
        Self::read_from(former)
    }

    fn read_from(former: SigSet) -> nix::Result<Self> {
        let mask = taken();
        let descriptor =
            SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        crate::process::set_action(Signal::SIGPIPE, &ignoring())?;
        // A parent that ignores SIGCHLD makes us lose the ends of our children.
        crate::process::set_action(Signal::SIGCHLD, &default_action())?;
        Ok(Self { descriptor, former })
    }

    /// What was blocked before.
    pub(crate) fn blocked_before(&self) -> Vec<i32> {
        self.former.iter().map(|signal| signal as i32).collect()
    }

    /// The next signal; `None` when none is there.
    pub(crate) fn next(&self) -> Option<Signal> {
        let info = self.descriptor.read_signal().ok().flatten()?;
        Signal::try_from(i32::try_from(info.ssi_signo).ok()?).ok()
    }

    /// Runs a step during which a signal to stop ends this process at once, and its children with
    /// it, as while the application was loaded.
    pub(crate) fn let_end_at_once<T>(&self, step: impl FnOnce() -> T) -> T {
        loading::install();
        let ending = loading::ENDING.into_iter().collect::<SigSet>();
        let _ = ending.thread_unblock();
        let done = step();
        let _ = ending.thread_block();
        done
    }

    /// In a forked child: an empty mask, and signals for the whole process group (Ctrl-C)
    /// without effect, as the supervisor says when to stop. Handlers, unlike "ignore", are not
    /// passed on to programs that the application starts. What is done before the start is ended
    /// by SIGTERM as it would be without us.
    pub(crate) fn release_in_child(&self, role: ChildRole) {
        let deaf =
            SigAction::new(SigHandler::Handler(nothing), SaFlags::SA_RESTART, SigSet::empty());
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
            let is_one_errand = matches!(role, ChildRole::Preparation | ChildRole::Collection);
            let is_ended = is_one_errand && signal == Signal::SIGTERM;
            let action = if is_ended { default_action() } else { deaf };
            let _ = crate::process::set_action(signal, &action);
        }
        // Also where whoever started us had signals blocked: the programs that the application
        // starts must be told to stop.
        let _ = SigSet::empty().thread_set_mask();
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // What was sent while we ended must not end us a second time.
        for _ in 0..TAKEN.len() {
            if self.next().is_none() {
                break;
            }
        }
        let _ = self.former.thread_set_mask();
    }
}

extern "C" fn nothing(_signal: i32) {}

fn ignoring() -> SigAction {
    SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty())
}

fn default_action() -> SigAction {
    SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty())
}
