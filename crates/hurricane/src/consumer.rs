//! The life of a process that consumes messages: heartbeat, orders, end.
//!
//! It is a worker without a listening socket. What consumes runs on threads of its own; the thread
//! here beats and hears orders, and never waits for any of them, nor for an interpreter's lock.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::Duration;

use hurricane_scoreboard::{BrokerState, Monotonic, Slot, WorkerState};
use hurricane_worker::DRAIN_ORDER;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::child::Failure;
use crate::launch::WorkerContext;

/// Time between heartbeats, as of a worker's loop.
const HEARTBEAT: Duration = Duration::from_millis(100);

/// What consumes, made in the process that will.
pub struct Consumer {
    /// Connects and consumes, until it is told to stop or cannot go on. It says in the worker's
    /// slot how far it is.
    pub run: Box<dyn FnOnce() -> ConsumerEnd + Send>,
    /// Asks for no more messages: what runs is ended and settled, then `run` returns. May wait.
    pub stop: Box<dyn FnOnce() + Send>,
}

/// Why a consumer has returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsumerEnd {
    /// It was told to.
    Told,
    /// The broker cannot be had: one sentence. No other start would go better.
    Disconnected(String),
    /// Anything else, in one sentence; a fresh process may do better.
    Failed(String),
}

/// Runs what `make` makes in this process, as the worker of `context`.
pub(crate) fn run(
    context: WorkerContext,
    orders: &UnixStream,
    make: &impl Fn(WorkerContext) -> Consumer,
) -> Result<(), Failure> {
    let board = context.board.clone();
    let Some(slot) = board.slot(context.slot) else {
        return Err(Failure::Other(format!("the scoreboard has no slot {}", context.slot)));
    };
    // Before the first heartbeat, which would say that a server of requests has started.
    slot.consumption().set_consumer();
    live(slot, orders, make(context))
}

/// Runs `consumer` until it has returned, or the supervisor is gone.
fn live(slot: &Slot, orders: &UnixStream, consumer: Consumer) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::Other(format!("the consumer cannot start: {error}"));
    orders.set_nonblocking(true).map_err(failed)?;
    let Consumer { run, stop } = consumer;
    let mut stop = Some(stop);
    let (life, theirs) = UnixStream::pair().map_err(failed)?;
    let (ended, end) = mpsc::sync_channel(1);
    spawn("consumer", move || {
        let _hangs_up_last = theirs;
        let _ = ended.send(run());
    })
    .map_err(failed)?;
    loop {
        slot.beat(Monotonic::now());
        match end.try_recv() {
            Ok(ConsumerEnd::Told) => return Ok(()),
            Ok(ConsumerEnd::Disconnected(sentence)) => return Err(Failure::Disconnected(sentence)),
            Ok(ConsumerEnd::Failed(sentence)) => return Err(Failure::Other(sentence)),
            Err(mpsc::TryRecvError::Disconnected) => {
                return Err(Failure::Other("the consumer's thread panicked".into()));
            }
            Err(mpsc::TryRecvError::Empty) => {}
        }
        match heard(orders) {
            Heard::Nothing => {}
            Heard::Stop => {
                if let Some(stop) = stop.take() {
                    slot.set_state(WorkerState::Stopping);
                    slot.consumption().set_broker(BrokerState::Ending, "", Monotonic::now());
                    spawn("stopper", stop).map_err(failed)?;
                }
            }
            Heard::Gone => return Ok(()),
        }
        let mut watched = [
            PollFd::new(orders.as_fd(), PollFlags::POLLIN),
            // No event is asked for: a hang-up is always reported.
            PollFd::new(life.as_fd(), PollFlags::empty()),
        ];
        let millis = u16::try_from(HEARTBEAT.as_millis()).unwrap_or(u16::MAX);
        let _ = poll(&mut watched, PollTimeout::from(millis));
    }
}

enum Heard {
    Nothing,
    Stop,
    /// The supervisor is.
    Gone,
}

/// There is nothing to drain; whatever else the supervisor says, messages are to end.
fn heard(mut orders: &UnixStream) -> Heard {
    let mut said = [0; 16];
    match orders.read(&mut said) {
        Ok(0) => Heard::Gone,
        Ok(count) if said[..count].iter().any(|order| *order != DRAIN_ORDER) => Heard::Stop,
        Ok(_) => Heard::Nothing,
        Err(error)
            if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) =>
        {
            Heard::Nothing
        }
        Err(_) => Heard::Gone,
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hurricane_scoreboard::Scoreboard;
    use hurricane_worker::STOP_ORDER;
    use std::io::Write;

    fn lived(end: ConsumerEnd, order: &[u8]) -> (Result<(), Failure>, Monotonic) {
        let board = Scoreboard::new(1).unwrap();
        let slot = board.slot(0).unwrap();
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let (told, hears) = mpsc::channel();
        let waits = !order.is_empty();
        ours.write_all(order).unwrap();
        let consumer = Consumer {
            run: Box::new(move || {
                if waits {
                    hears.recv().unwrap();
                }
                end
            }),
            stop: Box::new(move || told.send(()).unwrap()),
        };
        (live(slot, &theirs, consumer), slot.read().heartbeat)
    }

    #[test]
    fn an_order_ends_what_consumes() {
        let (ended, heartbeat) = lived(ConsumerEnd::Told, &[DRAIN_ORDER, STOP_ORDER, STOP_ORDER]);
        assert_eq!(ended, Ok(()));
        assert!(!heartbeat.is_never());
    }

    #[test]
    fn the_supervisor_hears_why_it_has_ended_by_itself() {
        let gone = || "broker:5672/ is gone".to_owned();
        assert_eq!(
            lived(ConsumerEnd::Disconnected(gone()), &[]).0,
            Err(Failure::Disconnected(gone()))
        );
        assert_eq!(lived(ConsumerEnd::Failed(gone()), &[]).0, Err(Failure::Other(gone())));
    }
}
