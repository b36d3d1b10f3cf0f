//! What [`crate::sequence`] is made of: of the standard library here, of loom in hurricane-models.

pub(crate) use std::hint::spin_loop;
pub(crate) use std::sync::atomic::{AtomicU32, Ordering, fence};
