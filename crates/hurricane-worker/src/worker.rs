//! What the tasks of a worker share: its options, its clock, its orders, its connections.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hurricane_files::{Files, Mount};
use hurricane_http::{
    Answered, Application, ForwardedFamily, Head, HttpDate, Limits, Refusal, Response, Trusted,
};
use hurricane_scoreboard::{Answer, Monotonic, Scoreboard, Slot, WorkerState};
use monoio::io::{CancelHandle, Canceller};

use crate::engine::IoChoice;
use crate::ids::Ids;
use crate::memory::Memory;
use crate::registry::Registry;
use crate::tally::Counted;
use crate::tls::certificate::{Current, Tls};

/// Answers a request on the loop, before the application sees it (probes on the app port).
pub type Reserved = Arc<dyn Fn(&Head) -> Option<Response> + Send + Sync>;

/// Takes what the worker itself has answered, for the access log: refusals, reserved requests, and
/// what an application answers that does not write itself. Called on the loop: must not wait.
pub type Logged = Arc<dyn Fn(&Answered<'_>) + Send + Sync>;

/// What a worker runs with.
#[derive(Clone)]
pub struct WorkerOptions {
    /// Limits of connections and requests.
    pub limits: Limits,
    /// The engine that the user wants.
    pub io: IoChoice,
    /// CPU to pin the loop (and the threads that it starts) to.
    pub pin: Option<usize>,
    /// Whether all workers accept from the same listening socket.
    pub shares_listener: bool,
    /// Requests that the application does not see.
    pub reserved: Option<Reserved>,
    /// Who is told of answers, if anybody wants to know.
    pub logged: Option<Logged>,
    /// Whether that includes answers to reserved requests.
    pub logs_reserved: bool,
    /// Whether reserved requests count as answered ones.
    pub counts_reserved: bool,
    /// Whether requests without an identifier are given one, and answers tell it.
    pub identifies: bool,
    /// Directories whose files the application is not asked for.
    pub mounts: Vec<Mount>,
    /// Who is in front of us, if anybody is.
    pub proxies: Proxies,
    /// What TLS is spoken with, if it is.
    pub tls: Option<Tls>,
}

/// What stands between clients and the server.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// Whose word about clients counts; `None`: nobody was asked about, and what is said of clients
    /// is the application's to judge.
    pub trusted: Option<Trusted>,
    /// How they say it.
    pub family: ForwardedFamily,
    /// Whether each connection begins with a PROXY header.
    pub has_header: bool,
}

/// How long an idle connection may still speak when the worker stops: closing at once lost 707 of
/// 1,200 requests, 1 s lost none.
const IDLE_GRACE: Duration = Duration::from_secs(1);
/// A loop that has beaten within this time hears of a connection soon.
const ALIVE: Duration = Duration::from_millis(250);
/// By this share of the other's connections a worker may be ahead.
const LEAD_SHARE: usize = 4;

/// What the supervisor has told the worker last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Orders {
    Serve,
    Drain,
    /// A successor accepts from the same socket.
    Retire,
    /// The socket goes, others of its group stay.
    Leave,
    Stop,
    /// The supervisor is gone.
    Abandon,
}

/// What the tasks of a worker share.
pub(crate) struct Worker<A> {
    pub(crate) application: A,
    options: WorkerOptions,
    /// None where requests keep what they came with.
    ids: Option<RefCell<Ids>>,
    /// None without a mount.
    files: Option<Files>,
    tls: Option<Current>,
    board: Scoreboard,
    /// Below `board.slots()`.
    slot: usize,
    /// As of the last heartbeat.
    now: Cell<Monotonic>,
    date: RefCell<HttpDate>,
    orders: Cell<Orders>,
    open: Cell<usize>,
    pub(crate) registry: Registry,
    /// What requests may take.
    pub(crate) memory: Rc<Memory>,
    /// Taken when the worker shall accept no more.
    door: RefCell<Option<Canceller>>,
    /// Who waits for the door to be closed.
    at_door: RefCell<Option<Waker>>,
    /// Whether what is left in the accept queue is somebody else's.
    leaves_queue: Cell<bool>,
    /// How long idle connections may still speak, once they may no longer live.
    idle_grace: Cell<Duration>,
}

