//! The server's own state, written by the supervisor.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::{Monotonic, TextCell};

/// Room for what a start waits for, with the words of a database's error.
const AWAITED_BYTES_MAX: usize = 512;
/// Room for where the number of workers comes from, with the name of a cgroup.
const REASON_BYTES_MAX: usize = 512;
/// Room for the name of an interface.
const INTERFACE_BYTES_MAX: usize = 16;
/// Room for a traceback; Kubernetes and webhooks want no more.
const FAILURE_BYTES_MAX: usize = 8 * 1024;

/// Where the server is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Phase {
    /// The application is loaded, workers start; `/startup` fails.
    Starting = 0,
    /// Every worker has had its first heartbeat.
    Serving = 1,
    /// Told to stop, still accepting (`--drain-delay`).
    Draining = 2,
    /// No longer accepting; requests in flight end.
    Stopping = 3,
    /// Sockets are bound; management commands and migrations run before the application is
    /// loaded. No check runs yet.
    Preparing = 4,
    /// The start has failed, [`ServerState::failure`] says why; the server ends.
    Failed = 5,
}

impl Phase {
    fn from_raw(raw: u32) -> Self {
        match raw {
            1 => Self::Serving,
            2 => Self::Draining,
            3 => Self::Stopping,
            4 => Self::Preparing,
            5 => Self::Failed,
            _ => Self::Starting,
        }
    }
}

/// Why a worker was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Replaced {
    /// It ended by itself or was killed from outside.
    Died = 0,
    /// Its loop was silent.
    Stalled = 1,
    /// Its threads made no progress.
    Stuck = 2,
    /// It had answered as many requests as it was to.
    Requests = 3,
    /// It had lived as long as it was to.
    Lifetime = 4,
    /// It had as much memory as it was to have.
    Memory = 5,
    /// New code was loaded.
    Reload = 6,
    /// It is to run on another CPU.
    Pin = 7,
}

impl Replaced {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::Died,
        Self::Stalled,
        Self::Stuck,
        Self::Requests,
        Self::Lifetime,
        Self::Memory,
        Self::Reload,
        Self::Pin,
    ];

    /// Lower-case name, as in `/status` and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Died => "died",
            Self::Stalled => "stalled",
            Self::Stuck => "stuck",
            Self::Requests => "requests",
            Self::Lifetime => "lifetime",
            Self::Memory => "memory",
            Self::Reload => "reload",
            Self::Pin => "pin",
        }
    }
}

/// Shared state of the whole server.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct ServerState {
    phase: AtomicU32,
    workers_target: AtomicU32,
    crash_loop: AtomicU32,
    replaced: [AtomicU64; Replaced::ALL.len()],
    worker_memory_max: AtomicU64,
    reloads: AtomicU64,
    reloads_failed: AtomicU64,
    started_ns: AtomicU64,
    startup_ns: AtomicU64,
    workers_reason: TextCell<REASON_BYTES_MAX>,
    awaited: TextCell<AWAITED_BYTES_MAX>,
    failure: TextCell<FAILURE_BYTES_MAX>,
    failure_is_warning: AtomicU32,
    requests_cut: AtomicU64,
    interface: TextCell<INTERFACE_BYTES_MAX>,
    interface_reason: TextCell<REASON_BYTES_MAX>,
}

impl ServerState {
    /// Where the server is in its life.
    pub fn phase(&self) -> Phase {
        Phase::from_raw(self.phase.load(Ordering::Acquire))
    }

