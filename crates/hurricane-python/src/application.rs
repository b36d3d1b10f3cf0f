//! A WSGI application as a worker's [`Application`]: requests go to the pool, threads run them,
//! a monitor watches both.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use hurricane::{AccessLog, Answered, Line, Scrape, WorkerContext};
use hurricane_http::{Application, Refusal, Reply, Request, Response, Rest, Written};
use hurricane_scoreboard::{Monotonic, Slot, ThreadName};
use nix::sys::pthread::pthread_self;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::gettid;
use pyo3::prelude::*;

use crate::access::Scribe;
use crate::call::{Callee, answer, call};
use crate::debugging;
use crate::django::entry::{self, DjangoEntry};
use crate::django::lazy::Kit;
use crate::environ::{Memory, Template};
use crate::exchange::{Exchange, exchange};
use crate::file_wrapper::FileWrapper;
use crate::held::Budget;
use crate::interpreter::{self, PULSE};
use crate::metrics;
use crate::outbox::{Finished, Outbox};
use crate::pool::{Next, Pool};
use crate::route::Routes;
use crate::stacks;
use crate::transmission::{Means, Parcel};

/// Stack of an application thread: what the interpreter's main thread has.
const STACK_BYTES: usize = 8 * 1024 * 1024;
/// A request that took less than this may be followed by others before its response is written.
const QUICK: Duration = Duration::from_micros(250);
/// How soon the monitor looks again while jobs wait and none has been taken.
const STALLED_LOOK: Duration = Duration::from_millis(1);
/// How often it looks while there is work.
const BUSY_LOOK: Duration = Duration::from_millis(2);
/// How often it looks otherwise.
const CALM_LOOK: Duration = Duration::from_millis(100);
/// Looks without a waiting job after which it is calm.
const CALM_AFTER: u32 = 20;
/// The longest wait, at the end of a worker, for threads that are closing what they have sent.
const LAST_CLOSES: Duration = Duration::from_secs(5);

/// A WSGI application on this worker.
pub(crate) struct WsgiApplication(Arc<Shared>);

struct Shared {
    pool: Pool<Job>,
    outbox: Outbox,
    callee: Callee,
    access: AccessLog,
    /// Where lines of the access log are written in Python.
    scribe: Option<Scribe>,
    /// Whether requests are left alone whose clients have left.
    abandons: bool,
    /// Asked before the application.
    scrape: Option<Scrape>,
    /// Django itself, where it is entered below WSGI.
    django: Option<Below>,
}

struct Below {
    entry: Py<DjangoEntry>,
    kit: Arc<Kit>,
}

struct Job {
    request: Request,
    received: Monotonic,
    exchange: Exchange,
}

impl WsgiApplication {
    /// Starts the threads of this worker.
    pub(crate) fn start(
        context: &WorkerContext,
        application: &Py<PyAny>,
        scribe: Option<Scribe>,
    ) -> PyResult<Self> {
        let threads = context.threads.max(1);
        metrics::remember(&context.board);
        let means = Arc::new(Means {
            limits: context.limits.clone(),
            budget: Budget::new(context.limits.response_memory_bytes_max),
            board: context.board.clone(),
            slot: context.slot,
        });
        let (callee, django) = Python::attach(|py| {
            if let Some(file) = context.stacks
                && let Err(error) = stacks::write_to(py, file)
            {
                tracing::warn!(%error, "a stuck worker will not show its stacks");
            }
            debugging::attach(py);
            let wrapper = py.get_type::<FileWrapper>();
            let template = Template::new(py, wrapper.as_any(), threads > 1)?;
            let logger = py
                .import("logging")?
                .call_method1("getLogger", ("hurricane.server.application",))?
                .unbind();
            let application = application.clone_ref(py);
            let mounts = context.config.sendfile_mounts();
            let django = below(py, &application, threads > 1)?;
            // Below WSGI the request object tells its route.
            let routes = match &django {
                None => Routes::of_application(py),
                Some(_) => Routes::of_requests(),
            };
            let callee = Callee { application, template, means, routes, mounts, logger };
            PyResult::Ok((callee, django))
        })?;
        let shared = Arc::new(Shared {
            pool: Pool::new(threads, context.limits.queue_len_max),
            outbox: Outbox::default(),
            callee,
            access: context.access.clone(),
            scribe,
            django,
            abandons: context.limits.dialect.abandons,
            scrape: context.scrape.clone(),
        });
        shared.slot().set_capacity(threads);
        for index in 0..threads {
            let shared = Arc::clone(&shared);
            spawn(format!("application-{index}"), move || shared.serve(index))?;
        }
        if let Some(scribe) = &shared.scribe {
            Python::attach(|py| scribe.keep_asking(py, Monotonic::now()));
            scribe.start()?;
        }
        let watched = Arc::clone(&shared);
        spawn("monitor".to_owned(), move || watched.monitor())?;
        Ok(Self(shared))
    }
}

