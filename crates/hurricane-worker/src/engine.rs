//! Ring or epoll: what this host lets us have, found out at start, by each worker for itself.
//!
//! A ring is taken only after one real no-op went through it: a seccomp profile may allow
//! io_uring_setup and refuse io_uring_enter, and monoio would then spin. Flags are dropped one by
//! one for old kernels; a lack of lockable memory, which the kernel gives back with a delay
//! (14 ms were measured), is retried.

use std::fmt;
use std::future::Future;
use std::io;
use std::str::FromStr;
use std::time::{Duration, Instant};

use hurricane_scoreboard::Engine;
use io_uring::{IoUring, opcode};
use monoio::time::TimeDriver;
use monoio::{IoUringDriver, LegacyDriver, Runtime, RuntimeBuilder};

use crate::disk::Disk;

/// Which engine the user wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IoChoice {
    /// The ring where it can be had, else epoll.
    #[default]
    Auto,
    /// The ring, or no start.
    IoUring,
    /// Epoll.
    Epoll,
}

impl FromStr for IoChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "io-uring" => Ok(Self::IoUring),
            "epoll" => Ok(Self::Epoll),
            _ => Err("allowed are auto, io-uring and epoll".to_owned()),
        }
    }
}

impl fmt::Display for IoChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::IoUring => "io-uring",
            Self::Epoll => "epoll",
        })
    }
}

/// Why this host gives us no ring.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct RingError {
    call: &'static str,
    source: io::Error,
}

impl RingError {
    fn sentence(&self) -> String {
        let call = self.call;
        match self.source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => format!(
                "{call} is not permitted (EPERM) by the container's seccomp profile or the \
                 sysctl kernel.io_uring_disabled; allow io_uring_setup, io_uring_enter and \
                 io_uring_register, or use --io epoll"
            ),
            Some(libc::ENOSYS) => format!(
                "{call} does not exist here (ENOSYS): the container's seccomp profile hides it \
                 or the kernel is older than 5.6; allow io_uring_setup, io_uring_enter and \
                 io_uring_register, or use --io epoll"
            ),
            Some(libc::ENOMEM) => format!(
                "{call} found no lockable memory (ENOMEM): RLIMIT_MEMLOCK is used up by the \
                 rings of this user on this node; raise it, or use --io epoll"
            ),
            _ => format!("{call} failed ({}); use --io epoll", self.source),
        }
    }
}

/// SQ entries of a worker's ring: 52 KiB of locked memory. All operations of a turn are to fit, 62
/// for 64 busy connections: submitted by 32 or by 8 they took 4 or 5 % more CPU a request.
const ENTRIES: u32 = 512;
/// The smallest ring that monoio makes.
const ENTRIES_MIN: u32 = 256;
/// SQ entries of the ring that is only tried out.
const ENTRIES_TRIAL: u32 = 8;
/// How long a lack of lockable memory is waited for.
const MEMORY_PATIENCE: Duration = Duration::from_millis(100);

/// From the fastest set of flags to the one that every kernel knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RingFlags {
    /// SINGLE_ISSUER | DEFER_TASKRUN, Linux 6.1.
    Deferred,
    /// COOP_TASKRUN, Linux 5.19.
    Cooperative,
    /// None.
    Plain,
}

const LADDER: [RingFlags; 3] = [RingFlags::Deferred, RingFlags::Cooperative, RingFlags::Plain];

impl RingFlags {
    fn builder(self) -> io_uring::Builder {
        let mut builder = IoUring::builder();
        match self {
            Self::Deferred => builder.setup_single_issuer().setup_defer_taskrun(),
            Self::Cooperative => builder.setup_coop_taskrun(),
            Self::Plain => &mut builder,
        };
        builder
    }
}

/// Proves that this host gives us a working ring, with one no-op through a small one.
///
/// # Errors
/// Says why not, and what to do about it, in one sentence.
pub fn prove_ring() -> Result<(), RingError> {
    find_flags().map(drop)
}

