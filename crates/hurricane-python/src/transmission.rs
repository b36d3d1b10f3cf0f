//! One response on its way from the application's thread to the peer.
//!
//! The thread writes on the socket itself, without waiting as long as the socket takes it. Of a
//! response that is known to its end, a rest that does not fit is left to the loop (see `held`);
//! while an application still produces, the thread waits for a slow peer, without the interpreter
//! lock.

use std::cell::RefCell;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hurricane_http::{
    BodyLength, FINAL_CHUNK, File, HttpDate, Limits, Outlet, Refusal, Request, RequestFacts,
    RequestId, ResponseError, Rest, TransferFraming, Written, chunk_prefix,
};
use hurricane_scoreboard::{Answer, Monotonic, PathId, Scoreboard, Slot};
use nix::sys::socket::{MsgFlags, send, sendmsg};
use pyo3::Python;

use crate::announced::Announced;
use crate::held::{Budget, Share};
use crate::patience::Patience;

/// Bytes of a body that are copied behind its head rather than sent from where they are.
const COPY_BYTES_MAX: usize = 16 * 1024;

/// A write that neither waits nor raises SIGPIPE.
const AT_ONCE: MsgFlags = MsgFlags::MSG_DONTWAIT.union(MsgFlags::MSG_NOSIGNAL);
/// More follows: the kernel waits for it, for no longer than 200 ms (tcp(7), TCP_CORK).
const MORE: MsgFlags = MsgFlags::from_bits_retain(nix::libc::MSG_MORE);

/// Why a response cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransmissionError {
    /// The application gave bytes before it called start_response.
    #[error("the application has not called start_response")]
    NotAnnounced,
    /// What the application announced cannot be sent.
    #[error("the application's response cannot be sent: {0}")]
    Invalid(#[from] ResponseError),
    /// The peer has left, or takes nothing for too long.
    #[error("the peer has left")]
    PeerLeft,
}

/// Whether reading a file costs less than having the loop send it.
fn is_short(file: &File) -> bool {
    file.len <= COPY_BYTES_MAX as u64
}

/// What every transmission of a worker needs.
#[derive(Debug)]
pub(crate) struct Means {
    pub(crate) limits: Limits,
    /// Memory for what slow peers have not taken.
    pub(crate) budget: Arc<Budget>,
    pub(crate) board: Scoreboard,
    /// Below `board.slots()`.
    pub(crate) slot: usize,
}

impl Means {
    pub(crate) fn slot(&self) -> &Slot {
        self.board.slot(self.slot).expect("the worker has checked its slot")
    }
}

/// What is left of a response when the application has done its part.
#[derive(Debug)]
pub(crate) struct Parcel {
    outlet: Outlet,
    bytes: Vec<u8>,
    /// Of the budget, when the bytes are many.
    share: Option<Share>,
    file: Option<File>,
    keep_alive: bool,
    pub(crate) status: u16,
    /// When the answer was counted.
    pub(crate) answered: Monotonic,
}

impl Parcel {
    /// A connection that is closed without a word.
    pub(crate) fn nothing(outlet: Outlet) -> Self {
        Self {
            outlet,
            bytes: Vec::new(),
            share: None,
            file: None,
            keep_alive: false,
            status: 0,
            answered: Monotonic::now(),
        }
    }

    /// Whether it may wait for others: short, and nothing that the loop must do.
    pub(crate) fn can_wait(&self) -> bool {
        self.keep_alive && self.file.is_none() && self.bytes.len() <= COPY_BYTES_MAX
    }

