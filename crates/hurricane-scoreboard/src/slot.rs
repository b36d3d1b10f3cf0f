//! One worker's slot.

mod alone;

use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

pub use self::alone::Alone;

use crate::consumption::{Consumption, ConsumptionReading};
use crate::traffic::{Answer, Traffic, TrafficReading};
use crate::{Hindrance, Monotonic, RunningRequests};

/// What a worker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum WorkerState {
    /// No worker owns the slot.
    Vacant = 0,
    /// Started, no heartbeat yet.
    Starting = 1,
    /// Accepting and answering.
    Serving = 2,
    /// Still accepting, closing connections with their answers.
    Draining = 3,
    /// No longer accepting; ending what runs.
    Stopping = 4,
}

impl WorkerState {
    fn from_raw(raw: u32) -> Self {
        match raw {
            1 => Self::Starting,
            2 => Self::Serving,
            3 => Self::Draining,
            4 => Self::Stopping,
            _ => Self::Vacant,
        }
    }

    /// Lower-case name, as in `/status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vacant => "vacant",
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
        }
    }
}

/// Causes that refusals can be told apart by.
pub const REFUSALS_MAX: usize = 64;

/// How a worker talks to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Engine {
    /// Not chosen yet.
    Unknown = 0,
    /// A ring of its own.
    IoUring = 1,
    /// Readiness notification.
    Epoll = 2,
}

impl Engine {
    fn from_raw(raw: u32) -> Self {
        match raw {
            1 => Self::IoUring,
            2 => Self::Epoll,
            _ => Self::Unknown,
        }
    }

    /// `io-uring`, `epoll` or `unknown`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::IoUring => "io-uring",
            Self::Epoll => "epoll",
        }
    }
}

/// A worker's line of the scoreboard: written by the worker, read by everyone.
///
/// The first cache line is written by the loop and the application threads with every request.
#[derive(Debug, Default)]
#[repr(C, align(128))]
pub struct Slot {
    heartbeat_ns: AtomicU64,
    queued: AtomicU32,
    running: AtomicU32,
    connections: AtomicU32,
    /// Application threads; 0: the application bounds itself.
    capacity: AtomicU32,
    /// When a request was last begun. The end of one leaves a thread that is not busy.
    progress_ns: AtomicU64,
    /// Begin of the request that has run longest; 0 when none runs. Refreshed with each beat.
    oldest_ns: AtomicU64,
    /// Since when a thread has been waiting for the interpreter; 0 when none waits.
    interpreter_wait_ns: AtomicU64,
    requests: AtomicU64,
    responses: [AtomicU64; 5],
    refused: AtomicU64,
    shed: AtomicU64,
    unlogged: AtomicU64,

    state: AtomicU32,
    engine: AtomicU32,
    pid: AtomicI32,
    /// CPU that the loop is pinned to, plus one; 0: not pinned.
    pin: AtomicU32,
    generation: AtomicU32,
    started_ns: AtomicU64,
    /// Sum of earlier workers.
    requests_before: AtomicU64,
    /// Written by the supervisor, as are `leaving` and `hindrance`.
    memory_bytes: AtomicU64,
    leaving: AtomicU32,
    hindrance: AtomicU32,

    /// Outlives the worker, until [`Self::begin`].
    running_requests: RunningRequests,

    traffic: Traffic,
    consumption: Consumption,
    /// Never reset, as the traffic.
    refusals: Refusals,
}

#[derive(Debug)]
struct Refusals([AtomicU64; REFUSALS_MAX]);

impl Default for Refusals {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::default()))
    }
}

