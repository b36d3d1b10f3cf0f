//! The requests that a worker's application threads are running, by name: what a log line about
//! a worker that died or was killed has to say.
//!
//! Each application thread has a cell, writes it when it takes a request and clears it when the
//! request has ended. It costs some nanoseconds: no allocation, no formatting, no lock. The memory
//! is the scoreboard's, so the names outlive the worker, however it was killed.
//!
//! Only method and path are kept. A query string may hold secrets, and a log is no place for them.

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

use crate::Monotonic;
use crate::sequence::Sequence;

/// Application threads of a worker whose requests are named. Those of further threads are only
/// counted.
pub const REQUESTS_NAMED_MAX: usize = 16;

/// Method and path are cut to this length together.
const TEXT_BYTES_MAX: usize = 160;
const WORD_BYTES: usize = size_of::<u64>();

/// A thread as the kernel and as its own runtime know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadName {
    /// The kernel's thread id.
    pub tid: i32,
    /// `pthread_self`, by which a language runtime names it.
    pub pthread: u64,
}

/// What the application threads of one worker are running.
#[derive(Debug, Default)]
#[repr(C)]
pub struct RunningRequests {
    /// `pthread_self` of the loop.
    loop_pthread: AtomicU64,
    cells: [RequestCell; REQUESTS_NAMED_MAX],
}

/// Written by one thread.
///
/// `sequence` guards the text. `began_ns` alone says whether a request runs, so that its end is a
/// single store.
#[derive(Debug, Default)]
#[repr(C, align(64))]
struct RequestCell {
    sequence: Sequence,
    tid: AtomicI32,
    pthread: AtomicU64,
    began_ns: AtomicU64,
    /// Of the whole text; above `TEXT_BYTES_MAX` when it was cut.
    len: AtomicU64,
    text: [AtomicU64; TEXT_BYTES_MAX / WORD_BYTES],
}

impl RunningRequests {
    /// Application thread `index`, which is the caller, has begun to run this request.
    pub fn begin(
        &self,
        index: usize,
        thread: ThreadName,
        method: &str,
        path: &[u8],
        now: Monotonic,
    ) {
        let Some(cell) = self.cells.get(index) else { return };
        let mut text = [0; TEXT_BYTES_MAX];
        let mut filled = 0;
        for part in [method.as_bytes(), b" ", path] {
            let fits = part.len().min(TEXT_BYTES_MAX - filled);
            text[filled..filled + fits].copy_from_slice(&part[..fits]);
            filled += fits;
        }
        cell.sequence.write(|| {
            cell.tid.store(thread.tid, Ordering::Relaxed);
            cell.pthread.store(thread.pthread, Ordering::Relaxed);
            cell.len.store((method.len() + 1 + path.len()) as u64, Ordering::Relaxed);
            let (words, _) = text.as_chunks::<WORD_BYTES>();
            for (word, bytes) in cell.text.iter().zip(&words[..filled.div_ceil(WORD_BYTES)]) {
                word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
            }
            cell.began_ns.store(now.as_nanos(), Ordering::Relaxed);
        });
    }

    /// By what name (`pthread_self`) a language runtime knows the worker's loop, which runs no
    /// request.
    pub fn set_loop(&self, pthread: u64) {
        self.loop_pthread.store(pthread, Ordering::Relaxed);
    }

    /// See [`Self::set_loop`]; 0 when nothing was said.
    pub fn loop_pthread(&self) -> u64 {
        self.loop_pthread.load(Ordering::Relaxed)
    }

    /// What application thread `index` ran has ended.
    pub fn end(&self, index: usize) {
        if let Some(cell) = self.cells.get(index) {
            cell.began_ns.store(0, Ordering::Relaxed);
        }
    }

    /// Forgets what an earlier worker ran.
    pub(crate) fn clear(&self) {
        self.set_loop(0);
        for index in 0..self.cells.len() {
            self.end(index);
        }
    }

    /// What runs, or ran when the worker died: those that began first come first.
    pub fn read(&self) -> Vec<RequestReading> {
        let mut readings: Vec<_> = self.cells.iter().filter_map(RequestCell::read).collect();
        readings.sort_by_key(|request| request.began);
        readings
    }
}

impl RequestCell {
    fn read(&self) -> Option<RequestReading> {
        self.sequence.read(|| self.copy()).unwrap_or_else(|| {
            // A writer was stopped or died inside: the text may be half of two.
            self.copy().map(|reading| RequestReading { line: "(unreadable)".into(), ..reading })
        })
    }

