//! The life of a worker: engine, application, heartbeat, orders, end.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hurricane_http::{Application, Head, HttpDate, Limits, Response};
use hurricane_scoreboard::{Monotonic, Scoreboard, Slot, WorkerState};
use monoio::io::{AsyncReadRent, CancelHandle, Canceller};

use crate::engine::{self, IoChoice, LoopError, RingError};
use crate::listener;
use crate::registry::Registry;

/// Order: go on accepting, and close each connection with its next answer.
pub const DRAIN_ORDER: u8 = b'd';
/// Order: take what is in the accept queue, close the listener, end what runs, return.
pub const STOP_ORDER: u8 = b's';

/// Time between heartbeats, and the precision of every deadline of a connection.
const HEARTBEAT: Duration = Duration::from_millis(100);
/// How long a worker that was told to stop goes on accepting: two round trips of a slow client,
/// so that handshakes that were in flight are served.
const LAST_ACCEPTS: Duration = Duration::from_millis(200);
/// How often a stopping worker looks whether everything has ended.
const ENDING: Duration = Duration::from_millis(5);

/// Answers a request on the loop, before the application sees it (probes on the app port).
pub type Reserved = Arc<dyn Fn(&Head) -> Option<Response> + Send + Sync>;

/// What a worker runs with.
#[derive(Clone)]
pub struct WorkerOptions {
    /// Limits of connections and requests.
    pub limits: Limits,
    /// The engine that the user wants.
    pub io: IoChoice,
    /// CPU to pin the loop (and the threads that it starts) to.
    pub pin: Option<usize>,
    /// Requests that the application does not see.
    pub reserved: Option<Reserved>,
}