    /// Writes what the socket takes. The rest is the loop's; true: it must be woken.
    pub(crate) fn deliver(mut self) -> (Written, bool) {
        // The loop's FIN goes out with the last bytes of a connection.
        let how = if self.keep_alive { AT_ONCE } else { AT_ONCE | MORE };
        let mut sent = 0;
        while sent < self.bytes.len() {
            match send(self.outlet.as_fd().as_raw_fd(), &self.bytes[sent..], how) {
                Ok(count) => sent += count,
                Err(nix::Error::EINTR) => {}
                Err(nix::Error::EAGAIN) => break,
                Err(_) => {
                    (self.keep_alive, self.file) = (false, None);
                    sent = self.bytes.len();
                }
            }
        }
        let bytes = match self.share {
            Some(share) => share.hold(self.bytes),
            None => Bytes::from(self.bytes),
        };
        let bytes = bytes.slice(sent..);
        let rest = Rest { bytes, file: self.file };
        let wake = !self.keep_alive || !rest.bytes.is_empty() || rest.file.is_some();
        if !wake {
            self.outlet.settle();
        }
        (Written { status: self.status, keep_alive: self.keep_alive, rest }, wake)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The head has not been encoded.
    Head,
    /// `left`: bytes that the head still promises; `u64::MAX` where it promises no number.
    Body { framing: TransferFraming, left: u64 },
    /// Nothing more may be sent.
    Failed,
}

/// A response under way.
#[derive(Debug)]
pub(crate) struct Transmission {
    outlet: Outlet,
    facts: RequestFacts<'static>,
    /// What the answer tells of the request.
    id: Option<RequestId>,
    means: Arc<Means>,
    patience: Patience,
    /// Of the budget, for what is in `out` when it is many bytes.
    share: Option<Share>,
    announced: Option<Announced>,
    phase: Phase,
    /// Encoded bytes that are not yet sent.
    out: Vec<u8>,
    keep_alive: bool,
    status: u16,
    /// The application gave more bytes than its Content-Length.
    is_overrun: bool,
    /// When the request was whole.
    received: Monotonic,
    /// Where the request is counted.
    path: PathId,
    /// Bytes of the body so far, without their framing.
    body_bytes: u64,
    is_counted: bool,
    /// When the head was encoded, until bytes are written: then the application has had time of its
    /// own since.
    encoded: Option<Monotonic>,
    /// When the answer was counted.
    answered: Option<Monotonic>,
}

thread_local! {
    /// The date, and when the calendar was looked at.
    static DATE: RefCell<(HttpDate, Monotonic)> =
        RefCell::new((HttpDate::new(0), Monotonic::NEVER));
}

/// How old a date may be: as that of the loop, which is renewed with each heartbeat.
const DATE_AGE_MAX: Duration = Duration::from_millis(100);

fn with_date<R>(now: Monotonic, render: impl FnOnce(&HttpDate) -> R) -> R {
    DATE.with_borrow_mut(|(date, looked_at)| {
        if looked_at.is_never() || now.since(*looked_at) >= DATE_AGE_MAX {
            *looked_at = now;
            let today = SystemTime::now().duration_since(UNIX_EPOCH);
            date.update(today.map_or(0, |today| today.as_secs()));
        }
        render(date)
    })
}

impl Transmission {
    pub(crate) fn new(
        outlet: Outlet,
        request: &Request,
        received: Monotonic,
        means: Arc<Means>,
    ) -> Self {
        let facts = RequestFacts::of(&request.head, request.keep_alive);
        let limits = &means.limits;
        let patience = Patience::new(limits.write_timeout, limits.write_rate_min);
        Self {
            outlet,
            facts,
            id: request.head.echo(),
            means,
            patience,
            share: None,
            announced: None,
            phase: Phase::Head,
            out: Vec::new(),
            keep_alive: facts.keep_alive,
            status: 0,
            is_overrun: false,
            received,
            path: PathId::OTHER,
            body_bytes: 0,
            is_counted: false,
            encoded: None,
            answered: None,
        }
    }

    /// One that is no answer of the application.
    pub(crate) fn uncounted(
        outlet: Outlet,
        request: &Request,
        received: Monotonic,
        means: Arc<Means>,
    ) -> Self {
        Self { is_counted: true, id: None, ..Self::new(outlet, request, received, means) }
    }

    /// Says where the request is counted.
    pub(crate) fn count_under(&mut self, path: PathId) {
        self.path = path;
    }