impl<A> Worker<A> {
    /// `slot`: one of the scoreboard's.
    pub(crate) fn new(
        application: A,
        options: WorkerOptions,
        ids: Option<Ids>,
        board: Scoreboard,
        slot: usize,
    ) -> Self {
        let limits = &options.limits;
        let (all, one) = (limits.file_memory_bytes_max, limits.file_in_memory_bytes_max);
        let files = Files::new(&options.mounts, all, one);
        let memory = Memory::new(limits.request_memory_bytes_max);
        Self {
            application,
            ids: ids.map(RefCell::new),
            files: Some(files).filter(|files| !files.is_empty()),
            tls: options.tls.clone().map(Current::new),
            options,
            board,
            slot,
            now: Cell::new(Monotonic::now()),
            date: RefCell::new(HttpDate::new(unix_seconds())),
            orders: Cell::new(Orders::Serve),
            open: Cell::new(0),
            registry: Registry::default(),
            memory,
            door: RefCell::new(Some(Canceller::new())),
            at_door: RefCell::default(),
            leaves_queue: Cell::new(false),
            idle_grace: Cell::new(IDLE_GRACE),
        }
    }

    /// The present moment, at most a heartbeat old: good for deadlines.
    pub(crate) fn now(&self) -> Monotonic {
        self.now.get()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.options.limits
    }

    pub(crate) fn slot(&self) -> &Slot {
        self.board.slot(self.slot).expect("checked when the worker started")
    }

    /// Gives a request an identifier, where requests get one.
    pub(crate) fn identify(&self, head: &mut Head) {
        if let Some(ids) = &self.ids {
            head.identify(|| ids.borrow_mut().next());
        }
    }

    pub(crate) fn reserved(&self, head: &Head) -> Option<Response> {
        self.options.reserved.as_ref().and_then(|answer| answer(head))
    }

    /// Whether answers are told to anybody.
    pub(crate) fn logs(&self) -> bool {
        self.options.logged.is_some()
    }

    pub(crate) fn counts_reserved(&self) -> Counted {
        if self.options.counts_reserved { Counted::Status } else { Counted::No }
    }

    pub(crate) fn logs_reserved(&self) -> bool {
        self.options.logs_reserved
    }

    /// Tells of an answer. To be called once it is written, or in the buffer that is next.
    pub(crate) fn log(&self, answered: &Answered<'_>) {
        if let Some(logged) = &self.options.logged {
            logged(answered);
        }
    }

    pub(crate) fn files(&self) -> Option<&Files> {
        self.files.as_ref()
    }

    pub(crate) fn proxies(&self) -> &Proxies {
        &self.options.proxies
    }

    pub(crate) fn tls(&self) -> Option<&Current> {
        self.tls.as_ref()
    }

    pub(crate) fn with_date<R>(&self, render: impl FnOnce(&HttpDate) -> R) -> R {
        render(&self.date.borrow())
    }

    pub(crate) fn orders(&self) -> Orders {
        self.orders.get()
    }

    /// From now on each connection ends with its next answer.
    pub(crate) fn drain(&self, orders: Orders) {
        self.orders.set(orders);
        if !self.has_closed_door() {
            self.slot().set_state(WorkerState::Draining);
        }
        self.registry.close_with_next_response();
    }

    /// Accepts no more, and leaves the accept queue to a successor.
    pub(crate) fn retire(&self) {
        self.drain(Orders::Retire);
        self.leaves_queue.set(true);
        self.close_door();
    }

    pub(crate) fn leaves_queue(&self) -> bool {
        self.leaves_queue.get()
    }

    /// Closes idle connections, and those that become idle.
    pub(crate) fn close_idle(&self) {
        self.idle_grace.set(Duration::ZERO);
        self.sweep();
    }

