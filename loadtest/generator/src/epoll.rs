//! One thread and one epoll set: what serves where no ring can be had, or is asked for.
//!
//! Connections are registered once, edge-triggered, so that a request costs one write, one read
//! and its share of a wait.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::timer::{Expiration, TimerSetTimeFlags};
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};

use crate::exchange::{Exchange, Progress};
use crate::ledger::{Ledger, Next};
use crate::plan::Plan;
use crate::socket;

const READ_BYTES: usize = 64 << 10;

/// How often connections with a rate read their share.
const READ_TURN: Duration = Duration::from_millis(50);

/// What the kernel may hold back for such a connection: else it would take in for them what they
/// have not read.
const READ_ROOM_BYTES: usize = 32 << 10;

/// The event of the timer; connections have their index.
const TIMER: u64 = u64::MAX;

/// Carries the plan out.
pub(crate) fn run(plan: &'static Plan, ledger: &mut Ledger) -> anyhow::Result<()> {
    let mut load = Load::new(plan, ledger)?;
    load.dispatch()?;
    let mut events = vec![EpollEvent::empty(); plan.connections + 1];
    while !load.is_over() {
        let left = load.ledger.last_call().saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let timeout = EpollTimeout::try_from(left.min(load.wait_max()))?;
        let ready = match load.epoll.wait(&mut events, timeout) {
            Err(Errno::EINTR) => continue,
            outcome => outcome?,
        };
        for event in &events[..ready] {
            if event.data() != TIMER {
                load.advance(usize::try_from(event.data())?, event.events());
            }
        }
        load.read_shares();
        load.ledger.check()?;
        load.dispatch()?;
    }
    Ok(())
}

struct Load<'run> {
    plan: &'static Plan,
    ledger: &'run mut Ledger,
    epoll: Epoll,
    timer: TimerFd,
    connections: Vec<Connection>,
    /// Connections that have nothing under way.
    idle: Vec<usize>,
    /// Whether the schedule has given out its last request.
    finished: bool,
    buffer: Vec<u8>,
    /// When connections with a rate read last.
    read_at: Instant,
}

struct Connection {
    stream: Option<TcpStream>,
    exchange: Exchange,
    /// How much of the batch was written.
    written: usize,
    is_idle: bool,
}