    /// The status code that was announced last; 0: none.
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// Counts the response. Called before its last bytes are written: whoever has them finds it
    /// counted.
    fn count(&mut self) {
        if std::mem::replace(&mut self.is_counted, true) {
            return;
        }
        let now = self.encoded.unwrap_or_else(Monotonic::now);
        self.answered = Some(now);
        self.means.slot().count(&Answer {
            status: self.status,
            took_ns: now.nanos_since(self.received),
            body_bytes: self.body_bytes,
            path: self.path,
        });
    }

    /// Takes what the application announces, in place of what it announced before.
    pub(crate) fn announce(&mut self, mut announced: Announced) {
        self.status = announced.status();
        if !self.facts.dialect.sends_empty_fields {
            announced.drop_empty();
        }
        self.announced = Some(announced);
    }

    /// Whether a body that is made part by part is sent so.
    pub(crate) fn streams(&self) -> bool {
        self.facts.dialect.streams
    }

    /// What was announced last.
    pub(crate) fn announced(&self) -> Option<&Announced> {
        self.announced.as_ref()
    }

    /// The connection, for an end without an answer.
    pub(crate) fn outlet(&self) -> Outlet {
        self.outlet.clone()
    }

    pub(crate) fn has_announced(&self) -> bool {
        self.announced.is_some()
    }

    /// Whether the head has been encoded and may be on the wire: it cannot be taken back.
    pub(crate) fn has_begun(&self) -> bool {
        self.phase != Phase::Head
    }

    /// Whether the peer gets the bytes that are sent: not after HEAD, 204 and 304.
    pub(crate) fn has_body(&self) -> bool {
        !matches!(self.phase, Phase::Body { framing: TransferFraming::None, .. })
    }

    /// Whether the application gave another number of bytes than it had announced.
    pub(crate) fn length_fault(&self) -> Option<&'static str> {
        match self.phase {
            _ if self.is_overrun => Some("more"),
            Phase::Body { framing: TransferFraming::Length(_), left: 1.. } => Some("fewer"),
            _ => None,
        }
    }

    /// Encodes the head, unless that was done.
    pub(crate) fn begin(&mut self, length: BodyLength) -> Result<(), TransmissionError> {
        if self.phase != Phase::Head {
            return Ok(());
        }
        let announced = self.announced.as_ref().ok_or(TransmissionError::NotAnnounced)?;
        let keep_alive = self.facts.keep_alive && !self.outlet.must_close();
        let facts = RequestFacts { keep_alive, id: self.id.as_ref(), ..self.facts };
        let out = &mut self.out;
        let now = Monotonic::now();
        self.encoded = Some(now);
        let (framing, keep_alive) =
            with_date(now, |date| announced.encode(out, length, facts, date))?;
        self.keep_alive = keep_alive;
        let left = match framing {
            TransferFraming::None => 0,
            TransferFraming::Length(length) => length,
            TransferFraming::Chunked | TransferFraming::Close => u64::MAX,
        };
        self.phase = Phase::Body { framing, left };
        Ok(())
    }

    /// Sends bytes of the body, behind the head where it is still to be sent. `is_last`: nothing
    /// follows, so what does not fit may be left to the loop.
    pub(crate) fn send(
        &mut self,
        py: Python<'_>,
        data: &[u8],
        is_last: bool,
    ) -> Result<(), TransmissionError> {
        let Phase::Body { framing, left } = &mut self.phase else {
            return Err(TransmissionError::PeerLeft);
        };
        let data = if data.len() as u64 > *left {
            self.is_overrun = *framing != TransferFraming::None;
            &data[..usize::try_from(*left).unwrap_or(usize::MAX)]
        } else {
            data
        };
        self.body_bytes += data.len() as u64;
        if *left != u64::MAX {
            *left -= data.len() as u64;
        }
        let is_chunked = *framing == TransferFraming::Chunked && !data.is_empty();
        if *left == 0 {
            self.count();
        }
        if is_chunked {
            chunk_prefix(&mut self.out, data.len());
        }
        if data.len() <= COPY_BYTES_MAX {
            self.out.extend_from_slice(data);
            if is_chunked {
                self.out.extend_from_slice(b"\r\n");
            }
            if is_last { Ok(()) } else { self.flush(py, &[], false) }
        } else {
            self.flush(py, data, is_last)?;
            if is_chunked {
                self.out.extend_from_slice(b"\r\n");
            }
            Ok(())
        }
    }