/// Why a worker did not start, or ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// `--io io-uring` was demanded and is refused here.
    #[error("--io io-uring cannot be had: {0}")]
    RingRefused(#[source] RingError),
    /// Neither engine starts.
    #[error("no event loop can be made")]
    Loop(#[source] io::Error),
    /// The listening socket cannot be used.
    #[error("the listening socket cannot be used")]
    Listener(#[source] io::Error),
    /// The socket that orders come over cannot be used.
    #[error("the orders socket cannot be used")]
    Orders(#[source] io::Error),
    /// The scoreboard has no such slot.
    #[error("the scoreboard has no slot {0}")]
    Slot(usize),
}

impl From<LoopError> for WorkerError {
    fn from(error: LoopError) -> Self {
        match error {
            LoopError::Ring(refusal) => Self::RingRefused(refusal),
            LoopError::Epoll(source) => Self::Loop(source),
        }
    }
}

/// Runs one worker on the calling thread until it is told to stop and everything has ended, or
/// until its supervisor is gone.
///
/// `application` is called once, on this thread, when the engine is up.
///
/// # Errors
/// When it cannot start; nothing has been accepted then.
pub fn run<A: Application>(
    options: WorkerOptions,
    listener: std::net::TcpListener,
    board: &Scoreboard,
    slot: usize,
    orders: UnixStream,
    application: impl FnOnce() -> A,
) -> Result<(), WorkerError> {
    let here = board.slot(slot).ok_or(WorkerError::Slot(slot))?;
    if let Some(cpu) = options.pin {
        match hurricane_cpu::pin_current_thread(cpu) {
            Ok(()) => here.set_pin(Some(cpu)),
            Err(error) => tracing::warn!(worker = slot, %error, "the worker is not pinned"),
        }
    }
    let mut started = engine::start(options.io)?;
    here.set_engine(started.engine);
    if let Some(refusal) = &started.refused {
        tracing::info!(worker = slot, cause = %refusal, "serving on epoll");
    }
    let application = application();
    if A::USES_OUTLET {
        // The application's threads, which share this CPU, are started and keep the normal policy.
        crate::policy::stand_back();
    }
    let worker = Rc::new(Worker {
        application,
        options,
        board: board.clone(),
        slot,
        now: Cell::new(Monotonic::now()),
        date: RefCell::new(HttpDate::new(unix_seconds())),
        orders: Cell::new(Orders::Serve),
        open: Cell::new(0),
        registry: Registry::default(),
        door: RefCell::new(Some(Canceller::new())),
    });
    let result = started.runtime.block_on(live(&worker, listener, orders));
    if worker.connections() > 0 {
        // Threads of the application may still write on sockets of the connections that are
        // left: the sockets stay open until the process ends.
        std::mem::forget(started.runtime);
    }
    result
}

async fn live<A: Application>(
    worker: &Rc<Worker<A>>,
    listener: std::net::TcpListener,
    orders: UnixStream,
) -> Result<(), WorkerError> {
    // monoio adopts sockets as they are; a blocking one would freeze the loop on epoll.
    orders.set_nonblocking(true).map_err(WorkerError::Orders)?;
    let orders = monoio::net::UnixStream::from_std(orders).map_err(WorkerError::Orders)?;
    worker.beat();
    worker.slot().set_state(WorkerState::Serving);
    drop(monoio::spawn(beat(Rc::clone(worker))));
    drop(monoio::spawn(obey(Rc::clone(worker), orders)));
    listener::serve(worker, listener).await.map_err(WorkerError::Listener)?;
    worker.slot().set_state(WorkerState::Stopping);
    while worker.connections() > 0 && worker.orders.get() != Orders::Abandon {
        monoio::time::sleep(ENDING).await;
    }
    Ok(())
}

async fn beat<A: Application>(worker: Rc<Worker<A>>) {
    loop {
        monoio::time::sleep(HEARTBEAT).await;
        worker.beat();
        let stopping = worker.orders.get() == Orders::Stop;
        worker.registry.sweep(worker.now.get(), stopping, worker.limits());
    }
}

async fn obey<A: Application>(worker: Rc<Worker<A>>, mut orders: monoio::net::UnixStream) {
    let mut buffer = vec![0; 16];
    loop {
        let (result, back) = orders.read(buffer).await;
        buffer = back;
        match result {
            Ok(count) if count > 0 => {
                for order in &buffer[..count] {
                    worker.obey(*order);
                }
                buffer.resize(16, 0);
            }
            // The supervisor is gone: so are we.
            _ => return worker.abandon(),
        }
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Orders {
    Serve,
    Drain,
    Stop,
    /// The supervisor is gone.
    Abandon,
}

/// What the tasks of a worker share.
pub(crate) struct Worker<A> {
    pub(crate) application: A,
    options: WorkerOptions,
    board: Scoreboard,
    /// Below `board.slots()`.
    slot: usize,
    /// As of the last heartbeat or wake-up of the accepting task.
    now: Cell<Monotonic>,
    date: RefCell<HttpDate>,
    orders: Cell<Orders>,
    open: Cell<usize>,
    pub(crate) registry: Registry,
    /// Taken when the worker shall accept no more.
    door: RefCell<Option<Canceller>>,
}

impl<A> Worker<A> {
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

    pub(crate) fn reserved(&self, head: &Head) -> Option<Response> {
        self.options.reserved.as_ref().and_then(|answer| answer(head))
    }

    pub(crate) fn with_date<R>(&self, render: impl FnOnce(&HttpDate) -> R) -> R {
        render(&self.date.borrow())
    }

    /// Whether connections may live on after their next answer.
    pub(crate) fn keeps_alive(&self) -> bool {
        self.orders.get() == Orders::Serve
    }

    pub(crate) fn connections(&self) -> usize {
        self.open.get()
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

    fn close_door(&self) {
        if let Some(door) = self.door.borrow_mut().take() {
            drop(door.cancel());
        }
    }

    fn beat(&self) {
        let now = Monotonic::now();
        self.now.set(now);
        self.date.borrow_mut().update(unix_seconds());
        self.slot().beat(now);
    }

    fn abandon(&self) {
        self.orders.set(Orders::Abandon);
        self.close_door();
    }
}

impl<A: Application> Worker<A> {
    fn obey(self: &Rc<Self>, order: u8) {
        match (order, self.orders.get()) {
            (DRAIN_ORDER, Orders::Serve) => {
                self.orders.set(Orders::Drain);
                self.registry.close_with_next_response();
                self.slot().set_state(WorkerState::Draining);
            }
            (STOP_ORDER, Orders::Serve | Orders::Drain) => {
                self.orders.set(Orders::Stop);
                self.registry.close_with_next_response();
                self.slot().set_state(WorkerState::Draining);
                let worker = Rc::clone(self);
                drop(monoio::spawn(async move {
                    monoio::time::sleep(LAST_ACCEPTS).await;
                    worker.close_door();
                }));
            }
            _ => {}
        }
    }
}
