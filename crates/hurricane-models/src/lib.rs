//! What processes and threads share, tried in every order of their steps, and of loads and stores,
//! that the memory model allows (loom): far more than threads on one machine ever show.
//!
//! The files are those of other crates, word for word: they name what they are made of as
//! `crate::sync`, which is the standard library's there and loom's here. So nothing of what is
//! shipped depends on a flag of the compiler, and no copy can fall behind.

// The files bring their own tests along, which are none of models.
#![cfg(not(test))]

#[path = "../../hurricane-python/src/pool.rs"]
#[expect(dead_code, reason = "some of it is only asked for in its own crate")]
mod pool;
pub mod pooling;
#[path = "../../hurricane-scoreboard/src/sequence.rs"]
mod sequence;
pub mod sequences;
mod sync;
