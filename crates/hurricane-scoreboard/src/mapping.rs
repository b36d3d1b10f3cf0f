//! The shared mapping and where its parts lie.
#![expect(unsafe_code, reason = "a shared mapping is reached through its address")]

use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::sys::stat::fstat;
use nix::unistd::ftruncate;

use crate::{
    CheckCell, CheckReading, CheckStatus, ControlState, Paths, REFUSALS_MAX, ServerState, Slot,
    SlotReading, TrafficReading,
};

/// Checks that a server can have; more cannot be registered.
pub const CHECKS_MAX: usize = 128;

/// Why the scoreboard cannot be made or adopted.
#[derive(Debug, thiserror::Error)]
pub enum ScoreboardError {
    /// The kernel gives no memory.
    #[error("cannot map {bytes} bytes of shared memory for the scoreboard")]
    Unmapped {
        /// So many were asked for.
        bytes: usize,
        /// The kernel's answer.
        source: nix::Error,
    },
    /// What was handed over was made by another version.
    #[error("the scoreboard has {found} bytes where {bytes} are expected")]
    Foreign {
        /// So many are there.
        found: u64,
        /// So many should be.
        bytes: usize,
    },
}

/// Handle to the shared mapping. Clones (and forked processes) see the same memory.
///
/// A worker has two slots, `worker` and `worker + workers()`, so that a successor can start beside
/// the worker that it replaces. One of the two is *current*: it is the one that is judged.
#[derive(Clone, Debug)]
pub struct Scoreboard(Arc<Mapping>);

/// Layout: one `ServerState`, then which slot of each worker is current, then two `Slot`s a worker,
/// then `CHECKS_MAX` × `CheckCell`, then one `ControlState`, then `Paths`.
#[derive(Debug)]
struct Mapping {
    base: NonNull<u8>,
    bytes: NonZeroUsize,
    workers: usize,
    /// Names the memory, so that it can be handed to a new image of the supervisor.
    memory: OwnedFd,
}

/// What a worker in a slot is to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is the one that serves, or nobody is there to serve.
    Current,
    /// It starts beside the one that it will replace.
    Successor,
    /// It has been told to end what it runs, while others serve on.
    Leaving,
}

impl Role {
    /// Lower-case name, as in `/status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Successor => "successor",
            Self::Leaving => "leaving",
        }
    }
}

// SAFETY: the mapping is reached only as shared references to structures made of atomics, which
// are themselves Sync, and it lives as long as the last handle.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

const CURRENT_OFFSET: usize = size_of::<ServerState>();

impl Scoreboard {
    /// Maps a scoreboard for up to `workers` workers (at least one). Must be called before the
    /// first fork.
    ///
    /// # Errors
    /// When the kernel gives no memory.
    pub fn new(workers: usize) -> Result<Self, ScoreboardError> {
        let workers = workers.max(1);
        let len = Self::len(workers);
        let unmapped = |source| ScoreboardError::Unmapped { bytes: len.get(), source };
        let memory =
            memfd_create(c"hurricane-scoreboard", MFdFlags::MFD_CLOEXEC).map_err(unmapped)?;
        ftruncate(&memory, i64::try_from(len.get()).unwrap_or(i64::MAX)).map_err(unmapped)?;
        Self::map(memory, workers)
    }

    /// Maps the scoreboard for up to `workers` workers that another image of this process has
    /// made, with what is written in it.
    ///
    /// # Errors
    /// When it is not of the size that this version gives it, or the kernel does not map it.
    pub fn adopt(memory: OwnedFd, workers: usize) -> Result<Self, ScoreboardError> {
        let bytes = Self::len(workers).get();
        let unmapped = |source| ScoreboardError::Unmapped { bytes, source };
        let found = u64::try_from(fstat(&memory).map_err(unmapped)?.st_size).unwrap_or(0);
        if found != bytes as u64 {
            return Err(ScoreboardError::Foreign { found, bytes });
        }
        Self::map(memory, workers)
    }

    fn map(memory: OwnedFd, workers: usize) -> Result<Self, ScoreboardError> {
        let bytes = Self::len(workers);
        // SAFETY: a new mapping without a fixed address touches no other memory; the file behind
        // it has its size, and nobody makes it smaller.
        let base = unsafe {
            mmap(
                None,
                bytes,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED,
                &memory,
                0,
            )
        }
        .map_err(|source| ScoreboardError::Unmapped { bytes: bytes.get(), source })?;
        Ok(Self(Arc::new(Mapping { base: base.cast(), bytes, workers, memory })))
    }

