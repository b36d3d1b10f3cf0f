//! New code for a server that serves: the program is tried out beside it, then takes its place in
//! this process, and is handed what the old one had.
//!
//! The supervisor's part, when each happens, is in `supervisor::reloading`.

pub(crate) mod changes;
pub mod errand;
pub(crate) mod handover;
pub(crate) mod image;
pub(crate) mod program;
pub(crate) mod trial;