    /// Sends `out` and `data` behind it. With `is_last` what the socket does not take is copied to
    /// `out`, if the budget allows it.
    fn flush(
        &mut self,
        py: Python<'_>,
        mut data: &[u8],
        is_last: bool,
    ) -> Result<(), TransmissionError> {
        self.encoded = None;
        let mut sent_of_out = 0;
        let result = loop {
            let parts = [IoSlice::new(&self.out[sent_of_out..]), IoSlice::new(data)];
            let left = parts[0].len() + parts[1].len();
            if left == 0 {
                break Ok(());
            }
            match sendmsg::<()>(self.outlet.as_fd().as_raw_fd(), &parts, &[], AT_ONCE, None) {
                Ok(sent) => {
                    self.patience.earn(sent);
                    let of_out = sent.min(parts[0].len());
                    sent_of_out += of_out;
                    data = &data[sent - of_out..];
                }
                Err(nix::Error::EINTR) => {}
                Err(nix::Error::EAGAIN) => {
                    self.share = if is_last { self.means.budget.take(left) } else { None };
                    if self.share.is_some() {
                        break Ok(());
                    }
                    let (patience, socket) = (&mut self.patience, self.outlet.as_fd());
                    if !py.detach(|| patience.wait_writable(socket)) {
                        self.means.slot().cut(Refusal::SLOW_READER.index());
                        break Err(TransmissionError::PeerLeft);
                    }
                }
                Err(_) => break Err(TransmissionError::PeerLeft),
            }
        };
        self.out.drain(..sent_of_out);
        self.out.extend_from_slice(data);
        if result.is_err() {
            self.fail();
        }
        result
    }

    /// Nothing more may be sent, and the connection ends: after a fault in mid-body the peer
    /// must see that the body is not whole.
    pub(crate) fn fail(&mut self) {
        self.phase = Phase::Failed;
        self.keep_alive = false;
        self.out.clear();
    }

    /// Forgets a head that has not been sent.
    pub(crate) fn take_back(&mut self) {
        debug_assert!(!self.has_begun());
        self.out.clear();
        self.announced = None;
    }

    /// Ends the response: what is still to be written.
    pub(crate) fn finish(&mut self, py: Python<'_>, file: Option<File>) -> Parcel {
        let file = self.limit_file(file);
        self.body_bytes += file.as_ref().map_or(0, |file| file.len);
        self.count();
        // Of a short file the head and all bytes are one write; the loop need not be woken.
        let file = file.filter(|file| !(is_short(file) && py.detach(|| self.read(file))));
        if let Phase::Body { framing, .. } = self.phase {
            if framing == TransferFraming::Chunked {
                self.out.extend_from_slice(FINAL_CHUNK);
            }
            if self.length_fault().is_some() || framing == TransferFraming::Close {
                self.keep_alive = false;
            }
        }
        Parcel {
            outlet: self.outlet.clone(),
            bytes: std::mem::take(&mut self.out),
            share: self.share.take(),
            file,
            keep_alive: self.keep_alive,
            status: self.status,
            answered: self.answered.unwrap_or_else(Monotonic::now),
        }
    }

    /// Puts a file's bytes behind the head. False, and nothing has changed, if it is shorter by now
    /// or cannot be read: the loop deals with that.
    fn read(&mut self, file: &File) -> bool {
        let Ok(len) = usize::try_from(file.len) else { return false };
        let begin = self.out.len();
        self.out.resize(begin + len, 0);
        let is_whole = file.file.read_exact_at(&mut self.out[begin..], file.offset).is_ok();
        if !is_whole {
            self.out.truncate(begin);
        }
        is_whole
    }

    /// The part of a file that the head promises.
    fn limit_file(&mut self, file: Option<File>) -> Option<File> {
        let Phase::Body { framing: TransferFraming::Length(_), left } = &mut self.phase else {
            return None;
        };
        let file = file?;
        let len = file.len.min(*left);
        *left -= len;
        Some(File { len, ..file })
    }
}