/// Django itself, if that is what was loaded.
fn below(py: Python<'_>, application: &Py<PyAny>, multithread: bool) -> PyResult<Option<Below>> {
    let Ok(entry) = application.bind(py).cast_exact::<DjangoEntry>() else { return Ok(None) };
    let kit = entry.get().kit(py, multithread)?;
    Ok(Some(Below { entry: entry.clone().unbind(), kit }))
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(name).stack_size(STACK_BYTES).spawn(work).map(drop)
}

impl Application for WsgiApplication {
    const USES_OUTLET: bool = true;

    fn call(&self, request: Request) -> impl Future<Output = Reply> {
        let mut request = Some(request);
        let mut answer = None;
        poll_fn(move |cx| {
            if let Some(request) = request.take() {
                let (exchange, waiting) = exchange(cx);
                self.0.slot().request_queued();
                let job = Job { request, received: Monotonic::now(), exchange };
                if let Err(job) = self.0.pool.push(job) {
                    self.0.slot().request_dequeued();
                    self.0.slot().shed(Refusal::QUEUE_FULL.index());
                    tracing::debug!(rule = Refusal::QUEUE_FULL.name(), "request refused");
                    let busy = busy();
                    self.0.log_without_python(busy.status, &job);
                    return Poll::Ready(busy.into());
                }
                answer = Some(waiting);
            }
            answer
                .as_mut()
                .map_or(Poll::Pending, |answer| Pin::new(answer).poll(cx).map(Reply::Written))
        })
    }
}

fn busy() -> Response {
    Response::text("The server is busy\n").with_status(503).with_header("Retry-After", "1")
}

impl Drop for WsgiApplication {
    fn drop(&mut self) {
        // The loop has ended and every response is out; a thread may still be in `close`.
        let end = Instant::now() + LAST_CLOSES;
        while self.0.pool.look().active > 0 && Instant::now() < end {
            std::thread::park_timeout(BUSY_LOOK);
        }
    }
}

impl Shared {
    fn slot(&self) -> &Slot {
        self.callee.means.slot()
    }

    /// The life of an application thread.
    fn serve(&self, index: usize) {
        self.pool.enlist(index);
        let thread = ThreadName { tid: gettid().as_raw(), pthread: pthread_self() };
        Python::attach(|py| {
            debugging::join(py, index);
            if let Some(Below { entry, .. }) = &self.django {
                entry.get().join_loop(py);
            }
            let mut memory = Memory::default();
            loop {
                match self.pool.next(index) {
                    Next::Job(job, began) => {
                        self.run(py, (index, thread), (job, began), &mut memory);
                    }
                    Next::Wait => {
                        self.deliver(Some(py), self.outbox.take());
                        py.detach(|| self.pool.wait(index));
                    }
                }
            }
        });
    }

    fn run(
        &self,
        py: Python<'_>,
        (index, thread): (usize, ThreadName),
        (job, began): (Job, Monotonic),
        memory: &mut Memory,
    ) {
        let Job { mut request, received, exchange } = job;
        let slot = self.slot();
        slot.request_dequeued();
        let outlet = request.outlet.take();
        let outlet = outlet.filter(|outlet| !(self.abandons && outlet.peer_has_left()));
        let Some(outlet) = outlet else {
            let nothing = Written { status: 0, keep_alive: false, rest: Rest::default() };
            return exchange.complete(nothing, true);
        };
        slot.request_began(began);
        let head = &request.head;
        slot.running_requests().begin(index, thread, head.method(), head.path(), began);
        if let Some(scribe) = &self.scribe {
            scribe.keep_asking(py, began);
        }
        let page = self.scrape.as_ref().and_then(|scrape| scrape(&request.head));
        if let Some(page) = page {
            let parcel = answer(py, &self.callee, (&request, received), outlet, &page);
            self.deliver(Some(py), [Finished { parcel, exchange, line: None }]);
        } else {
            let complete = |request: &Request, parcel: Parcel| {
                let was_quick = parcel.answered.since(began) < QUICK;
                let line = self.line(parcel.status, request, received);
                let finished = Finished { parcel, exchange, line };
                if !(was_quick && finished.parcel.can_wait() && self.pool.has_waiting()) {
                    self.deliver(Some(py), self.outbox.take());
                    self.deliver(Some(py), [finished]);
                } else if self.outbox.put(finished) {
                    self.deliver(Some(py), self.outbox.take());
                }
            };
            match &self.django {
                None => call(py, &self.callee, memory, (&mut request, received), outlet, complete),
                Some(Below { entry, kit }) => {
                    let django = (entry.get(), kit);
                    entry::call(py, &self.callee, django, (request, received), outlet, complete);
                }
            }
        }
        slot.running_requests().end(index);
        slot.request_ended();
    }