fn find_flags() -> Result<RingFlags, RingError> {
    let mut last = None;
    for flags in LADDER {
        match try_ring(flags) {
            Ok(()) => return Ok(flags),
            Err(error) if error.source.raw_os_error() == Some(libc::EINVAL) => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.expect("the ladder has a rung"))
}

fn try_ring(flags: RingFlags) -> Result<(), RingError> {
    let mut ring = patiently(|| flags.builder().build(ENTRIES_TRIAL))
        .map_err(|source| RingError { call: "io_uring_setup", source })?;
    push_nop(&mut ring);
    ring.submit_and_wait(1).map_err(|source| RingError { call: "io_uring_enter", source })?;
    match ring.completion().next() {
        Some(completion) if completion.result() == 0 => Ok(()),
        _ => {
            let source = io::Error::from_raw_os_error(libc::ENOSYS);
            Err(RingError { call: "io_uring_enter", source })
        }
    }
}

#[expect(unsafe_code, reason = "the submission queue takes raw entries")]
fn push_nop(ring: &mut IoUring) {
    // SAFETY: a no-op refers to no memory.
    let pushed = unsafe { ring.submission().push(&opcode::Nop::new().build()) };
    debug_assert!(pushed.is_ok(), "a new ring has room");
}

fn patiently<T>(mut make: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let end = Instant::now() + MEMORY_PATIENCE;
    loop {
        match make() {
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) && Instant::now() < end => {
                pause();
            }
            result => return result,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "no loop runs yet on this thread")]
fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}

/// A runtime of either engine.
pub(crate) enum Loop {
    Ring(Runtime<TimeDriver<IoUringDriver>>),
    Epoll(Runtime<TimeDriver<LegacyDriver>>),
}

/// A runtime, and why it is of this engine.
pub(crate) struct Started {
    pub(crate) runtime: Loop,
    pub(crate) engine: Engine,
    /// Why the ring was not taken, when `auto` could not have it.
    pub(crate) refused: Option<RingError>,
}

/// Why there is no loop at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoopError {
    #[error(transparent)]
    Ring(#[from] RingError),
    #[error("cannot make an epoll instance")]
    Epoll(#[source] io::Error),
}

/// Makes the loop of the calling thread; it must run on this thread (SINGLE_ISSUER).
pub(crate) fn start(choice: IoChoice) -> Result<Started, LoopError> {
    let refused = match choice {
        IoChoice::Epoll => None,
        IoChoice::Auto | IoChoice::IoUring => match start_ring() {
            Ok(runtime) => {
                let runtime = Loop::Ring(runtime);
                return Ok(Started { runtime, engine: Engine::IoUring, refused: None });
            }
            Err(error) if choice == IoChoice::IoUring => return Err(error.into()),
            Err(error) => Some(error),
        },
    };
    let runtime = RuntimeBuilder::<LegacyDriver>::new()
        .enable_timer()
        .attach_thread_pool(Box::<Disk>::default())
        .build()
        .map_err(LoopError::Epoll)?;
    Ok(Started { runtime: Loop::Epoll(runtime), engine: Engine::Epoll, refused })
}

fn start_ring() -> Result<Runtime<TimeDriver<IoUringDriver>>, RingError> {
    let flags = find_flags()?;
    let build = |entries| {
        patiently(|| {
            RuntimeBuilder::<IoUringDriver>::new()
                .with_entries(entries)
                .uring_builder(flags.builder())
                .enable_timer()
                .attach_thread_pool(Box::<Disk>::default())
                .build()
        })
    };
    build(ENTRIES)
        .or_else(|_| build(ENTRIES_MIN))
        .map_err(|source| RingError { call: "io_uring_setup", source })
}

impl Loop {
    pub(crate) fn block_on<F: Future>(&mut self, future: F) -> F::Output {
        match self {
            Self::Ring(runtime) => runtime.block_on(future),
            Self::Epoll(runtime) => runtime.block_on(future),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_read_as_it_is_written() {
        for choice in [IoChoice::Auto, IoChoice::IoUring, IoChoice::Epoll] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert!("uring".parse::<IoChoice>().is_err());
    }

    #[test]
    fn every_refusal_names_the_remedy() {
        for errno in [libc::EPERM, libc::ENOSYS, libc::ENOMEM, libc::EIO] {
            let source = io::Error::from_raw_os_error(errno);
            let sentence = RingError { call: "io_uring_setup", source }.to_string();
            assert!(sentence.contains("--io epoll"), "{sentence}");
        }
    }

    #[test]
    fn epoll_can_always_be_had() {
        let mut started = start(IoChoice::Epoll).unwrap();
        assert_eq!(started.engine, Engine::Epoll);
        assert_eq!(started.runtime.block_on(async { 7 }), 7);
    }
}
