//! The terminal of a server that is developed: a debugger in a worker may have changed its modes,
//! and must not leave it so when the worker is ended.

use std::io;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::termios::{
    ControlFlags, InputFlags, LocalFlags, OutputFlags, SetArg, tcgetattr, tcsetattr,
};
use serde::{Deserialize, Serialize};

/// How the terminal was at first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terminal {
    input: u32,
    output: u32,
    control: u32,
    local: u32,
    characters: Vec<u8>,
}

impl Terminal {
    /// That of standard input, if it is one.
    pub(crate) fn of_this_process() -> Option<Self> {
        let found = tcgetattr(io::stdin()).ok()?;
        Some(Self {
            input: found.input_flags.bits(),
            output: found.output_flags.bits(),
            control: found.control_flags.bits(),
            local: found.local_flags.bits(),
            characters: found.control_chars.to_vec(),
        })
    }

    /// Whether it was closed: then nobody can end the server from there.
    pub(crate) fn is_gone(&self) -> bool {
        tcgetattr(io::stdin()).is_err()
    }

    /// Brings its modes back. From the background too: the kernel would stop us for it.
    pub(crate) fn restore(&self) {
        if Self::of_this_process().is_none_or(|now| now == *self) {
            return;
        }
        let Ok(mut modes) = tcgetattr(io::stdin()) else { return };
        modes.input_flags = InputFlags::from_bits_retain(self.input);
        modes.output_flags = OutputFlags::from_bits_retain(self.output);
        modes.control_flags = ControlFlags::from_bits_retain(self.control);
        modes.local_flags = LocalFlags::from_bits_retain(self.local);
        for (now, at_first) in modes.control_chars.iter_mut().zip(&self.characters) {
            *now = *at_first;
        }
        let stop: SigSet = [Signal::SIGTTOU].into_iter().collect();
        if stop.thread_block().is_ok() {
            let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &modes);
            let _ = stop.thread_unblock();
        }
    }
}