    /// Supervisor only.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u32, Ordering::Release);
    }

    /// How many workers there should be; their slots are the first ones.
    pub fn workers_target(&self) -> usize {
        self.workers_target.load(Ordering::Relaxed) as usize
    }

    /// Supervisor only.
    pub fn set_workers_target(&self, workers: usize) {
        self.workers_target.store(u32::try_from(workers).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// Where that number comes from. Set by the supervisor.
    pub fn workers_reason(&self) -> &TextCell<REASON_BYTES_MAX> {
        &self.workers_reason
    }

    /// Workers that were replaced because they could not go on, since the start.
    pub fn restarts(&self) -> u64 {
        [Replaced::Died, Replaced::Stalled, Replaced::Stuck]
            .into_iter()
            .map(|reason| self.replaced(reason))
            .sum()
    }

    /// Workers that were replaced for this reason since the start.
    pub fn replaced(&self, reason: Replaced) -> u64 {
        self.replaced[reason as usize].load(Ordering::Relaxed)
    }

    /// Supervisor only.
    pub fn add_replaced(&self, reason: Replaced) {
        self.replaced[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often every worker was replaced by one with freshly loaded code.
    pub fn reloads(&self) -> u64 {
        self.reloads.load(Ordering::Relaxed)
    }

    /// Supervisor only.
    pub fn add_reload(&self) {
        self.reloads.fetch_add(1, Ordering::Relaxed);
    }

    /// How often new code was to be loaded and could not be.
    pub fn reloads_failed(&self) -> u64 {
        self.reloads_failed.load(Ordering::Relaxed)
    }

    /// Supervisor only.
    pub fn add_failed_reload(&self) {
        self.reloads_failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Memory of a worker in bytes above which it is replaced; 0: it is not.
    pub fn worker_memory_max(&self) -> u64 {
        self.worker_memory_max.load(Ordering::Relaxed)
    }

    /// Supervisor only.
    pub fn set_worker_memory_max(&self, bytes: u64) {
        self.worker_memory_max.store(bytes, Ordering::Relaxed);
    }

    /// Whether workers die faster than the supervisor may replace them: fails liveness.
    pub fn crash_loop(&self) -> bool {
        self.crash_loop.load(Ordering::Relaxed) != 0
    }

    /// Supervisor only.
    pub fn set_crash_loop(&self, crash_loop: bool) {
        self.crash_loop.store(u32::from(crash_loop), Ordering::Relaxed);
    }

    /// When the supervisor began to start.
    pub fn started(&self) -> Monotonic {
        Monotonic::from_nanos(self.started_ns.load(Ordering::Relaxed))
    }

    /// Supervisor only.
    pub fn set_started(&self, moment: Monotonic) {
        self.started_ns.store(moment.as_nanos(), Ordering::Relaxed);
    }

    /// When every worker had its first heartbeat; never while starting.
    pub fn startup_finished(&self) -> Monotonic {
        Monotonic::from_nanos(self.startup_ns.load(Ordering::Relaxed))
    }

    /// Supervisor only.
    pub fn set_startup_finished(&self, moment: Monotonic) {
        self.startup_ns.store(moment.as_nanos(), Ordering::Relaxed);
    }

    /// What the start waits for, as `/startup` says it; empty when nothing but workers. Set by
    /// the preparation process, and by the supervisor before and after it.
    pub fn awaited(&self) -> &TextCell<AWAITED_BYTES_MAX> {
        &self.awaited
    }

    /// Why the start has failed: a traceback or a sentence; empty while it has not. Set by the
    /// preparation process, or else by the supervisor, before the phase says that it failed.
    pub fn failure(&self) -> &TextCell<FAILURE_BYTES_MAX> {
        &self.failure
    }

    /// Says how that is told; with the text.
    pub fn set_failure_is_warning(&self, is_warning: bool) {
        self.failure_is_warning.store(is_warning.into(), Ordering::Relaxed);
    }

    /// Whether that is told as a warning.
    pub fn failure_is_warning(&self) -> bool {
        self.failure_is_warning.load(Ordering::Relaxed) != 0
    }

    /// How the application is entered; empty where there is one way only, and while nothing is
    /// loaded. Set by the supervisor.
    pub fn interface(&self) -> &TextCell<INTERFACE_BYTES_MAX> {
        &self.interface
    }

    /// Why so. Set by the supervisor.
    pub fn interface_reason(&self) -> &TextCell<REASON_BYTES_MAX> {
        &self.interface_reason
    }

    /// Requests that the end of the grace period has cut off.
    pub fn requests_cut(&self) -> u64 {
        self.requests_cut.load(Ordering::Relaxed)
    }

    /// Supervisor only.
    pub fn set_requests_cut(&self, requests: u64) {
        self.requests_cut.store(requests, Ordering::Relaxed);
    }
}
