//! The server's own state, written by the supervisor.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::Monotonic;

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
}

impl Phase {
    fn from_raw(raw: u32) -> Self {
        match raw {
            1 => Self::Serving,
            2 => Self::Draining,
            3 => Self::Stopping,
            _ => Self::Starting,
        }
    }
}

/// Shared state of the whole server.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub struct ServerState {
    phase: AtomicU32,
    workers_target: AtomicU32,
    restarts: AtomicU64,
    crash_loop: AtomicU32,
    started_ns: AtomicU64,
    startup_ns: AtomicU64,
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

    /// Workers that were replaced since the start.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// Supervisor only.
    pub fn add_restart(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
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
}
