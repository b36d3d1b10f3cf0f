//! A sequence number that guards what is larger than an atomic (a seqlock of atomics).
//!
//! Invariants, which hurricane-models tries with every order of loads and stores that the memory
//! model allows:
//! - What a reader gets was written by one writer as a whole.
//! - A writer that dies inside blocks neither readers nor its successor.

use crate::sync::{AtomicU32, Ordering, fence, spin_loop};

/// A reader that meets a writer this often takes what is guarded as unreadable for now.
const READ_TRIES_MAX: usize = 64;

/// Guards what is larger than an atomic: odd while it is written (a seqlock of atomics).
#[derive(Debug, Default)]
#[repr(transparent)]
pub(crate) struct Sequence(AtomicU32);

impl Sequence {
    pub(crate) fn write(&self, store: impl FnOnce()) {
        let sequence = self.begin();
        store();
        self.0.store(sequence.wrapping_add(1), Ordering::Release);
    }

    /// What a writer that is killed half-way has done at least.
    pub(crate) fn begin(&self) -> u32 {
        // Such a writer leaves an odd number; its successor goes on from it.
        let sequence = self.0.load(Ordering::Relaxed) | 1;
        self.0.store(sequence, Ordering::Relaxed);
        fence(Ordering::Release);
        sequence
    }

    /// A whole copy; `None` when a writer was stopped or died inside.
    pub(crate) fn read<T>(&self, copy: impl Fn() -> T) -> Option<T> {
        for _ in 0..READ_TRIES_MAX {
            let before = self.0.load(Ordering::Acquire);
            if before % 2 == 1 {
                spin_loop();
                continue;
            }
            let copied = copy();
            fence(Ordering::Acquire);
            if self.0.load(Ordering::Relaxed) == before {
                return Some(copied);
            }
        }
        None
    }
}