impl<'run> Load<'run> {
    fn new(plan: &'static Plan, ledger: &'run mut Ledger) -> anyhow::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK)?;
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        epoll.add(&timer, EpollEvent::new(flags, TIMER))?;
        let now = Instant::now();
        let connection = || Connection {
            stream: None,
            exchange: Exchange::new(now),
            written: plan.batch.len(),
            is_idle: true,
        };
        Ok(Self {
            plan,
            ledger,
            epoll,
            timer,
            connections: (0..plan.connections).map(|_| connection()).collect(),
            idle: (0..plan.connections).rev().collect(),
            finished: false,
            read_at: now,
            buffer: vec![0; READ_BYTES],
        })
    }

    fn is_over(&self) -> bool {
        self.finished && self.ledger.under_way() == 0
    }

    /// Gives idle connections what is due, and sets the timer for what is not.
    fn dispatch(&mut self) -> anyhow::Result<()> {
        while let Some(index) = self.idle.pop() {
            match self.ledger.next(Instant::now()) {
                Next::Send(due) => self.begin(index, due)?,
                Next::Wait(due) => {
                    self.idle.push(index);
                    let left = due.saturating_duration_since(Instant::now());
                    let left = left.max(Duration::from_nanos(1));
                    self.timer.set(Expiration::OneShot(left.into()), TimerSetTimeFlags::empty())?;
                    break;
                }
                Next::Never => {
                    self.idle.push(index);
                    self.finished = true;
                    break;
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, index: usize, due: Instant) -> anyhow::Result<()> {
        let connection = &mut self.connections[index];
        connection.is_idle = false;
        connection.written = 0;
        connection.exchange.begin(self.plan.pipeline, due, Instant::now());
        if connection.stream.is_none() {
            let room = self.plan.read_rate.map(|_| READ_ROOM_BYTES);
            let stream =
                socket::connect(self.plan.address, room).context("cannot reach the server")?;
            let flags = EpollFlags::EPOLLIN
                | EpollFlags::EPOLLOUT
                | EpollFlags::EPOLLRDHUP
                | EpollFlags::EPOLLET;
            self.epoll.add(stream.as_fd(), EpollEvent::new(flags, u64::try_from(index)?))?;
            connection.stream = Some(stream);
        }
        self.write(index);
        Ok(())
    }

    /// Writes what the socket takes; it says when it takes more.
    fn write(&mut self, index: usize) {
        let Connection { stream: Some(stream), exchange, written, .. } =
            &mut self.connections[index]
        else {
            return;
        };
        while *written < self.plan.batch.len() {
            match stream.write(&self.plan.batch[*written..]) {
                Ok(count) => *written += count,
                Err(error) if is_not_ready(&error) => return,
                Err(error) => {
                    let progress = exchange.ended(&error.to_string(), Instant::now(), self.ledger);
                    return self.settle(index, &progress);
                }
            }
        }
    }

    fn advance(&mut self, index: usize, events: EpollFlags) {
        if events.contains(EpollFlags::EPOLLOUT) {
            self.write(index);
        }
        let has_ended =
            events.intersects(EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
        let is_paced = self.plan.read_rate.is_some();
        if !is_paced && (has_ended || events.contains(EpollFlags::EPOLLIN)) {
            self.read(index, has_ended, usize::MAX);
        }
    }

    fn wait_max(&self) -> Duration {
        if self.plan.read_rate.is_some() { READ_TURN } else { Duration::from_millis(100) }
    }

    /// Connections with a rate read what is theirs of the time since they did last.
    fn read_shares(&mut self) {
        let (Some(rate), elapsed) = (self.plan.read_rate, self.read_at.elapsed()) else { return };
        if elapsed < READ_TURN {
            return;
        }
        self.read_at = Instant::now();
        let share = u128::from(rate) * elapsed.min(2 * READ_TURN).as_micros() / 1_000_000;
        for index in 0..self.connections.len() {
            if !self.connections[index].is_idle {
                self.read(index, false, usize::try_from(share).unwrap_or(usize::MAX));
            }
        }
    }

    /// Reads what is there, up to so many bytes: a short read has emptied the socket, unless the
    /// peer has ended too.
    fn read(&mut self, index: usize, has_ended: bool, mut bytes_max: usize) {
        while bytes_max > 0 {
            let Connection { stream: Some(stream), exchange, .. } = &mut self.connections[index]
            else {
                return;
            };
            let room = bytes_max.min(READ_BYTES);
            let outcome = stream.read(&mut self.buffer[..room]);
            bytes_max -= outcome.as_ref().map_or(0, |length| (*length).min(bytes_max));
            let now = Instant::now();
            let (progress, is_empty) = match outcome {
                Ok(0) => (exchange.ended("closed by the server", now, self.ledger), true),
                Ok(length) => (
                    exchange.received(&self.buffer[..length], now, self.ledger),
                    length < room && !has_ended,
                ),
                Err(error) if is_not_ready(&error) => return,
                Err(error) => (exchange.ended(&error.to_string(), now, self.ledger), true),
            };
            self.settle(index, &progress);
            if is_empty {
                return;
            }
        }
    }

    fn settle(&mut self, index: usize, progress: &Progress) {
        let connection = &mut self.connections[index];
        let closes = match progress {
            Progress::Partial => return,
            Progress::Answered { closes } => *closes || self.plan.churn,
            Progress::Broken => true,
        };
        if closes {
            // Closing takes it out of the set.
            connection.stream = None;
        }
        if !connection.is_idle {
            connection.is_idle = true;
            self.idle.push(index);
        }
    }
}

fn is_not_ready(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::NotConnected)
}