    /// Writes responses, then what is to be logged of them. `py`: this is a thread that holds the
    /// interpreter lock.
    fn deliver(&self, py: Option<Python<'_>>, row: impl IntoIterator<Item = Finished>) {
        let mut lines = Vec::new();
        for Finished { parcel, exchange, line } in row {
            let (written, wake) = parcel.deliver();
            exchange.complete(written, wake);
            lines.extend(line);
        }
        for (mut line, received) in lines {
            line.set_took(Monotonic::now().since(received));
            match (py, &self.scribe) {
                (Some(py), Some(scribe)) => scribe.write(py, &line),
                _ => self.log(line),
            }
        }
    }

    /// What is to be logged of an answer, if anybody listens.
    fn line(
        &self,
        status: u16,
        request: &Request,
        received: Monotonic,
    ) -> Option<(Line, Monotonic)> {
        // Nothing was sent of status 0.
        (status > 0 && self.access.wants(status)).then(|| {
            let peer = request.peer.map(|peer| peer.ip());
            let head = Some(&request.head);
            let answered = Answered { status, head, peer, took: Duration::ZERO };
            (Line::of(&answered), received)
        })
    }

    /// Logs an answer of the loop's.
    fn log_without_python(&self, status: u16, job: &Job) {
        if let Some((mut line, received)) = self.line(status, &job.request, job.received) {
            line.set_took(Monotonic::now().since(received));
            self.log(line);
        }
    }

    fn log(&self, line: Line) {
        if !self.access.write(line) {
            self.slot().unlogged();
        }
    }

    /// The life of the monitor: reinforces the pool, tells whether the interpreter answers.
    fn monitor(&self) {
        self.pool.enlist_monitor();
        hurricane::stand_back();
        let mut calm_looks = 0;
        let mut usage = Usage::new();
        let mut progress = (0, Instant::now());
        loop {
            let look = self.pool.look();
            if let Some(saturated) = usage.is_saturated() {
                self.pool.set_saturated(saturated);
            }
            self.slot().set_oldest(look.oldest.unwrap_or(Monotonic::NEVER));
            let moved = look.taken != progress.0;
            if look.active == 0 || moved {
                progress = (look.taken, Instant::now());
            } else if progress.1.elapsed() > PULSE {
                interpreter::try_once(self.slot());
                progress.1 = Instant::now();
            }
            calm_looks = if look.queued > 0 { 0 } else { calm_looks + 1 };
            let is_calm = calm_looks > CALM_AFTER;
            let patience = match is_calm {
                true => CALM_LOOK,
                false if look.queued > 0 && !moved => STALLED_LOOK,
                false => BUSY_LOOK,
            };
            self.pool.watch(patience, is_calm);
            self.pool.reinforce(look);
            self.deliver(None, self.outbox.take_overdue());
        }
    }
}

/// How much CPU the process uses, window by window.
struct Usage {
    since: Instant,
    used: Duration,
}

/// The shortest window.
const WINDOW: Duration = Duration::from_millis(10);
/// Share of one CPU from which a process that runs one thread at a time counts as saturated. The
/// rest is left to the other threads of the worker and to what else runs on its CPU.
const SATURATED: f64 = 0.8;

impl Usage {
    fn new() -> Self {
        Self { since: Instant::now(), used: cpu_time() }
    }

    /// Whether the process was saturated in the window that ends now; `None` before it ends.
    fn is_saturated(&mut self) -> Option<bool> {
        let window = self.since.elapsed();
        if window < WINDOW {
            return None;
        }
        let before = std::mem::replace(self, Self::new()).used;
        let used = self.used.saturating_sub(before);
        Some(used.as_secs_f64() > SATURATED * window.as_secs_f64())
    }
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}
