//! Lines on their way to a thread that may call the application's language.
//!
//! Most lines never come here: a thread that runs the application, and so may call its language
//! already, writes the line of what it has answered itself. Here are those of the loop, the monitor
//! and the probes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::access::WAITING_BYTES_MAX;
use crate::access::line::{Line, Severity};

/// Which lines somebody listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as the severities are")]
pub struct Heard {
    pub info: bool,
    pub warning: bool,
    pub error: bool,
}

/// How long what is heard is taken to stay as it was: whoever changes it at run time waits for no
/// longer, and no request pays for asking.
const HEARD_FOR: Duration = Duration::from_secs(1);

/// The queue of this process.
#[derive(Debug, Default)]
pub struct Handover {
    queue: Mutex<Queue>,
    /// Lines have come.
    came: Condvar,
    /// All lines are written.
    written: Condvar,
    /// A bit for each severity that is *not* heard: before anybody was asked, all are.
    unheard: AtomicU8,
    /// When that was found out, in nanoseconds since `epoch`; 0: never.
    asked_ns: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Line>,
    bytes: usize,
    /// Those that nobody has been told of.
    dropped: u64,
    /// Lines are out of the queue and not yet written.
    is_writing: bool,
}

impl Handover {
    /// Whether a line about this status code would be heard.
    pub fn wants(&self, status: u16) -> bool {
        self.unheard.load(Ordering::Relaxed) & bit(Severity::of(status)) == 0
    }

    /// Whether it has to be found out again what is heard, `now_ns` on any clock that does not go
    /// back. Answers true to one caller at a time.
    pub fn must_ask(&self, now_ns: u64) -> bool {
        let asked = self.asked_ns.load(Ordering::Relaxed);
        let is_old = asked == 0 || now_ns.saturating_sub(asked) > HEARD_FOR.as_nanos() as u64;
        let now_ns = now_ns.max(1);
        is_old
            && self
                .asked_ns
                .compare_exchange(asked, now_ns, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Publishes what is heard.
    pub fn set_heard(&self, heard: Heard) {
        let pairs = [
            (heard.info, Severity::Info),
            (heard.warning, Severity::Warning),
            (heard.error, Severity::Error),
        ];
        let unheard = pairs.into_iter().filter(|(is_heard, _)| !is_heard);
        let bits = unheard.fold(0, |bits, (_, severity)| bits | bit(severity));
        self.unheard.store(bits, Ordering::Relaxed);
    }

    /// Queues a line; false: it is dropped.
    pub(super) fn push(&self, line: Line) -> bool {
        let bytes = line.bytes();
        let mut queue = self.lock();
        if queue.bytes + bytes > WAITING_BYTES_MAX {
            queue.dropped += 1;
            return false;
        }
        let was_empty = queue.lines.is_empty();
        queue.bytes += bytes;
        queue.lines.push_back(line);
        drop(queue);
        if was_empty {
            self.came.notify_one();
        }
        true
    }

    /// Waits for lines and takes all that are there, with the number of those that were dropped
    /// before them. The lines taken before count as written.
    pub fn take(&self) -> (VecDeque<Line>, u64) {
        let mut queue = self.lock();
        queue.is_writing = false;
        if queue.lines.is_empty() {
            self.written.notify_all();
        }
        while queue.lines.is_empty() {
            queue = self.came.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.is_writing = true;
        queue.bytes = 0;
        (std::mem::take(&mut queue.lines), std::mem::take(&mut queue.dropped))
    }

    /// Waits until every line is written.
    pub(super) fn flush(&self, patience: Duration) {
        let end = Instant::now() + patience;
        let mut queue = self.lock();
        while !queue.lines.is_empty() || queue.is_writing {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.written.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bit(severity: Severity) -> u8 {
    match severity {
        Severity::Info => 1,
        Severity::Warning => 2,
        Severity::Error => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hurricane_http::Answered;

    fn line(status: u16) -> Line {
        Line::of(&Answered { status, head: None, peer: None, took: Duration::ZERO })
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_told_with_the_next_lines() {
        let handover = Handover::default();
        let room = WAITING_BYTES_MAX / line(200).bytes();
        for _ in 0..room {
            assert!(handover.push(line(200)));
        }
        assert!(!handover.push(line(200)));
        let (lines, dropped) = handover.take();
        assert_eq!((lines.len(), dropped), (room, 1));
        assert!(handover.push(line(200)));
        assert_eq!(handover.take().1, 0);
    }

    #[test]
    fn everything_is_heard_until_somebody_was_asked() {
        let handover = Handover::default();
        assert!([200, 404, 500].iter().all(|status| handover.wants(*status)));
        handover.set_heard(Heard { info: false, warning: true, error: true });
        assert_eq!([200, 404, 500].map(|status| handover.wants(status)), [false, true, true]);
    }

    #[test]
    fn what_is_heard_is_asked_for_once_a_second() {
        let handover = Handover::default();
        let asked = [5, 6, 900_000_000, 1_000_000_006, 1_000_000_007];
        let must = asked.map(|now_ns| handover.must_ask(now_ns));
        assert_eq!(must, [true, false, false, true, false]);
    }

    #[test]
    fn a_flush_ends_when_the_lines_are_written_or_its_time_is_over() {
        let handover = Handover::default();
        handover.flush(Duration::ZERO);
        assert!(handover.push(line(200)));
        handover.flush(Duration::from_millis(1));
        std::thread::scope(|scope| {
            scope.spawn(|| handover.flush(Duration::from_secs(20)));
            assert_eq!(handover.take().0.len(), 1);
            assert!(handover.push(line(200)));
            assert_eq!(handover.take().0.len(), 1);
            handover.lock().is_writing = false;
            handover.written.notify_all();
        });
    }
}
