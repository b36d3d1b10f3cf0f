//! The parts of a request that are measured alone: by `times.rs` with a clock, by the program
//! `hurricane-benches` in instructions.

mod parts;
/// The pool that hands requests to threads, from its own file: its crate is an extension module,
/// which no program can link.
#[path = "../../crates/hurricane-python/src/pool.rs"]
#[expect(dead_code, reason = "what only the monitor calls is not measured")]
mod pool;
mod requests;
#[path = "../../crates/hurricane-python/src/sync.rs"]
mod sync;

pub use parts::{PARTS, Part};
pub use requests::{BROWSER, PLAIN};
