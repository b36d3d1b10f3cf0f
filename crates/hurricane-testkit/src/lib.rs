//! Drives the real binary over real sockets (development only).
//!
//! - [`Launch`] starts a binary on ports that the kernel chooses, reads them from its start
//!   line, and ends its whole process group when the test is over, however it ends.
//! - [`Client`] speaks raw bytes; [`probe`] asks exactly as a kubelet does.
//! - [`until`] waits for a condition, never for a time.
//!
//! Invariants:
//! - Nothing here waits longer than [`PATIENCE`].
//! - Only loopback addresses are used.

mod client;
mod launch;
mod probe;
mod refusal;
mod until;

pub use client::{Answer, Client};
pub use launch::{Ended, Launch, Running};
pub use probe::{ProbeAnswer, probe, probe_request};
pub use refusal::Refusal;
pub use until::{PATIENCE, until};
