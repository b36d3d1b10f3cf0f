//! The shared mapping and where its parts lie.
#![expect(unsafe_code, reason = "an anonymous shared mapping is reached through its address")]

use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::Arc;

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::{CheckCell, CheckReading, ServerState, Slot, SlotReading};

/// Checks that a server can have; more cannot be registered.
pub const CHECKS_MAX: usize = 128;

/// Why the scoreboard cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot map {bytes} bytes of shared memory for the scoreboard")]
pub struct ScoreboardError {
    bytes: usize,
    source: nix::Error,
}

/// Handle to the shared mapping. Clones (and forked processes) see the same memory.
#[derive(Clone, Debug)]
pub struct Scoreboard(Arc<Mapping>);

/// Layout: one `ServerState`, then `slots` × `Slot`, then `CHECKS_MAX` × `CheckCell`.
#[derive(Debug)]
struct Mapping {
    base: NonNull<u8>,
    bytes: NonZeroUsize,
    slots: usize,
}

// SAFETY: the mapping is reached only as shared references to structures made of atomics, which
// are themselves Sync, and it lives as long as the last handle.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

const SLOTS_OFFSET: usize = size_of::<ServerState>();

impl Scoreboard {
    /// Maps a scoreboard for `slots` workers (at least one). Must be called before the first
    /// fork.
    ///
    /// # Errors
    /// When the kernel gives no memory.
    pub fn new(slots: usize) -> Result<Self, ScoreboardError> {
        let slots = slots.max(1);
        let bytes = Self::checks_offset(slots) + CHECKS_MAX * size_of::<CheckCell>();
        let len = NonZeroUsize::new(bytes).expect("a server state is not empty");
        // SAFETY: a new anonymous mapping without a fixed address touches no other memory.
        let base = unsafe {
            mmap_anonymous(
                None,
                len,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED,
            )
        }
        .map_err(|source| ScoreboardError { bytes, source })?;
        Ok(Self(Arc::new(Mapping { base: base.cast(), bytes: len, slots })))
    }

    fn checks_offset(slots: usize) -> usize {
        SLOTS_OFFSET + slots * size_of::<Slot>()
    }

    /// # Safety
    /// `offset` must be that of a `T` of the layout.
    unsafe fn at<T>(&self, offset: usize) -> &T {
        debug_assert!(offset + size_of::<T>() <= self.0.bytes.get());
        // SAFETY: in bounds and aligned by the caller's word (the mapping starts on a page, every
        // part is a multiple of its alignment of 128), all-zero bytes are valid atomics, and the
        // mapping lives as long as self.
        unsafe { self.0.base.byte_add(offset).cast::<T>().as_ref() }
    }

    /// The server's own state.
    pub fn server(&self) -> &ServerState {
        // SAFETY: the layout begins with it.
        unsafe { self.at(0) }
    }

    /// How many slots there are.
    pub fn slots(&self) -> usize {
        self.0.slots
    }

    /// The slot of worker `index`; `None` past the last.
    pub fn slot(&self, index: usize) -> Option<&Slot> {
        // SAFETY: index is below the number of slots.
        (index < self.0.slots).then(|| unsafe { self.at(SLOTS_OFFSET + index * size_of::<Slot>()) })
    }

    /// The cell of check `index`; `None` past the last.
    pub fn check(&self, index: usize) -> Option<&CheckCell> {
        let offset = Self::checks_offset(self.0.slots) + index * size_of::<CheckCell>();
        // SAFETY: index is below the number of cells.
        (index < CHECKS_MAX).then(|| unsafe { self.at(offset) })
    }

    /// Copies of the slots of the workers that there should be, in order.
    pub fn read_workers(&self) -> Vec<SlotReading> {
        (0..self.server().workers_target()).filter_map(|i| self.slot(i)).map(Slot::read).collect()
    }

    /// Copies of all checks in use, in order of registration.
    pub fn read_checks(&self) -> Vec<CheckReading> {
        (0..CHECKS_MAX).filter_map(|i| self.check(i)).map_while(CheckCell::read).collect()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: base and bytes are those of the mapping, and no handle is left.
        let unmapped = unsafe { munmap(self.base.cast(), self.bytes.get()) };
        debug_assert!(unmapped.is_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Monotonic, Phase, WorkerState};

    #[test]
    fn parts_do_not_overlap_and_ends_are_none() {
        let board = Scoreboard::new(3).unwrap();
        board.server().set_phase(Phase::Serving);
        board.server().set_workers_target(3);
        for index in 0..3 {
            board.slot(index).unwrap().begin(Monotonic::from_nanos(1));
        }
        board.slot(1).unwrap().set_state(WorkerState::Serving);
        let states: Vec<_> = board.read_workers().iter().map(|worker| worker.state).collect();
        assert_eq!(states, [WorkerState::Starting, WorkerState::Serving, WorkerState::Starting]);
        assert!(board.read_checks().is_empty());
        assert!(board.slot(3).is_none());
        assert!(board.check(CHECKS_MAX).is_none());
        assert_eq!(board.server().phase(), Phase::Serving);
    }

    #[test]
    fn a_forked_process_writes_what_we_read() {
        let board = Scoreboard::new(1).unwrap();
        // SAFETY: the child only stores to an atomic and ends.
        match unsafe { nix::unistd::fork() }.unwrap() {
            nix::unistd::ForkResult::Child => {
                board.slot(0).unwrap().answered(200);
                // SAFETY: ends the child without running the parent's destructors.
                unsafe { nix::libc::_exit(0) }
            }
            nix::unistd::ForkResult::Parent { child } => {
                nix::sys::wait::waitpid(child, None).unwrap();
            }
        }
        assert_eq!(board.slot(0).unwrap().read().requests, 1);
    }
}