impl Slot {
    /// Readies the slot for a new worker. Called by the supervisor before it starts one. The
    /// sums of earlier workers (requests, responses, refused, shed, unlogged) go on.
    pub fn begin(&self, now: Monotonic) {
        self.requests_before.store(self.requests.load(Ordering::Relaxed), Ordering::Relaxed);
        self.memory_bytes.store(0, Ordering::Relaxed);
        self.leaving.store(0, Ordering::Relaxed);
        self.set_hindrance(None);
        for counter in [&self.queued, &self.running, &self.connections, &self.capacity, &self.pin] {
            counter.store(0, Ordering::Relaxed);
        }
        for moment in
            [&self.heartbeat_ns, &self.progress_ns, &self.oldest_ns, &self.interpreter_wait_ns]
        {
            moment.store(0, Ordering::Relaxed);
        }
        self.running_requests.clear();
        self.consumption.begin();
        self.engine.store(Engine::Unknown as u32, Ordering::Relaxed);
        self.pid.store(0, Ordering::Relaxed);
        self.generation.fetch_add(1, Ordering::Relaxed);
        self.started_ns.store(now.as_nanos(), Ordering::Relaxed);
        self.set_state(WorkerState::Starting);
    }

    /// Leaves the slot without a worker. Called by the supervisor after one has ended.
    pub fn vacate(&self) {
        self.set_state(WorkerState::Vacant);
        for counter in [&self.queued, &self.running, &self.connections] {
            counter.store(0, Ordering::Relaxed);
        }
        self.interpreter_wait_ns.store(0, Ordering::Relaxed);
        self.oldest_ns.store(0, Ordering::Relaxed);
    }

    /// The worker has been told to end while others serve on. Supervisor only.
    pub fn retire(&self) {
        self.leaving.store(1, Ordering::Relaxed);
    }

    /// Memory of the worker's process in bytes, pages that it shares counted in part. Supervisor
    /// only.
    pub fn set_memory(&self, bytes: u64) {
        self.memory_bytes.store(bytes, Ordering::Relaxed);
    }

    /// The loop is alive at `now`.
    pub fn beat(&self, now: Monotonic) {
        self.heartbeat_ns.store(now.as_nanos(), Ordering::Release);
    }

    /// Sets what the worker is doing.
    pub fn set_state(&self, state: WorkerState) {
        self.state.store(state as u32, Ordering::Release);
    }

    /// Sets the process (or thread) that runs the worker.
    pub fn set_pid(&self, pid: i32) {
        self.pid.store(pid, Ordering::Relaxed);
    }

    /// Sets the engine.
    pub fn set_engine(&self, engine: Engine) {
        self.engine.store(engine as u32, Ordering::Relaxed);
    }

    /// Sets the CPU that the loop is pinned to.
    pub fn set_pin(&self, cpu: Option<usize>) {
        let raw = cpu.and_then(|cpu| u32::try_from(cpu + 1).ok()).unwrap_or(0);
        self.pin.store(raw, Ordering::Relaxed);
    }

