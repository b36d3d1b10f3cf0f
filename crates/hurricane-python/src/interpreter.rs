//! Whether the interpreter answers: code that holds its lock in C stops every other thread, and
//! nothing that beats would notice.

use std::time::Duration;

use hurricane_scoreboard::{Monotonic, Slot};
use pyo3::prelude::*;

/// How long nothing may move before the interpreter lock is tried.
pub(crate) const PULSE: Duration = Duration::from_millis(500);

/// Takes the interpreter lock once, and publishes how long that takes.
pub(crate) fn try_once(slot: &Slot) {
    slot.set_interpreter_wait(Monotonic::now());
    Python::attach(|_| ());
    slot.set_interpreter_wait(Monotonic::NEVER);
}