    fn copy(&self) -> Option<RequestReading> {
        let began = Monotonic::from_nanos(self.began_ns.load(Ordering::Relaxed));
        if began.is_never() {
            return None;
        }
        let thread = ThreadName {
            tid: self.tid.load(Ordering::Relaxed),
            pthread: self.pthread.load(Ordering::Relaxed),
        };
        let len = usize::try_from(self.len.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        let kept = len.min(TEXT_BYTES_MAX);
        let words = self.text.iter().take(kept.div_ceil(WORD_BYTES));
        let mut text: Vec<u8> =
            words.flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).collect();
        text.truncate(kept);
        let mut line: String = String::from_utf8_lossy(&text)
            .chars()
            .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
            .collect();
        if len > kept {
            // The cut may have gone through a character.
            line.truncate(line.trim_end_matches(char::REPLACEMENT_CHARACTER).len());
            line.push('…');
        }
        Some(RequestReading { thread, began, line })
    }
}

/// A copy of a cell in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestReading {
    /// The thread that runs it.
    pub thread: ThreadName,
    /// When it was begun.
    pub began: Monotonic,
    /// Method and path, cut; without control characters.
    pub line: String,
}

impl RequestReading {
    /// How long it had run at `now`.
    pub fn age(&self, now: Monotonic) -> Duration {
        now.since(self.began)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREAD: ThreadName = ThreadName { tid: 7, pthread: 0x7f00_dead_beef };

    fn at(nanos: u64) -> Monotonic {
        Monotonic::from_nanos(nanos)
    }

    fn line(method: &str, path: &[u8]) -> String {
        let requests = RunningRequests::default();
        requests.begin(0, THREAD, method, path, at(1));
        requests.read()[0].line.clone()
    }

    #[test]
    fn what_runs_is_read_oldest_first_until_it_ends() {
        let requests = RunningRequests::default();
        assert!(requests.read().is_empty());
        requests.begin(0, THREAD, "GET", b"/second", at(20));
        requests.begin(3, THREAD, "POST", b"/first", at(10));
        let read = requests.read();
        assert_eq!(read[0].line, "POST /first");
        assert_eq!((read[1].thread, read[1].age(at(25))), (THREAD, Duration::from_nanos(5)));
        requests.end(3);
        requests.begin(0, THREAD, "PUT", b"/", at(30));
        let lines: Vec<_> = requests.read().into_iter().map(|request| request.line).collect();
        assert_eq!(lines, ["PUT /"]);
        requests.set_loop(THREAD.pthread);
        assert_eq!(requests.loop_pthread(), THREAD.pthread);
        requests.clear();
        assert!(requests.read().is_empty());
        assert_eq!(requests.loop_pthread(), 0);
    }

    #[test]
    fn threads_beyond_the_last_cell_are_left_out() {
        let requests = RunningRequests::default();
        requests.begin(REQUESTS_NAMED_MAX, THREAD, "GET", b"/", at(1));
        requests.end(REQUESTS_NAMED_MAX);
        assert!(requests.read().is_empty());
    }

    #[test]
    fn a_long_path_is_cut_at_a_character_and_controls_do_not_reach_a_log() {
        let fits = "x".repeat(TEXT_BYTES_MAX - 4);
        assert_eq!(line("GET", fits.as_bytes()), format!("GET {fits}"));
        let long = format!("/{}", "ä".repeat(TEXT_BYTES_MAX));
        let cut = line("GET", long.as_bytes());
        assert_eq!(cut, format!("GET /{}…", "ä".repeat((TEXT_BYTES_MAX - 5) / 2)));
        assert_eq!(line("GET", "/a\u{9b}31m".as_bytes()), "GET /a\u{fffd}31m");
        let method = "M".repeat(2 * TEXT_BYTES_MAX);
        assert_eq!(line(&method, b"/"), format!("{}…", "M".repeat(TEXT_BYTES_MAX)));
    }

    #[test]
    fn a_reader_never_sees_half_a_line() {
        let requests = RunningRequests::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1..50_000_u64 {
                    let path =
                        if round % 2 == 0 { "aaaaaaaaaaaa" } else { "bbbbbbbbbbbbbbbbbbbbb" };
                    requests.begin(0, THREAD, "GET", path.as_bytes(), at(round));
                    requests.end(0);
                }
            });
            for _ in 0..50_000 {
                for request in requests.read() {
                    let path = request.line.strip_prefix("GET ");
                    let whole =
                        path.is_none_or(|path| path == "a".repeat(12) || path == "b".repeat(21));
                    assert!(whole, "torn: {:?}", request.line);
                }
            }
        });
    }

    #[test]
    fn a_writer_killed_half_way_does_not_block_readers_or_its_successor() {
        let requests = RunningRequests::default();
        requests.begin(0, THREAD, "GET", b"/", at(1));
        requests.cells[0].sequence.begin();
        assert_eq!(requests.read()[0].line, "(unreadable)");
        requests.begin(0, THREAD, "GET", b"/next", at(2));
        assert_eq!(requests.read()[0].line, "GET /next");
    }
}