    /// Ends what has waited too long.
    pub(crate) fn sweep(&self) {
        let grace = self.idle_grace.get();
        let ends_idle = self.orders.get() == Orders::Stop || grace.is_zero();
        let cut = self.registry.sweep(self.now(), ends_idle.then_some(grace), self.limits());
        for _ in 0..cut {
            tracing::debug!(rule = Refusal::SLOW_READER.name(), "answer cut");
            self.slot().cut(Refusal::SLOW_READER.index());
        }
        if let Some(files) = &self.files {
            files.forget_idle(self.now().as_nanos());
        }
    }

    /// Whether connections may live on after their next answer.
    pub(crate) fn keeps_alive(&self) -> bool {
        self.orders.get() == Orders::Serve
    }

    pub(crate) fn connections(&self) -> usize {
        self.open.get()
    }

    /// Whether one more connection may be open, here and in all.
    pub(crate) fn admits(&self) -> bool {
        let Limits { connections_max, connections_in_all_max, .. } = *self.limits();
        self.open.get() < connections_max
            && (connections_in_all_max == usize::MAX
                || self.board.connections() < connections_in_all_max)
    }

    pub(crate) fn connection_opened(&self) {
        self.open.set(self.open.get() + 1);
        self.slot().connection_opened();
    }

    pub(crate) fn connection_closed(&self) {
        self.open.set(self.open.get() - 1);
        self.slot().connection_closed();
    }

    /// Ends a pending accept when the door is closed.
    pub(crate) fn door(&self) -> CancelHandle {
        self.door.borrow().as_ref().map_or_else(|| Canceller::new().handle(), Canceller::handle)
    }

    pub(crate) fn has_closed_door(&self) -> bool {
        self.door.borrow().is_none()
    }

    /// Ready when the door is closed.
    pub(crate) fn poll_closed_door(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_closed_door() {
            return Poll::Ready(());
        }
        *self.at_door.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(crate) fn close_door(&self) {
        if let Some(door) = self.door.borrow_mut().take() {
            drop(door.cancel());
        }
        if let Some(waiting) = self.at_door.borrow_mut().take() {
            waiting.wake();
        }
    }

    pub(crate) fn shares_listener(&self) -> bool {
        self.options.shares_listener
    }

    /// How many connections too many this worker has, so that another should have the next one: one
    /// that accepts, and whose loop is alive. What is let pass grows with the numbers, so that a
    /// burst is taken in a few long turns.
    pub(crate) fn lead(&self) -> usize {
        let now = Monotonic::now();
        let others = (0..self.board.slots()).filter(|slot| *slot != self.slot);
        let least = others
            .filter_map(|slot| self.board.slot(slot)?.open_to_connections(now, ALIVE))
            .min()
            .map_or(usize::MAX, |least| usize::try_from(least).unwrap_or(usize::MAX));
        self.open.get().saturating_sub(least.saturating_add(least / LEAD_SHARE))
    }

    pub(crate) fn beat(&self) {
        let now = Monotonic::now();
        self.now.set(now);
        self.date.borrow_mut().update(unix_seconds());
        self.slot().beat(now);
    }

    pub(crate) fn abandon(&self) {
        self.orders.set(Orders::Abandon);
        self.close_door();
    }
}

/// How requests are counted: by this loop alone, unless the application answers on threads of its
/// own.
impl<A: Application> Worker<A> {
    pub(crate) fn request_began(&self) {
        self.slot().alone().request_began(self.now());
    }

    pub(crate) fn request_ended(&self) {
        self.slot().alone().request_ended();
    }

    pub(crate) fn count(&self, answer: &Answer) {
        match A::USES_OUTLET {
            true => self.slot().count(answer),
            false => self.slot().alone().count(answer),
        }
    }

    pub(crate) fn answered(&self, status: u16) {
        match A::USES_OUTLET {
            true => self.slot().answered(status),
            false => self.slot().alone().answered(status),
        }
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}