    /// What tells layouts apart: the size of each part. Versions that are released differ in
    /// their number.
    pub fn layout() -> [usize; 6] {
        let (server, control) = (size_of::<ServerState>(), size_of::<ControlState>());
        let paths = size_of::<Paths>();
        [server, size_of::<Slot>(), size_of::<CheckCell>(), CHECKS_MAX, control, paths]
    }

    /// The memory itself, closed on exec.
    pub fn memory(&self) -> BorrowedFd<'_> {
        self.0.memory.as_fd()
    }

    fn len(workers: usize) -> NonZeroUsize {
        let bytes = Self::paths_offset(workers) + size_of::<Paths>();
        NonZeroUsize::new(bytes).expect("a server state is not empty")
    }

    fn slots_offset(workers: usize) -> usize {
        (CURRENT_OFFSET + workers * size_of::<AtomicU32>()).next_multiple_of(align_of::<Slot>())
    }

    fn checks_offset(workers: usize) -> usize {
        Self::slots_offset(workers) + 2 * workers * size_of::<Slot>()
    }

    fn control_offset(workers: usize) -> usize {
        Self::checks_offset(workers) + CHECKS_MAX * size_of::<CheckCell>()
    }

    fn paths_offset(workers: usize) -> usize {
        let end = Self::control_offset(workers) + size_of::<ControlState>();
        end.next_multiple_of(align_of::<Paths>())
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

    /// How many workers there may be.
    pub fn workers(&self) -> usize {
        self.0.workers
    }

    /// How many slots there are: two a worker.
    pub fn slots(&self) -> usize {
        2 * self.0.workers
    }

    /// Slot `index`; `None` past the last.
    pub fn slot(&self, index: usize) -> Option<&Slot> {
        let offset = Self::slots_offset(self.0.workers) + index * size_of::<Slot>();
        // SAFETY: index is below the number of slots.
        (index < self.slots()).then(|| unsafe { self.at(offset) })
    }

    /// Whose slot `index` is.
    pub fn worker_of(&self, index: usize) -> usize {
        index % self.0.workers
    }

    /// The slot in which `worker` (below [`Self::workers`]) serves, or would.
    pub fn current(&self, worker: usize) -> usize {
        let second = self.which(worker).is_some_and(|which| which.load(Ordering::Acquire) != 0);
        worker + usize::from(second) * self.0.workers
    }

    /// The other slot of `worker`: of its successor, or of the one that it has replaced.
    pub fn other(&self, worker: usize) -> usize {
        let current = self.current(worker);
        if current == worker { worker + self.0.workers } else { worker }
    }

    /// Makes slot `index` the one that counts for its worker. Supervisor only.
    pub fn set_current(&self, index: usize) {
        if let Some(which) = self.which(self.worker_of(index)) {
            which.store(u32::from(index >= self.0.workers), Ordering::Release);
        }
    }

    fn which(&self, worker: usize) -> Option<&AtomicU32> {
        let offset = CURRENT_OFFSET + worker * size_of::<AtomicU32>();
        // SAFETY: worker is below the number of workers.
        (worker < self.0.workers).then(|| unsafe { self.at(offset) })
    }

    /// The cell of check `index`; `None` past the last.
    pub fn check(&self, index: usize) -> Option<&CheckCell> {
        let offset = Self::checks_offset(self.0.workers) + index * size_of::<CheckCell>();
        // SAFETY: index is below the number of cells.
        (index < CHECKS_MAX).then(|| unsafe { self.at(offset) })
    }

    /// What the control process has told and read.
    pub fn control(&self) -> &ControlState {
        // SAFETY: it lies there.
        unsafe { self.at(Self::control_offset(self.0.workers)) }
    }

    /// The paths that requests are counted by.
    pub fn paths(&self) -> &Paths {
        // SAFETY: the layout ends with it.
        unsafe { self.at(Self::paths_offset(self.0.workers)) }
    }

    /// Copies of the current slots of the workers that there should be, in order: what verdicts
    /// are about.
    pub fn read_workers(&self) -> Vec<SlotReading> {
        let workers = self.server().workers_target().min(self.0.workers);
        (0..workers).filter_map(|i| self.slot(self.current(i))).map(Slot::read).collect()
    }

    /// Copies of all slots that have ever had a worker, with their index: what sums are over, so
    /// that they never fall.
    pub fn read_all(&self) -> impl Iterator<Item = (usize, SlotReading)> {
        (0..self.slots())
            .filter_map(|index| Some((index, self.slot(index)?.read())))
            .filter(|(_, slot)| slot.generation > 0)
    }

    /// What all workers have answered so far.
    pub fn read_traffic(&self) -> TrafficReading {
        let mut sums = TrafficReading::default();
        (0..self.slots()).filter_map(|i| self.slot(i)).for_each(|slot| slot.add_traffic(&mut sums));
        sums
    }

    /// What all workers have refused so far, by cause.
    pub fn read_refusals(&self) -> [u64; REFUSALS_MAX] {
        let mut sums = [0; REFUSALS_MAX];
        let slots = (0..self.slots()).filter_map(|i| self.slot(i));
        slots.for_each(|slot| slot.add_refusals(&mut sums));
        sums
    }

    /// Connections of all workers.
    pub fn connections(&self) -> usize {
        let slots = (0..self.slots()).filter_map(|i| self.slot(i));
        slots.map(|slot| slot.connections() as usize).sum()
    }

    /// How many answers of all workers were timed so far, and the time of all together.
    pub fn timed(&self) -> (u64, Duration) {
        let slots = (0..self.slots()).filter_map(|i| self.slot(i));
        slots.map(Slot::timed).fold((0, Duration::ZERO), |(answers, time), (more, took)| {
            (answers + more, time.saturating_add(took))
        })
    }

    /// What the worker in slot `index` is to the server.
    pub fn role(&self, index: usize, reading: &SlotReading) -> Role {
        if reading.leaving {
            Role::Leaving
        } else if self.current(self.worker_of(index)) == index {
            Role::Current
        } else {
            Role::Successor
        }
    }

    /// Copies of all checks in use, in order of registration.
    pub fn read_checks(&self) -> Vec<CheckReading> {
        (0..CHECKS_MAX).filter_map(|i| self.check(i)).map_while(CheckCell::read).collect()
    }

    /// Whether it is known which checks there are, and each of them has ended once or has not ended
    /// in time.
    pub fn have_checks_ended(&self) -> bool {
        let is_pending = |check: &CheckReading| check.status == CheckStatus::Pending;
        self.control().has_checks() && !self.read_checks().iter().any(is_pending)
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
        assert!(board.slot(6).is_none());
        assert!(board.check(CHECKS_MAX).is_none());
        assert_eq!(board.server().phase(), Phase::Serving);
    }

    #[test]
    fn a_successor_takes_over_in_the_other_slot() {
        let board = Scoreboard::new(2).unwrap();
        board.server().set_workers_target(2);
        for slot in [0, 1, 3] {
            board.slot(slot).unwrap().begin(Monotonic::from_nanos(1));
        }
        let role = |slot: usize| board.role(slot, &board.slot(slot).unwrap().read());
        assert_eq!((board.worker_of(3), board.current(1), board.other(1)), (1, 1, 3));
        assert_eq!((role(1), role(3)), (Role::Current, Role::Successor));
        board.slot(1).unwrap().set_pid(10);
        board.slot(3).unwrap().set_pid(30);
        board.set_current(3);
        board.slot(1).unwrap().retire();
        assert_eq!((role(1), role(3)), (Role::Leaving, Role::Current));
        assert_eq!((board.current(1), board.other(1), board.current(0)), (3, 1, 0));
        assert_eq!(board.read_workers()[1].pid, 30);
        let all: Vec<_> = board.read_all().map(|(slot, _)| slot).collect();
        assert_eq!(all, [0, 1, 3]);
        board.set_current(1);
        assert_eq!(board.read_workers()[1].pid, 10);
    }

    #[test]
    fn who_adopts_the_memory_sees_what_is_written_and_a_foreign_one_is_refused() {
        let board = Scoreboard::new(2).unwrap();
        board.slot(3).unwrap().answered(200);
        let handed = || board.memory().try_clone_to_owned().unwrap();
        let adopted = Scoreboard::adopt(handed(), 2).unwrap();
        board.slot(3).unwrap().answered(200);
        drop(board.clone());
        assert_eq!(adopted.slot(3).unwrap().read().requests, 2);
        let refused = Scoreboard::adopt(handed(), 3);
        assert!(matches!(refused, Err(ScoreboardError::Foreign { .. })), "{refused:?}");
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