    /// Sets the number of application threads; 0 when the application bounds itself.
    pub fn set_capacity(&self, threads: usize) {
        self.capacity.store(u32::try_from(threads).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// A connection was accepted.
    pub fn connection_opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection was closed.
    pub fn connection_closed(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// A request waits for an application thread.
    pub fn request_queued(&self) {
        self.queued.fetch_add(1, Ordering::Relaxed);
    }

    /// A waiting request left the queue, to run or because its peer is gone.
    pub fn request_dequeued(&self) {
        self.queued.fetch_sub(1, Ordering::Relaxed);
    }

    /// A request began to run.
    pub fn request_began(&self, now: Monotonic) {
        self.running.fetch_add(1, Ordering::Relaxed);
        self.progress_ns.store(now.as_nanos(), Ordering::Relaxed);
    }

    /// A request ended.
    pub fn request_ended(&self) {
        self.running.fetch_sub(1, Ordering::Relaxed);
    }

    /// A request was answered by the application: to be called once, before the last bytes of the
    /// answer are written, so that whoever has it finds it counted.
    pub fn count(&self, answer: &Answer) {
        self.count_with(answer, add_shared);
    }

    /// A request was answered with `status` without the application (a file, a full queue): the
    /// same for answers that are counted and not measured.
    pub fn answered(&self, status: u16) {
        self.answered_with(status, add_shared);
    }

    fn count_with(&self, answer: &Answer, add: impl Fn(&AtomicU64, u64)) {
        self.answered_with(answer.status, &add);
        self.traffic.count(answer, add);
    }

    fn answered_with(&self, status: u16, add: impl Fn(&AtomicU64, u64)) {
        add(&self.requests, 1);
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        add(&self.responses[class], 1);
    }

    /// A request was refused before the application saw it (malformed, too large, too slow), for the
    /// cause of this index.
    pub fn refused(&self, cause: usize) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.cut(cause);
    }

    /// A request or connection was answered 503 because a queue, a number or a memory was full.
    pub fn shed(&self, cause: usize) {
        self.shed.fetch_add(1, Ordering::Relaxed);
        self.cut(cause);
    }

    /// An answer was cut, for the cause of this index.
    pub fn cut(&self, cause: usize) {
        if let Some(counter) = self.refusals.0.get(cause) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds what this slot's workers have refused, by cause.
    pub fn add_refusals(&self, sums: &mut [u64; REFUSALS_MAX]) {
        for (sum, counter) in sums.iter_mut().zip(&self.refusals.0) {
            *sum += counter.load(Ordering::Relaxed);
        }
    }

    /// Connections that are open.
    pub fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }

    /// A line of the access log was dropped: whoever reads the log is too slow.
    pub fn unlogged(&self) {
        self.unlogged.fetch_add(1, Ordering::Relaxed);
    }

    /// Publishes the begin of the request that has run longest.
    pub fn set_oldest(&self, began: Monotonic) {
        self.oldest_ns.store(began.as_nanos(), Ordering::Relaxed);
    }

    /// Publishes since when a thread has been waiting for the interpreter.
    pub fn set_interpreter_wait(&self, since: Monotonic) {
        self.interpreter_wait_ns.store(since.as_nanos(), Ordering::Relaxed);
    }

    /// Publishes what keeps the worker from going on. Supervisor only.
    pub fn set_hindrance(&self, hindrance: Option<Hindrance>) {
        self.hindrance.store(hindrance.map_or(0, |it| it as u32), Ordering::Relaxed);
    }

    /// What the application threads are running, by name. Of a worker that has died: what they
    /// were running then.
    pub fn running_requests(&self) -> &RunningRequests {
        &self.running_requests
    }

    /// Of a worker that consumes messages: its broker, and counts.
    pub fn consumption(&self) -> &Consumption {
        &self.consumption
    }

    /// How many connections the worker has, if it takes more: it accepts, and its loop has beaten
    /// within `silence`.
    pub fn open_to_connections(&self, now: Monotonic, silence: Duration) -> Option<u32> {
        let state = WorkerState::from_raw(self.state.load(Ordering::Acquire));
        let heartbeat = Monotonic::from_nanos(self.heartbeat_ns.load(Ordering::Relaxed));
        let takes = matches!(state, WorkerState::Serving | WorkerState::Draining);
        let takes = takes && now.since(heartbeat) <= silence;
        takes.then(|| self.connections.load(Ordering::Relaxed))
    }

    /// Adds what this slot's workers have answered.
    pub fn add_traffic(&self, sums: &mut TrafficReading) {
        self.traffic.add_to(sums);
    }

    /// How many answers were counted, and the time of all together.
    pub fn timed(&self) -> (u64, Duration) {
        self.traffic.timed()
    }

    /// Everything at once, but for the traffic.
    pub fn read(&self) -> SlotReading {
        let moment = |field: &AtomicU64| Monotonic::from_nanos(field.load(Ordering::Relaxed));
        SlotReading {
            state: WorkerState::from_raw(self.state.load(Ordering::Acquire)),
            engine: Engine::from_raw(self.engine.load(Ordering::Relaxed)),
            pid: self.pid.load(Ordering::Relaxed),
            pin: self.pin.load(Ordering::Relaxed).checked_sub(1).map(|cpu| cpu as usize),
            generation: self.generation.load(Ordering::Relaxed),
            started: moment(&self.started_ns),
            heartbeat: Monotonic::from_nanos(self.heartbeat_ns.load(Ordering::Acquire)),
            queued: self.queued.load(Ordering::Relaxed),
            running: self.running.load(Ordering::Relaxed),
            connections: self.connections.load(Ordering::Relaxed),
            capacity: self.capacity.load(Ordering::Relaxed),
            progress: moment(&self.progress_ns),
            oldest: moment(&self.oldest_ns),
            interpreter_wait: moment(&self.interpreter_wait_ns),
            requests: self.requests.load(Ordering::Relaxed),
            responses: std::array::from_fn(|class| self.responses[class].load(Ordering::Relaxed)),
            refused: self.refused.load(Ordering::Relaxed),
            shed: self.shed.load(Ordering::Relaxed),
            unlogged: self.unlogged.load(Ordering::Relaxed),
            requests_before: self.requests_before.load(Ordering::Relaxed),
            memory_bytes: self.memory_bytes.load(Ordering::Relaxed),
            leaving: self.leaving.load(Ordering::Relaxed) != 0,
            hindrance: Hindrance::from_raw(self.hindrance.load(Ordering::Relaxed)),
            consumption: self.consumption.read(),
        }
    }
}

/// Adds to a counter that several threads add to.
fn add_shared(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

/// A copy of a slot. Fields are read one by one; each is right, together they may be some
/// nanoseconds apart.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented at the setters of Slot")]
pub struct SlotReading {
    pub state: WorkerState,
    pub engine: Engine,
    pub pid: i32,
    pub pin: Option<usize>,
    pub generation: u32,
    pub started: Monotonic,
    pub heartbeat: Monotonic,
    pub queued: u32,
    pub running: u32,
    pub connections: u32,
    pub capacity: u32,
    pub progress: Monotonic,
    pub oldest: Monotonic,
    pub interpreter_wait: Monotonic,
    pub requests: u64,
    pub responses: [u64; 5],
    pub refused: u64,
    pub shed: u64,
    pub unlogged: u64,
    pub requests_before: u64,
    pub memory_bytes: u64,
    pub leaving: bool,
    pub hindrance: Option<Hindrance>,
    pub consumption: Option<ConsumptionReading>,
}

impl SlotReading {
    /// Requests that the present worker has answered.
    pub fn served(&self) -> u64 {
        self.requests.saturating_sub(self.requests_before)
    }

    /// Messages that all workers of this slot were given.
    pub fn messages(&self) -> u64 {
        self.consumption.as_ref().map_or(0, |it| it.received)
    }

    /// Whether the worker is there and has come so far as to work: it has had a heartbeat, and a
    /// consumer has consumed.
    pub fn has_started(&self) -> bool {
        let has_consumed = self.consumption.as_ref().is_none_or(|it| it.has_consumed);
        self.state != WorkerState::Vacant && !self.heartbeat.is_never() && has_consumed
    }

    /// Silence of the loop at `now`, counted from the start while there was no beat yet.
    pub fn silence(&self, now: Monotonic) -> Duration {
        now.since(self.heartbeat.max(self.started))
    }

    /// How long all application threads have been busy on the same requests, or a thread has
    /// waited for the interpreter, whichever is longer; zero when neither is so.
    pub fn stuck_for(&self, now: Monotonic) -> Duration {
        let busy = if self.capacity > 0 && self.running >= self.capacity {
            now.since(self.progress)
        } else {
            Duration::ZERO
        };
        busy.max(self.interpreter_wait_for(now))
    }

    /// How long a thread has waited for the interpreter.
    pub fn interpreter_wait_for(&self, now: Monotonic) -> Duration {
        if self.interpreter_wait.is_never() {
            Duration::ZERO
        } else {
            now.since(self.interpreter_wait)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ThreadName;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_slot_starts_vacant_and_keeps_sums_over_workers() {
        let slot = Slot::default();
        assert_eq!(slot.read().state, WorkerState::Vacant);
        slot.begin(at(1));
        slot.connection_opened();
        slot.request_queued();
        slot.answered(204);
        slot.retire();
        slot.set_hindrance(Some(Hindrance::Stopped));
        assert_eq!(slot.read().hindrance, Some(Hindrance::Stopped));
        slot.vacate();
        slot.begin(at(2));
        assert!(!slot.read().leaving);
        assert_eq!(slot.read().hindrance, None);
        let reading = slot.read();
        assert_eq!(reading.state, WorkerState::Starting);
        assert_eq!((reading.connections, reading.queued, reading.requests), (0, 0, 1));
        assert_eq!(reading.responses, [0, 1, 0, 0, 0]);
        assert_eq!(reading.generation, 2);
        assert_eq!(reading.served(), 0);
        slot.answered(200);
        assert_eq!(slot.read().served(), 1);
    }

    #[test]
    fn refusals_are_told_apart_and_kept_over_workers() {
        let slot = Slot::default();
        slot.begin(at(1));
        slot.refused(0);
        slot.shed(REFUSALS_MAX - 1);
        slot.begin(at(2));
        slot.refused(0);
        slot.refused(REFUSALS_MAX);
        let mut sums = [0; REFUSALS_MAX];
        slot.add_refusals(&mut sums);
        assert_eq!((sums[0], sums[REFUSALS_MAX - 1], sums.iter().sum::<u64>()), (2, 1, 3));
        assert_eq!((slot.read().refused, slot.read().shed), (3, 1));
    }

    #[test]
    fn what_a_worker_ran_is_known_until_its_successor_begins() {
        let slot = Slot::default();
        slot.begin(at(1));
        slot.running_requests().begin(0, ThreadName::default(), "GET", b"/last", at(2));
        slot.vacate();
        assert_eq!(slot.running_requests().read()[0].line, "GET /last");
        slot.begin(at(3));
        assert!(slot.running_requests().read().is_empty());
    }

    #[test]
    fn silence_counts_from_the_start_before_the_first_beat() {
        let slot = Slot::default();
        slot.begin(at(10));
        assert_eq!(slot.read().silence(at(13)), Duration::from_secs(3));
        slot.beat(at(12));
        assert_eq!(slot.read().silence(at(13)), Duration::from_secs(1));
    }

    #[test]
    fn stuck_needs_every_thread_busy_or_a_silent_interpreter() {
        let slot = Slot::default();
        slot.begin(at(1));
        slot.set_capacity(2);
        slot.request_began(at(1));
        assert_eq!(slot.read().stuck_for(at(9)), Duration::ZERO);
        slot.request_began(at(2));
        assert_eq!(slot.read().stuck_for(at(9)), Duration::from_secs(7));
        slot.request_ended();
        assert_eq!(slot.read().stuck_for(at(9)), Duration::ZERO);
        slot.set_interpreter_wait(at(4));
        assert_eq!(slot.read().stuck_for(at(9)), Duration::from_secs(5));
    }

    #[test]
    fn connections_are_for_workers_that_accept_and_are_alive() {
        let slot = Slot::default();
        let silence = Duration::from_secs(1);
        slot.begin(at(1));
        slot.beat(at(2));
        slot.connection_opened();
        assert_eq!(slot.open_to_connections(at(2), silence), None);
        slot.set_state(WorkerState::Serving);
        assert_eq!(slot.open_to_connections(at(3), silence), Some(1));
        assert_eq!(slot.open_to_connections(at(4), silence), None);
        slot.set_state(WorkerState::Stopping);
        assert_eq!(slot.open_to_connections(at(2), silence), None);
    }

    #[test]
    fn pin_zero_is_not_unpinned() {
        let slot = Slot::default();
        assert_eq!(slot.read().pin, None);
        slot.set_pin(Some(0));
        assert_eq!(slot.read().pin, Some(0));
    }
}
