//! The scheduling policy of threads that serve the application's threads.

use std::io;

/// Puts the calling thread under SCHED_BATCH: when it wakes up it does not preempt a thread that
/// runs on its CPU, so a loop takes its completions in batches while the application works.
///
/// Django hello, 64 connections on one CPU: 107 us of CPU per request without it, 77 with it.
pub fn stand_back() {
    if let Err(error) = set_batch_policy() {
        tracing::debug!(%error, "a thread keeps the normal scheduling policy");
    }
}

#[expect(unsafe_code, reason = "nix has no call for scheduling policies")]
fn set_batch_policy() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the pointer is to a live structure; 0 is the calling thread.
    let done = unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameters) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
