//! Workers and the control process as children of the supervisor: threads or processes.
//!
//! Each child has one end of a socket pair, its orders. Single bytes from the supervisor tell it
//! what to do; what made it fail comes back on the same socket before it ends, so that the
//! supervisor can say it in one sentence, whichever kind of child it was.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hurricane_scoreboard::Slot;
use hurricane_worker::{
    CLOSE_ORDER, DRAIN_ORDER, LEAVE_ORDER, RETIRE_ORDER, STOP_ORDER, WorkerError,
};

use crate::examination::stacks::StackFile;
use crate::examination::{Examination, Findings, Patient, Remains};
use crate::process::How;
use crate::watch::Judgement;

/// What the supervisor tells a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Go on accepting, and let every answer carry `Connection: close`.
    Drain,
    /// Empty the accept queue, end what runs, return.
    Stop,
    /// Leave the listening socket to a successor, end with the last connection.
    Retire,
    /// After that: close idle connections at once.
    CloseIdle,
    /// Empty the accept queue of a socket that nobody else has, end with the last connection.
    Leave,
}

/// Why a child ended by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// `--io io-uring` cannot be had: no other start will go better.
    RingRefused(String),
    /// The broker cannot be had, and nobody is to wait for it.
    Disconnected(String),
    /// Anything else.
    Other(String),
}

/// A failure's text is cut to this length on its way to the supervisor.
const REPORT_BYTES_MAX: usize = 2048;

impl Failure {
    /// The sentence without its kind.
    pub(crate) fn into_sentence(self) -> String {
        match self {
            Self::RingRefused(sentence) | Self::Disconnected(sentence) | Self::Other(sentence) => {
                sentence
            }
        }
    }

    fn encode(&self) -> Vec<u8> {
        let (kind, text) = match self {
            Self::RingRefused(text) => (b'r', text),
            Self::Disconnected(text) => (b'd', text),
            Self::Other(text) => (b'f', text),
        };
        let text = &text.as_bytes()[..text.len().min(REPORT_BYTES_MAX)];
        [&[kind], text].concat()
    }

    fn decode(report: &[u8]) -> Option<Self> {
        let (kind, text) = report.split_first()?;
        let text = String::from_utf8_lossy(text).into_owned();
        Some(match kind {
            b'r' => Self::RingRefused(text),
            b'd' => Self::Disconnected(text),
            _ => Self::Other(text),
        })
    }
}

impl From<WorkerError> for Failure {
    fn from(error: WorkerError) -> Self {
        match error {
            WorkerError::RingRefused(_) => Self::RingRefused(error.to_string()),
            other => Self::Other(with_causes(&other)),
        }
    }
}

/// An error and its causes on one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Some errors print their cause themselves.
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

/// What runs a child.
#[derive(Debug)]
pub(crate) enum Body {
    /// A thread of this process. Its end hangs up `life`, which wakes the supervisor; on its
    /// orders a ring may hold on for longer.
    Thread {
        /// The thread.
        thread: JoinHandle<()>,
        /// The other end is the thread's.
        life: UnixStream,
    },
    /// A process with this id.
    Process(i32),
}

/// A running worker or control process.
#[derive(Debug)]
pub(crate) struct Child {
    body: Body,
    orders: UnixStream,
    started: Instant,
    /// What a worker process writes when it is asked for its stacks, or crashes.
    stacks: Option<StackFile>,
    examination: Examination,
}

impl Child {
    pub(crate) fn new(body: Body, orders: UnixStream, stacks: Option<StackFile>) -> Self {
        Self::adopt(body, orders, stacks, Instant::now())
    }

    /// A child that an earlier image of this process has started.
    pub(crate) fn adopt(
        body: Body,
        orders: UnixStream,
        stacks: Option<StackFile>,
        started: Instant,
    ) -> Self {
        // A child that does not read its orders must not stop the supervisor.
        let _ = orders.set_nonblocking(true);
        let examination = Examination::default();
        Self { body, orders, started, stacks, examination }
    }

