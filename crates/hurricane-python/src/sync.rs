//! What [`crate::pool`] is made of: of the standard library here, of loom in hurricane-models.

pub(crate) use std::sync::{Mutex, MutexGuard};
pub(crate) use std::thread::{Thread, current, park, park_timeout};

pub(crate) use hurricane_scoreboard::Monotonic;
