//! A ring: a task for each connection on tokio-uring.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nix::sys::timer::{Expiration, TimerSetTimeFlags};
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags};
use tokio::sync::Notify;
use tokio_uring::Runtime;
use tokio_uring::fs::File;
use tokio_uring::net::TcpStream;

use crate::exchange::{Exchange, Progress};
use crate::ledger::{Ledger, Next};
use crate::plan::Plan;

const READ_BYTES: usize = 16 << 10;
const ENTRIES: u32 = 1024;

/// How often the run looks whether the server keeps failing.
const LOOK: Duration = Duration::from_millis(100);

/// A runtime on a ring, or why there is none.
pub(crate) fn runtime() -> std::io::Result<Runtime> {
    // Completions wait for the loop instead of interrupting it. Deferring them further, with
    // DEFER_TASKRUN, makes tokio-uring hang: nobody would enter the ring to run them.
    let mut ring = tokio_uring::uring_builder();
    ring.setup_coop_taskrun().setup_single_issuer();
    Runtime::new(tokio_uring::builder().entries(ENTRIES).uring_builder(&ring))
}

/// Carries the plan out.
pub(crate) fn run(
    runtime: &Runtime,
    plan: &'static Plan,
    ledger: &mut Ledger,
) -> anyhow::Result<()> {
    let placeholder = Ledger::open(plan, Instant::now())?;
    let run = Rc::new(Run {
        plan,
        ledger: RefCell::new(std::mem::replace(ledger, placeholder)),
        due: Notify::new(),
    });
    let outcome = runtime.block_on(Rc::clone(&run).to_the_end());
    let placeholder = Ledger::open(plan, Instant::now())?;
    *ledger = run.ledger.replace(placeholder);
    outcome
}

struct Run {
    plan: &'static Plan,
    ledger: RefCell<Ledger>,
    /// Wakes a connection for each request that has become due.
    due: Notify,
}

impl Run {
    async fn to_the_end(self: Rc<Self>) -> anyhow::Result<()> {
        let connections: Vec<_> = (0..self.plan.connections)
            .map(|_| tokio_uring::spawn(Rc::clone(&self).connection()))
            .collect();
        if self.plan.interval.is_some() {
            tokio_uring::spawn(Rc::clone(&self).pace());
        }
        let last_call = self.ledger.borrow().last_call();
        for connection in connections {
            let mut connection = connection;
            loop {
                match tokio::time::timeout(LOOK, &mut connection).await {
                    Ok(ended) => break ended.context("a connection's task ended early")??,
                    Err(_) if Instant::now() >= last_call => return Ok(()),
                    Err(_) => self.ledger.borrow().check()?,
                }
            }
        }
        Ok(())
    }

    /// Wakes connections when requests are due: tokio's own timers have a grain of 1 ms.
    async fn pace(self: Rc<Self>) -> anyhow::Result<()> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::empty())?;
        let interval = self.plan.interval.unwrap_or_default().max(Duration::from_micros(20));
        timer.set(Expiration::Interval(interval.into()), TimerSetTimeFlags::empty())?;
        let file = File::from_std(OwnedFd::from(timer).into());
        let mut buffer = Vec::with_capacity(8);
        loop {
            let (outcome, returned) = file.read_at(buffer, 0).await;
            outcome.context("cannot read the timer")?;
            buffer = returned;
            if self.ledger.borrow().has_ended(Instant::now()) {
                self.due.notify_waiters();
            } else {
                // The timer tells how often it has run out.
                let count = <[u8; 8]>::try_from(buffer.as_slice()).map_or(1, u64::from_ne_bytes);
                let idle = u64::try_from(self.plan.connections)?;
                (0..count.min(idle)).for_each(|_| self.due.notify_one());
            }
        }
    }

    async fn connection(self: Rc<Self>) -> anyhow::Result<()> {
        let mut exchange = Exchange::new(Instant::now());
        let mut stream = None;
        let mut buffer = Vec::with_capacity(READ_BYTES);
        loop {
            let now = Instant::now();
            let next = self.ledger.borrow_mut().next(now);
            match next {
                Next::Never => return Ok(()),
                Next::Wait(_) => self.due.notified().await,
                Next::Send(due) => {
                    exchange.begin(self.plan.pipeline, due, now);
                    let open = match stream.take() {
                        Some(open) => open,
                        None => connect(self.plan).await?,
                    };
                    let closes;
                    (closes, buffer) = self.ask(&open, &mut exchange, buffer).await;
                    if !closes && !self.plan.churn {
                        stream = Some(open);
                    }
                }
            }
        }
    }

    /// Sends a batch and reads until it is answered; says whether that was the connection's last.
    async fn ask(
        &self,
        stream: &TcpStream,
        exchange: &mut Exchange,
        mut buffer: Vec<u8>,
    ) -> (bool, Vec<u8>) {
        let (outcome, _) = stream.write_all(self.plan.batch.as_slice()).await;
        if let Err(error) = outcome {
            exchange.ended(&error.to_string(), Instant::now(), &mut self.ledger.borrow_mut());
            return (true, buffer);
        }
        loop {
            let outcome;
            (outcome, buffer) = stream.read(buffer).await;
            let (now, ledger) = (Instant::now(), &mut self.ledger.borrow_mut());
            let progress = match outcome {
                Ok(0) => exchange.ended("closed by the server", now, ledger),
                Ok(length) => exchange.received(&buffer[..length], now, ledger),
                Err(error) => exchange.ended(&error.to_string(), now, ledger),
            };
            match progress {
                Progress::Partial => {}
                Progress::Answered { closes } => return (closes, buffer),
                Progress::Broken => return (true, buffer),
            }
        }
    }
}

async fn connect(plan: &Plan) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(plan.address).await.context("cannot reach the server")?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
