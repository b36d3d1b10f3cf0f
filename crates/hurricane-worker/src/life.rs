//! The life of a worker: engine, application, heartbeat, orders, end.

use std::io;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use hurricane_http::Application;
use hurricane_scoreboard::{Scoreboard, WorkerState};
use monoio::io::AsyncReadRent;
use socket2::Socket;

use crate::engine::{self, LoopError, RingError};
use crate::ids::Ids;
use crate::worker::{Orders, Worker, WorkerOptions};
use crate::{listener, policy};

/// Order: go on accepting, and close each connection with its next answer.
pub const DRAIN_ORDER: u8 = b'd';
/// Order: take what is in the accept queue, close the listener, end what runs, return.
pub const STOP_ORDER: u8 = b's';
/// Order: a successor accepts from the same socket. Accept no more and leave it the queue, close
/// each connection with its next answer, return when the last one has ended.
pub const RETIRE_ORDER: u8 = b'r';
/// Order: after `r`, when no answer of this worker may come any more but those to requests that it
/// has: idle connections are closed at once. One that speaks at that moment is lost.
pub const CLOSE_ORDER: u8 = b'c';
/// Order: nobody else has this socket, others of its group stay. Close it as for `s`, and the
/// connections as for `r`.
pub const LEAVE_ORDER: u8 = b'l';

/// Time between heartbeats, and the precision of every deadline of a connection.
const HEARTBEAT: Duration = Duration::from_millis(100);
/// How often a worker looks whether its certificate has changed.
const CERTIFICATE_LOOK: Duration = Duration::from_secs(2);
/// How long a worker that closes its socket goes on accepting: two round trips of a slow client,
/// so that handshakes that were in flight are served.
const LAST_ACCEPTS: Duration = Duration::from_millis(200);
/// How often a worker that stops with the server looks whether everything has ended. One that
/// leaves alone has time, and looks once a heartbeat.
const ENDING: Duration = Duration::from_millis(5);

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
    /// The kernel has no random numbers for the identifiers of requests.
    #[error("the kernel gives no random numbers; --no-request-id does without")]
    Random(#[source] io::Error),
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
/// `listener` is a TCP or Unix domain socket that listens. `application` is called once, on this thread, when the engine is up.
///
/// # Errors
/// When it cannot start; nothing has been accepted then.
pub fn run<A: Application>(
    options: WorkerOptions,
    listener: Socket,
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
    let ids = options.identifies.then(Ids::new).transpose().map_err(WorkerError::Random)?;
    let application = application();
    if A::USES_OUTLET {
        // The application's threads, which share this CPU, are started and keep the normal policy.
        policy::stand_back();
    }
    let worker = Rc::new(Worker::new(application, options, ids, board.clone(), slot));
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
    listener: Socket,
    orders: UnixStream,
) -> Result<(), WorkerError> {
    // monoio adopts sockets as they are; a blocking one would freeze the loop on epoll.
    orders.set_nonblocking(true).map_err(WorkerError::Orders)?;
    let orders = monoio::net::UnixStream::from_std(orders).map_err(WorkerError::Orders)?;
    worker.beat();
    worker.slot().set_state(WorkerState::Serving);
    drop(monoio::spawn(beat(Rc::clone(worker))));
    drop(monoio::spawn(obey(Rc::clone(worker), orders)));
    if worker.tls().is_some() {
        // That of the start may be an old one by now.
        renew_certificate(worker).await;
        drop(monoio::spawn(watch_certificate(Rc::clone(worker))));
    }
    listener::serve(worker, listener).await.map_err(WorkerError::Listener)?;
    worker.slot().set_state(WorkerState::Stopping);
    while worker.connections() > 0 && worker.orders() != Orders::Abandon {
        let waits_for_idle = matches!(worker.orders(), Orders::Retire | Orders::Leave);
        monoio::time::sleep(if waits_for_idle { HEARTBEAT } else { ENDING }).await;
    }
    Ok(())
}

async fn beat<A: Application>(worker: Rc<Worker<A>>) {
    loop {
        monoio::time::sleep(HEARTBEAT).await;
        worker.beat();
        worker.sweep();
    }
}

async fn watch_certificate<A: Application>(worker: Rc<Worker<A>>) {
    loop {
        monoio::time::sleep(CERTIFICATE_LOOK).await;
        renew_certificate(&worker).await;
    }
}

async fn renew_certificate<A>(worker: &Worker<A>) {
    if let Some(current) = worker.tls()
        && let Err(error) = current.renew().await
    {
        tracing::warn!(%error, "whether the certificate has changed cannot be found out");
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
                    follow(&worker, *order);
                }
                buffer.resize(16, 0);
            }
            // The supervisor is gone: so are we.
            _ => return worker.abandon(),
        }
    }
}

fn follow<A: Application>(worker: &Rc<Worker<A>>, order: u8) {
    match step(order, worker.orders()) {
        Step::Drain => worker.drain(Orders::Drain),
        Step::Retire => worker.retire(),
        Step::CloseIdle => worker.close_idle(),
        Step::Leave => {
            worker.drain(Orders::Leave);
            close_door_later(worker);
        }
        Step::Stop => {
            worker.drain(Orders::Stop);
            close_door_later(worker);
        }
        Step::Hurry => worker.drain(Orders::Stop),
        Step::Stay => {}
    }
}

/// What an order means to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Drain,
    Retire,
    Leave,
    Stop,
    /// It is on its way already; now its idle connections have to hurry.
    Hurry,
    /// Those at once.
    CloseIdle,
    Stay,
}

/// That, by what it was told before.
fn step(order: u8, before: Orders) -> Step {
    match (order, before) {
        (DRAIN_ORDER, Orders::Serve) => Step::Drain,
        (RETIRE_ORDER, Orders::Serve | Orders::Drain) => Step::Retire,
        (LEAVE_ORDER, Orders::Serve | Orders::Drain) => Step::Leave,
        (STOP_ORDER, Orders::Serve | Orders::Drain) => Step::Stop,
        (STOP_ORDER, Orders::Retire | Orders::Leave) => Step::Hurry,
        (CLOSE_ORDER, Orders::Retire) => Step::CloseIdle,
        _ => Step::Stay,
    }
}

fn close_door_later<A: Application>(worker: &Rc<Worker<A>>) {
    let worker = Rc::clone(worker);
    drop(monoio::spawn(async move {
        monoio::time::sleep(LAST_ACCEPTS).await;
        worker.close_door();
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_order_means_to_a_worker_what_the_ones_before_leave_of_it() {
        use Step::{CloseIdle, Drain, Hurry, Leave, Retire, Stay, Stop};
        let orders = [DRAIN_ORDER, STOP_ORDER, RETIRE_ORDER, CLOSE_ORDER, LEAVE_ORDER, b'?'];
        for (before, steps) in [
            (Orders::Serve, [Drain, Stop, Retire, Stay, Leave, Stay]),
            (Orders::Drain, [Stay, Stop, Retire, Stay, Leave, Stay]),
            (Orders::Retire, [Stay, Hurry, Stay, CloseIdle, Stay, Stay]),
            (Orders::Leave, [Stay, Hurry, Stay, Stay, Stay, Stay]),
            (Orders::Stop, [Stay; 6]),
            (Orders::Abandon, [Stay; 6]),
        ] {
            assert_eq!(orders.map(|order| step(order, before)), steps, "{before:?}");
        }
    }
}
