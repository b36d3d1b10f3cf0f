//! The loop: sends a request on each connection, and the next one when it is answered.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::bail;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use serde_json::{Value, json};

use crate::connection::{Connection, Progress};
use crate::latency::Latencies;

/// A server that fails this often is broken, and its numbers mean nothing.
const ERRORS_MAX: u64 = 1_000;

/// How long responses are awaited after the last request was sent.
const GRACE: Duration = Duration::from_secs(5);

/// What is asked of whom, and for how long.
pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    pub(crate) request: Vec<u8>,
    pub(crate) connections: usize,
    pub(crate) duration: Duration,
    pub(crate) responses_max: u64,
}

/// What came back.
pub(crate) struct Outcome {
    responses: u64,
    errors: u64,
    first_error: Option<String>,
    elapsed: Duration,
    latencies: Latencies,
}

impl Outcome {
    pub(crate) fn json(&self) -> Value {
        json!({
            "requests": self.responses,
            "errors": self.errors,
            "first_error": self.first_error,
            "seconds": self.elapsed.as_secs_f64(),
            "latency_us": {
                "p50": self.latencies.quantile(0.5).as_micros(),
                "p99": self.latencies.quantile(0.99).as_micros(),
                "max": self.latencies.max().as_micros(),
            },
        })
    }
}

/// Runs the plan to its end; fails when the server cannot be reached or keeps failing.
pub(crate) fn run(plan: &Plan) -> anyhow::Result<Outcome> {
    let mut load = Load::start(plan)?;
    let mut events = vec![EpollEvent::empty(); plan.connections];
    while load.under_way > 0 {
        let now = Instant::now();
        load.sending &= now < load.end;
        let left = (load.end + GRACE).saturating_duration_since(now);
        if left.is_zero() {
            load.fail(format!("{} responses did not arrive", load.under_way));
            break;
        }
        let timeout = EpollTimeout::try_from(left.min(Duration::from_millis(100)))?;
        let ready = match load.epoll.wait(&mut events, timeout) {
            Err(Errno::EINTR) => continue,
            outcome => outcome?,
        };
        for event in &events[..ready] {
            load.advance(usize::try_from(event.data())?)?;
        }
    }
    Ok(load.outcome())
}

struct Load<'plan> {
    plan: &'plan Plan,
    epoll: Epoll,
    connections: Vec<Connection>,
    /// Requests sent and not yet answered; at most one per connection.
    under_way: usize,
    /// Whether an answer is followed by another request.
    sending: bool,
    start: Instant,
    end: Instant,
    responses: u64,
    errors: u64,
    first_error: Option<String>,
    latencies: Latencies,
}

impl<'plan> Load<'plan> {
    fn start(plan: &'plan Plan) -> anyhow::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let mut connections = Vec::with_capacity(plan.connections);
        for index in 0..plan.connections {
            let connection = Connection::open(plan.address)?;
            watch(&epoll, &connection, index)?;
            connections.push(connection);
        }
        let start = Instant::now();
        let mut load = Self {
            plan,
            epoll,
            connections,
            under_way: 0,
            sending: true,
            start,
            end: start + plan.duration,
            responses: 0,
            errors: 0,
            first_error: None,
            latencies: Latencies::default(),
        };
        for index in 0..plan.connections {
            load.send(index)?;
        }
        Ok(load)
    }

    /// Reads what arrived on a connection, and sends its next request when it was answered.
    fn advance(&mut self, index: usize) -> anyhow::Result<()> {
        match self.connections[index].receive() {
            Progress::Partial => Ok(()),
            Progress::Answered { status: 200, since } => {
                self.under_way -= 1;
                self.responses += 1;
                self.latencies.record(since.elapsed());
                self.sending &= self.responses < self.plan.responses_max;
                self.send(index)
            }
            Progress::Answered { status, .. } => {
                self.under_way -= 1;
                self.fail(format!("status {status}"));
                self.send(index)
            }
            Progress::Broken(cause) => {
                self.under_way -= 1;
                self.fail(cause);
                self.reopen(index)
            }
        }
    }

    fn send(&mut self, index: usize) -> anyhow::Result<()> {
        if !self.sending {
            return Ok(());
        }
        if self.errors >= ERRORS_MAX {
            bail!("{} requests failed, the first with: {:?}", self.errors, self.first_error);
        }
        match self.connections[index].send(&self.plan.request) {
            Ok(()) => {
                self.under_way += 1;
                Ok(())
            }
            Err(error) => {
                self.fail(error.to_string());
                self.reopen(index)
            }
        }
    }

    /// Replaces a broken connection; closing the old one takes it out of the epoll set.
    fn reopen(&mut self, index: usize) -> anyhow::Result<()> {
        if self.sending {
            self.connections[index] = Connection::open(self.plan.address)?;
            watch(&self.epoll, &self.connections[index], index)?;
        }
        self.send(index)
    }

    fn fail(&mut self, cause: String) {
        self.errors += 1;
        self.first_error.get_or_insert(cause);
    }

    fn outcome(self) -> Outcome {
        Outcome {
            responses: self.responses,
            errors: self.errors,
            first_error: self.first_error,
            elapsed: self.start.elapsed(),
            latencies: self.latencies,
        }
    }
}

fn watch(epoll: &Epoll, connection: &Connection, index: usize) -> anyhow::Result<()> {
    let event = EpollEvent::new(EpollFlags::EPOLLIN, u64::try_from(index)?);
    Ok(epoll.add(connection, event)?)
}
