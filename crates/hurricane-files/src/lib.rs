//! Files by URL: which file a path means, what a request asks of it, and the bytes that answer.
//!
//! What a request says is judged without I/O (`path`, `condition`, `range`, `coding`,
//! `freshness`). Files are opened in `search`, which never waits for a disk unless it is told that
//! it may, so that a loop can look first and leave the waiting to a thread.
//!
//! Invariants:
//! - Nothing outside a root is opened, by whatever path, link or race: the kernel resolves each
//!   name beneath the root (openat2), or the opened file is asked where it is.
//! - Nothing but regular files is answered with.
//! - Content is never mapped: a file that shrinks while it is sent is a short read, not a signal.
//! - What is kept in memory is bounded, and forgotten when nobody asks for it.

#![forbid(unsafe_code)]

mod answer;
mod asset;
mod coding;
mod condition;
mod files;
mod freshness;
mod handed;
mod media_type;
mod mount;
mod opened;
mod path;
mod range;
mod root;
mod search;

pub use answer::{Answer, Content};
pub use asset::Asset;
pub use coding::{Coding, Codings};
pub use condition::{Entity, Verdict, judge};
pub use files::{Files, Found, Settled};
pub use freshness::{Freshness, is_hashed_name};
pub use handed::{Handed, HandingError, Named, hand_out};
pub use mount::{Audience, Mount, MountError, Root};
pub use opened::Opened;
pub use path::{PathError, Relative};
pub use range::{ByteRange, Ranged, ranged};
pub use search::{Findings, Outcome, Refused, Search, WouldWait};
