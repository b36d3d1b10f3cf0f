//! Lines that the server writes itself, on stderr, beside its other lines.
//!
//! Who has answered appends its line to a buffer. A thread, started with the first line, takes what
//! has gathered and writes it: it alone waits for whoever reads stderr.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::stderr;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use crate::access::WAITING_BYTES_MAX;
use crate::access::line::{Line, Severity};
use crate::config::Config;
use crate::values::{LogFormat, LogLevel};

/// How long lines gather. A reader sees no delay, and a busy worker writes 50 times a second.
const GATHERING: Duration = Duration::from_millis(20);
/// Bytes of one write. A pipe takes so many at once or not at all, so that lines of several
/// processes never mix.
const PIPE_BUF: usize = 4096;

/// The native access log of this process.
#[derive(Debug)]
pub(super) struct Native {
    format: LogFormat,
    level: LogLevel,
    buffer: Arc<Buffer>,
}

#[derive(Debug, Default)]
struct Buffer {
    waiting: Mutex<Waiting>,
    /// Lines have come, and the thread waits for some.
    came: Condvar,
    /// All lines are written.
    written: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    thread: Thread,
    /// Lines that nobody has been told of.
    dropped: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Thread {
    #[default]
    NotStarted,
    Waits,
    Writes,
}

thread_local! {
    static TEXT: RefCell<String> = const { RefCell::new(String::new()) };
}

impl Native {
    pub(super) fn new(config: &Config) -> Self {
        Self { format: config.log_format, level: config.log_level, buffer: Arc::default() }
    }

    /// Whether the level of the log lets a line about this status code through.
    pub(super) fn wants(&self, status: u16) -> bool {
        match Severity::of(status) {
            Severity::Info => !matches!(self.level, LogLevel::Error | LogLevel::Warn),
            Severity::Warning => self.level != LogLevel::Error,
            Severity::Error => true,
        }
    }

    /// Appends a line; false: there is no room, and it is dropped.
    pub(super) fn write(&self, line: &Line) -> bool {
        TEXT.with_borrow_mut(|text| {
            text.clear();
            self.render(line, text);
            self.buffer.append(text.as_bytes())
        })
    }

    fn render(&self, line: &Line, text: &mut String) {
        // Writing to a String cannot fail.
        let _ = match self.format {
            LogFormat::Json => self.render_json(line, text),
            LogFormat::Auto | LogFormat::Human => self.render_text(line, text),
        };
        text.push('\n');
    }

    fn render_text(&self, line: &Line, text: &mut String) -> std::fmt::Result {
        let level = match line.severity() {
            Severity::Info => " INFO",
            Severity::Warning => " WARN",
            Severity::Error => "ERROR",
        };
        SystemTime.format_time(&mut Writer::new(text))?;
        write!(text, " {level} {line}")?;
        line.id().map_or(Ok(()), |id| write!(text, " id={id}"))
    }

    fn render_json(&self, line: &Line, text: &mut String) -> std::fmt::Result {
        let mut timestamp = String::with_capacity(32);
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let record = Record {
            timestamp,
            level: match line.severity() {
                Severity::Info => "INFO",
                Severity::Warning => "WARN",
                Severity::Error => "ERROR",
            },
            message: line.to_string(),
            status: line.status(),
            method: line.method(),
            path: line.path(),
            request_time: (line.milliseconds() * 1000.0).round() / 1000.0,
            remote_ip: line.peer().map(|peer| peer.to_string()),
            id: line.id(),
            traceparent: line.traceparent(),
            target: "hurricane.server.access",
        };
        text.push_str(&serde_json::to_string(&record).map_err(|_| std::fmt::Error)?);
        Ok(())
    }

    pub(super) fn flush(&self, patience: Duration) {
        self.buffer.flush(patience);
    }
}

/// A line as JSON: the names are those of the events that structlog gets.
#[derive(Serialize)]
struct Record<'a> {
    timestamp: String,
    level: &'static str,
    message: String,
    status: u16,
    method: &'a str,
    path: &'a str,
    /// In milliseconds.
    request_time: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    target: &'static str,
}

impl Buffer {
    fn append(self: &Arc<Self>, line: &[u8]) -> bool {
        let mut waiting = self.lock();
        if waiting.bytes.len() + line.len() > WAITING_BYTES_MAX {
            waiting.dropped += 1;
            return false;
        }
        waiting.bytes.extend_from_slice(line);
        let thread = waiting.thread;
        if thread != Thread::Writes {
            waiting.thread = Thread::Writes;
        }
        drop(waiting);
        match thread {
            Thread::Writes => true,
            Thread::Waits => {
                self.came.notify_one();
                true
            }
            Thread::NotStarted => self.start(),
        }
    }

    /// Starts the thread; false: it cannot be had, and what was to be written is dropped.
    fn start(self: &Arc<Self>) -> bool {
        let buffer = Arc::clone(self);
        let builder = std::thread::Builder::new().name("access-log".to_owned());
        let started = builder.spawn(move || buffer.write_on(stderr())).is_ok();
        if !started {
            let mut waiting = self.lock();
            waiting.thread = Thread::NotStarted;
            waiting.bytes.clear();
        }
        started
    }