    pub(crate) fn orders(&self) -> &UnixStream {
        &self.orders
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    pub(crate) fn stacks(&self) -> Option<&StackFile> {
        self.stacks.as_ref()
    }

    pub(crate) fn lived(&self) -> Duration {
        self.started.elapsed()
    }

    /// Its process, unless it is a thread.
    pub(crate) fn pid(&self) -> Option<i32> {
        match self.body {
            Body::Process(pid) => Some(pid),
            Body::Thread { .. } => None,
        }
    }

    /// A thread's sign of life, which hangs up when it ends.
    pub(crate) fn life(&self) -> Option<&UnixStream> {
        match &self.body {
            Body::Thread { life, .. } => Some(life),
            Body::Process(_) => None,
        }
    }

    /// Whether a thread has ended. Of processes the kernel tells.
    pub(crate) fn is_finished_thread(&self) -> bool {
        matches!(&self.body, Body::Thread { thread, .. } if thread.is_finished())
    }

    /// A child that has ended already cannot hear it, which is as well.
    pub(crate) fn tell(&self, order: Order) {
        let byte = match order {
            Order::Drain => DRAIN_ORDER,
            Order::Stop => STOP_ORDER,
            Order::Retire => RETIRE_ORDER,
            Order::CloseIdle => CLOSE_ORDER,
            Order::Leave => LEAVE_ORDER,
        };
        let _ = (&self.orders).write_all(&[byte]);
    }

    /// Finds out what a worker in trouble is doing, step by step; returns once what was found. Of
    /// a thread there is nothing to find.
    pub(crate) fn examine(&mut self, judgement: Judgement, slot: &Slot) -> Option<Findings> {
        let is_condemned = matches!(judgement, Judgement::Stalled(_) | Judgement::Stuck(_));
        let Body::Process(pid) = self.body else {
            return is_condemned.then(Findings::default);
        };
        let patient = Patient { pid, stacks: self.stacks.as_ref(), slot };
        self.examination.advance(judgement, &patient)
    }

    /// When the examination goes on, if one is under way.
    pub(crate) fn examination_due(&self) -> Option<Instant> {
        self.examination.due()
    }

    /// What a worker that has ended has left behind in its slot and in its file.
    pub(crate) fn remains(&self, slot: &Slot, how: Option<How>) -> Remains {
        Remains::find(slot, self.stacks.as_ref(), how)
    }

    /// What the child said before it ended.
    pub(crate) fn last_words(&self) -> Option<Failure> {
        let mut report = Vec::new();
        // At the end of what was said there is either an end of file or nothing yet.
        let _ = (&self.orders).take(REPORT_BYTES_MAX as u64 + 1).read_to_end(&mut report);
        Failure::decode(&report)
    }
}

/// Runs a child's work and says on its orders socket what went wrong; returns its exit code.
pub(crate) fn run_and_report(
    orders: UnixStream,
    work: impl FnOnce(UnixStream) -> Result<(), Failure>,
) -> io::Result<i32> {
    let mut report = orders.try_clone()?;
    let failure = match catch_unwind(AssertUnwindSafe(|| work(orders))) {
        Ok(Ok(())) => return Ok(0),
        Ok(Err(failure)) => failure,
        Err(panic) => {
            let literal = panic.downcast_ref::<&str>().copied();
            let text = literal.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            Failure::Other(format!("panicked: {}", text.unwrap_or("without a message")))
        }
    };
    let _ = report.write_all(&failure.encode());
    Ok(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_words(work: impl FnOnce(UnixStream) -> Result<(), Failure>) -> Option<Failure> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        run_and_report(theirs, work).unwrap();
        Child::new(Body::Process(0), ours, None).last_words()
    }

    #[test]
    fn the_supervisor_hears_why_a_child_failed() {
        assert_eq!(last_words(|_| Ok(())), None);
        let refused = Failure::RingRefused("no ring".into());
        let said = refused.clone();
        assert_eq!(last_words(|_| Err(said)), Some(refused));
        assert_eq!(
            last_words(|_| panic!("on {}", "purpose")),
            Some(Failure::Other("panicked: on purpose".into()))
        );
        let said = Failure::Disconnected("gone".into());
        assert_eq!(last_words(|_| Err(said.clone())), Some(said.clone()));
        let long = "x".repeat(10_000);
        let Some(Failure::Other(cut)) = last_words(|_| Err(Failure::Other(long))) else {
            panic!("nothing was said");
        };
        assert_eq!(cut.len(), REPORT_BYTES_MAX);
    }

    #[test]
    fn a_child_that_has_ended_takes_orders_in_silence() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let child = Child::new(Body::Process(0), ours, None);
        child.tell(Order::Drain);
        child.tell(Order::Stop);
        assert_eq!(child.last_words(), None);
    }
}
