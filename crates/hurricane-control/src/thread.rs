//! Threads of the control process, each with a name.

use std::thread;

use crate::error::ControlError;

/// Starts a thread that nobody waits for.
pub(crate) fn spawn(
    name: String,
    body: impl FnOnce() + Send + 'static,
) -> Result<(), ControlError> {
    match thread::Builder::new().name(name.clone()).spawn(body) {
        Ok(_) => Ok(()),
        Err(source) => Err(ControlError::Thread { name, source }),
    }
}