    /// The life of the thread.
    fn write_on(&self, file: impl AsFd) {
        let mut taken = Vec::new();
        loop {
            std::thread::park_timeout(GATHERING);
            let dropped = {
                let mut waiting = self.lock();
                std::mem::swap(&mut waiting.bytes, &mut taken);
                std::mem::take(&mut waiting.dropped)
            };
            write_lines(&file, &taken);
            taken.clear();
            if dropped > 0 {
                tracing::warn!(
                    dropped,
                    "lines of the access log were dropped: stderr was not read fast enough"
                );
            }
            self.wait();
        }
    }

    /// Returns when there are lines.
    fn wait(&self) {
        let mut waiting = self.lock();
        if !waiting.bytes.is_empty() {
            return;
        }
        self.written.notify_all();
        waiting.thread = Thread::Waits;
        while waiting.thread == Thread::Waits {
            waiting = self.came.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn flush(&self, patience: Duration) {
        let end = Instant::now() + patience;
        let mut waiting = self.lock();
        while waiting.thread == Thread::Writes {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.written.wait_timeout(waiting, left);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes whole lines, as many at a time as a pipe takes in one piece. What cannot be written is
/// given up: there is nobody to tell.
fn write_lines(file: &impl AsFd, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let window = &bytes[..bytes.len().min(PIPE_BUF)];
        let line_end = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b'\n');
        let len = match window.iter().rposition(|byte| *byte == b'\n') {
            Some(at) => at + 1,
            None => line_end(bytes).map_or(bytes.len(), |at| at + 1),
        };
        let (piece, rest) = bytes.split_at(len);
        write_whole(file, piece);
        bytes = rest;
    }
}

fn write_whole(file: &impl AsFd, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match nix::unistd::write(file, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(nix::Error::EINTR) => {}
            // Somebody who shares our stderr has made it non-blocking.
            Err(nix::Error::EAGAIN) => {
                let mut watched = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
                let _ = poll(&mut watched, PollTimeout::NONE);
            }
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    use super::*;
    use hurricane_http::{Answered, Head, Limits};

    fn native(format: LogFormat, level: LogLevel) -> Native {
        Native { format, level, buffer: Arc::default() }
    }

    fn rendered(format: LogFormat) -> String {
        let request = b"GET /a?b HTTP/1.1\r\nHost: a\r\nX-Request-ID: \"1\"\r\n\r\n";
        let head = Head::parse(request, &Limits::default()).unwrap().unwrap().0;
        let took = Duration::from_millis(5);
        let line = Line::of(&Answered { status: 404, head: Some(&head), peer: None, took });
        let mut text = String::new();
        native(format, LogLevel::Info).render(&line, &mut text);
        text
    }

    #[test]
    fn a_line_of_text_looks_like_the_others_of_the_server() {
        let text = rendered(LogFormat::Human);
        let (time, rest) = text.split_once(' ').unwrap();
        assert!(time.ends_with('Z') && time.len() == 27, "{time}");
        assert_eq!(rest, " WARN 404 GET /a?b (-) 5.00ms id=\"1\"\n");
    }

    #[test]
    fn a_line_of_json_is_one_flat_object() {
        let record: serde_json::Value = serde_json::from_str(&rendered(LogFormat::Json)).unwrap();
        assert_eq!(record["message"], "404 GET /a?b (-) 5.00ms");
        assert_eq!((&record["id"], &record["path"]), (&"\"1\"".into(), &"/a".into()));
        assert_eq!((&record["status"], &record["request_time"]), (&404.into(), &5.0.into()));
        assert_eq!(record.get("traceparent"), None);
    }

    #[test]
    fn the_level_decides_which_answers_are_told() {
        let wants = |level| [200, 404, 500].map(|it| native(LogFormat::Auto, level).wants(it));
        assert_eq!(wants(LogLevel::Debug), [true, true, true]);
        assert_eq!(wants(LogLevel::Warn), [false, true, true]);
        assert_eq!(wants(LogLevel::Error), [false, false, true]);
    }

    #[test]
    fn a_reader_that_does_not_read_costs_lines_and_no_memory() {
        let buffer = Arc::new(Buffer::default());
        buffer.lock().thread = Thread::Writes;
        let line = [b'x'; 1024];
        let taken = (0..2048).filter(|_| buffer.append(&line)).count();
        assert_eq!(taken, WAITING_BYTES_MAX / line.len());
        assert_eq!(buffer.lock().dropped, 2048 - taken as u64);
    }

    #[test]
    fn lines_are_written_whole() {
        let (mut reading, writing) = UnixStream::pair().unwrap();
        let long = format!("{}\n", "l".repeat(PIPE_BUF + 10));
        let text = "short\n".repeat(1000) + &long + "last\n";
        let wanted = text.len();
        let reader = std::thread::spawn(move || {
            let mut read = vec![0; wanted];
            reading.read_exact(&mut read).map(|()| read)
        });
        write_lines(&writing, text.as_bytes());
        assert_eq!(reader.join().unwrap().unwrap(), text.as_bytes());
    }
}
