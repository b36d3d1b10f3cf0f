//! The open connections of a worker and their deadlines.
//!
//! One sweep per heartbeat replaces a timer per read: an entry whose deadline has passed is
//! marked and its socket shut down, which ends the pending read or write on either engine
//! without cancelling it (a cancelled read can lose data).

use std::cell::{Cell, RefCell};
use std::net::Shutdown;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hurricane_http::{Limits, PeerState, time_at};
use hurricane_scoreboard::Monotonic;
use socket2::SockRef;

use crate::unsent::unsent_bytes;

/// What a connection is waiting for: the states of its life. `tests/worker/states.rs` holds each row.
///
/// | state | event | what the peer gets | state then |
/// |---|---|---|---|
/// | Request | a part of a head | nothing | Head |
/// | Request | a whole head | nothing | Reply |
/// | Request | the peer's end | our end | closed |
/// | Request | the deadline | our end | closed |
/// | Head | the rest of it, with a body to come | nothing | Body |
/// | Head | the rest of it | nothing | Reply |
/// | Head | a broken rule | its status, our end | Linger |
/// | Head | the deadline | 408, our end | Linger |
/// | Head | the peer's end | our end | closed |
/// | Body | the rest of it | nothing | Reply |
/// | Body | a broken rule | its status, our end | Linger |
/// | Body | the deadline | 408, our end | Linger |
/// | Body | the peer's end | our end | closed |
/// | Reply | an answer | the answer | Request |
/// | Reply | the last answer | the answer, our end | Linger |
/// | Reply | a panic of the application | 500, our end | Linger |
/// | Reply | the peer's end at once | the answer, our end | closed |
/// | Reply | the next request | both answers in order | Request |
/// | Write | the peer takes it all | the answer | Request |
/// | Write | the deadline | a part of the answer | closed |
/// | Write | the peer's reset | nothing | closed |
/// | Linger | the peer's end | nothing | closed |
/// | Linger | the deadline | nothing | closed |
/// | Linger | more than is read of a refused body | a reset | closed |
///
/// A handshake of TLS comes before all of them, in a task of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// The first byte of a request.
    Request,
    /// The peer's part of a TLS handshake, and a PROXY header before it.
    Handshake,
    /// The rest of a head.
    Head,
    /// The rest of a body.
    Body,
    /// The application's answer.
    Reply,
    /// The peer taking our bytes.
    Write,
    /// The peer closing after our FIN.
    Linger,
}

/// A connection as the sweep sees it. Owned by its connection task; the registry holds a share.
#[derive(Debug)]
pub(crate) struct Entry {
    socket: BorrowedFd<'static>,
    waiting: Cell<Waiting>,
    /// `Monotonic::NEVER`: none.
    deadline: Cell<Monotonic>,
    expired: Cell<bool>,
    /// What the peer had not taken when the sweep asked the kernel; none: it has not asked since
    /// the last bytes were written.
    unsent: Cell<Option<u64>>,
    /// Whether somebody else sees to it that the peer takes what is written: the tunnel of a
    /// connection over TLS.
    is_tunnelled: bool,
    /// From then on it ends with its next response; `Monotonic::NEVER`: it may grow as old as it
    /// likes.
    old_at: Cell<Monotonic>,
    /// Shared with the application's threads.
    pub(crate) peer: Arc<PeerState>,
}

impl Entry {
    pub(crate) fn new(socket: BorrowedFd<'static>) -> Self {
        Self {
            socket,
            waiting: Cell::new(Waiting::Request),
            deadline: Cell::new(Monotonic::NEVER),
            expired: Cell::new(false),
            unsent: Cell::new(None),
            is_tunnelled: false,
            old_at: Cell::new(Monotonic::NEVER),
            peer: Arc::default(),
        }
    }

    /// One whose peer is our own tunnel.
    pub(crate) fn tunnelled(socket: BorrowedFd<'static>) -> Self {
        Self { is_tunnelled: true, ..Self::new(socket) }
    }

    /// The socket; valid as long as the connection task lives.
    pub(crate) fn socket(&self) -> BorrowedFd<'static> {
        self.socket
    }

    /// A new connection waits for its first request, no longer than for a head.
    pub(crate) fn begin(&self, now: Monotonic, limits: &Limits) {
        self.deadline.set(after(now, limits.head_timeout.min(limits.keep_alive_timeout)));
        if !limits.connection_age_max.is_zero() {
            // Connections that were made together, after a restart of the client, end apart.
            let share = 1.0 - AGE_JITTER * fastrand::f64();
            self.old_at.set(after(now, limits.connection_age_max.mul_f64(share)));
        }
    }

    /// Begins to wait.
    pub(crate) fn wait(&self, waiting: Waiting, now: Monotonic, limits: &Limits) {
        self.waiting.set(waiting);
        let patience = match waiting {
            Waiting::Reply => return self.deadline.set(Monotonic::NEVER),
            Waiting::Write if self.is_tunnelled => return self.deadline.set(Monotonic::NEVER),
            Waiting::Request => limits.keep_alive_timeout,
            Waiting::Handshake | Waiting::Head => limits.head_timeout,
            Waiting::Body => limits.body_timeout,
            Waiting::Write => {
                self.unsent.set(None);
                limits.write_timeout
            }
            Waiting::Linger => limits.linger_timeout,
        };
        self.deadline.set(after(now, patience));
    }

    /// Begins to wait, unless it waits for that already.
    pub(crate) fn wait_on(&self, waiting: Waiting, now: Monotonic, limits: &Limits) {
        if self.waiting.get() != waiting {
            self.wait(waiting, now, limits);
        }
    }

    /// The peer has sent so many bytes of a body, or taken so many: its deadline is put off by what
    /// they may take at the least rate, to no more than the longest silence from now.
    pub(crate) fn progress(&self, bytes: usize, now: Monotonic, limits: &Limits) {
        let deadline = self.deadline.get();
        let (patience, rate_min) = match self.waiting.get() {
            _ if bytes == 0 || deadline.is_never() => return,
            Waiting::Body => (limits.body_timeout, limits.body_rate_min),
            Waiting::Write => (limits.write_timeout, limits.write_rate_min),
            _ => return,
        };
        let paid = after(deadline, time_at(rate_min, bytes as u64));
        self.deadline.set(after(now, patience).min(paid));
        self.unsent.set(None);
    }

    /// A socket takes more only when it has a good part of its buffer to give, which at the least
    /// rate takes minutes: half-way to the deadline and when that has come the kernel is asked what
    /// the peer has taken meanwhile.
    fn ask_what_is_taken(&self, now: Monotonic, limits: &Limits) {
        let deadline = self.deadline.get();
        if deadline.is_never() || after(now, limits.write_timeout / 2) < deadline {
            return;
        }
        match self.unsent.get() {
            None => self.unsent.set(unsent_bytes(self.socket)),
            Some(before) if now >= deadline => {
                let Some(left) = unsent_bytes(self.socket) else { return };
                let taken = usize::try_from(before.saturating_sub(left)).unwrap_or(usize::MAX);
                if taken > 0 {
                    self.progress(taken, now, limits);
                }
                self.unsent.set(Some(left));
            }
            Some(_) => {}
        }
    }

    pub(crate) fn waiting(&self) -> Waiting {
        self.waiting.get()
    }

    /// Whether the deadline has passed; the socket is then shut down.
    pub(crate) fn has_expired(&self) -> bool {
        self.expired.get()
    }

    /// Whether a response is cut for its reader.
    fn sweep(&self, now: Monotonic, idle_grace: Option<Duration>, limits: &Limits) -> bool {
        if self.waiting.get() == Waiting::Reply && self.peer.is_settled() {
            self.wait(Waiting::Request, now, limits);
        }
        if let Some(grace) = idle_grace
            && matches!(self.waiting.get(), Waiting::Request | Waiting::Handshake)
        {
            // Once more answered with `Connection: close` when it speaks within the grace.
            self.deadline.set(self.deadline.get().min(after(now, grace)));
        }
        if !self.old_at.get().is_never() && now >= self.old_at.get() {
            self.peer.set_closing();
        }
        if self.waiting.get() == Waiting::Write {
            self.ask_what_is_taken(now, limits);
        }
        let deadline = self.deadline.get();
        let expires = !deadline.is_never() && now >= deadline && !self.expired.replace(true);
        if expires {
            let how = match self.waiting.get() {
                Waiting::Write | Waiting::Linger | Waiting::Handshake => Shutdown::Both,
                _ => Shutdown::Read,
            };
            // It fails when the peer has reset the connection; then nothing is pending.
            let _ = SockRef::from(&self.socket).shutdown(how);
        }
        expires && self.waiting.get() == Waiting::Write
    }
}

/// By which share of its age at most a connection ends early.
const AGE_JITTER: f64 = 0.1;

fn after(now: Monotonic, wait: Duration) -> Monotonic {
    let wait = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
    Monotonic::from_nanos(now.as_nanos().saturating_add(wait))
}

/// All open connections of a worker.
#[derive(Debug, Default)]
pub(crate) struct Registry(RefCell<Vec<Rc<Entry>>>);

impl Registry {
    pub(crate) fn add(&self, entry: &Rc<Entry>) {
        self.0.borrow_mut().push(Rc::clone(entry));
    }

    /// Lets every connection end with its next response.
    pub(crate) fn close_with_next_response(&self) {
        self.0.borrow().iter().for_each(|entry| entry.peer.set_closing());
    }

    /// Ends what has waited too long; with `idle_grace` idle connections that do not speak within
    /// that. O(connections), a few nanoseconds each. How many responses were cut for their readers.
    pub(crate) fn sweep(
        &self,
        now: Monotonic,
        idle_grace: Option<Duration>,
        limits: &Limits,
    ) -> usize {
        let mut cut = 0;
        self.0.borrow_mut().retain(|entry| {
            let alive = Rc::strong_count(entry) > 1;
            if alive && entry.sweep(now, idle_grace, limits) {
                cut += 1;
            }
            alive
        });
        cut
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    const GRACE: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Monotonic {
        Monotonic::from_nanos(millis * 1_000_000)
    }

    /// A socket that lives as long as the tests.
    fn socket() -> (BorrowedFd<'static>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let ours: &'static UnixStream = Box::leak(Box::new(ours));
        (ours.as_fd(), theirs)
    }

    #[test]
    fn a_passed_deadline_shuts_the_socket_down_once() {
        let (socket, _peer) = socket();
        let limits = Limits { head_timeout: Duration::from_millis(10), ..Limits::default() };
        let registry = Registry::default();
        let entry = Rc::new(Entry::new(socket));
        registry.add(&entry);
        entry.wait(Waiting::Head, at(1), &limits);
        registry.sweep(at(10), None, &limits);
        assert!(!entry.has_expired());
        registry.sweep(at(11), None, &limits);
        assert!(entry.has_expired());
    }

    #[test]
    fn a_body_that_is_slower_than_the_least_rate_expires_although_it_never_stops() {
        let (socket, _peer) = socket();
        let limits = Limits {
            body_timeout: Duration::from_secs(1),
            body_rate_min: 1000,
            ..Limits::default()
        };
        let (slow, fast) = (Entry::new(socket), Entry::new(socket));
        for entry in [&slow, &fast] {
            entry.wait(Waiting::Body, at(1), &limits);
        }
        for moment in 1..=40 {
            let now = at(1 + moment * 100);
            for (entry, bytes) in [(&slow, 50), (&fast, 100)] {
                entry.progress(bytes, now, &limits);
                entry.sweep(now, None, &limits);
            }
            // Half of the time is paid for.
            assert_eq!(slow.has_expired(), moment >= 20, "{moment}");
        }
        assert!(!fast.has_expired());
    }

    #[test]
    fn bytes_pay_for_no_longer_silence_than_there_may_be() {
        let (socket, _peer) = socket();
        let patience = Duration::from_millis(10);
        for body_rate_min in [0, 1] {
            let limits = Limits { body_timeout: patience, body_rate_min, ..Limits::default() };
            let entry = Entry::new(socket);
            entry.wait(Waiting::Body, at(1), &limits);
            entry.progress(1 << 30, at(5), &limits);
            entry.sweep(at(14), None, &limits);
            assert!(!entry.has_expired());
            entry.sweep(at(15), None, &limits);
            assert!(entry.has_expired());
        }
    }

    #[test]
    fn a_reader_is_given_up_when_the_kernel_has_seen_it_take_nothing() {
        use std::io::{Read, Write};
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut ours: &'static UnixStream = Box::leak(Box::new(ours));
        ours.set_nonblocking(true).unwrap();
        while ours.write(&[0; 4096]).is_ok() {}
        let limits = Limits { write_timeout: Duration::from_millis(10), ..Limits::default() };
        let entry = Entry::new(ours.as_fd());
        entry.wait(Waiting::Write, at(1), &limits);
        assert!(!entry.sweep(at(6), None, &limits));
        theirs.read_exact(&mut [0; 4096]).unwrap();
        assert!(!entry.sweep(at(11), None, &limits));
        assert!(!entry.sweep(at(20), None, &limits));
        assert!(entry.sweep(at(21), None, &limits) && entry.has_expired());
        assert!(!entry.sweep(at(22), None, &limits), "it is cut once");
    }

    #[test]
    fn an_application_has_no_deadline_and_a_settled_response_starts_the_idle_one() {
        let (socket, _peer) = socket();
        let limits = Limits { keep_alive_timeout: Duration::from_millis(5), ..Limits::default() };
        let entry = Entry::new(socket);
        entry.wait(Waiting::Reply, at(1), &limits);
        entry.sweep(at(1_000_000), None, &limits);
        assert!(!entry.has_expired());
        hurricane_http::Outlet::new(socket, Arc::clone(&entry.peer)).settle();
        entry.sweep(at(2_000_000), None, &limits);
        assert_eq!(entry.waiting(), Waiting::Request);
        entry.sweep(at(2_000_006), None, &limits);
        assert!(entry.has_expired());
    }

    #[test]
    fn stopping_leaves_idle_connections_one_grace() {
        let (socket, _peer) = socket();
        let limits = Limits::default();
        let entry = Entry::new(socket);
        entry.wait(Waiting::Request, at(1), &limits);
        entry.sweep(at(2), Some(GRACE), &limits);
        entry.sweep(at(900), Some(GRACE), &limits);
        assert!(!entry.has_expired());
        entry.sweep(at(1_100), Some(GRACE), &limits);
        assert!(entry.has_expired());
    }

    #[test]
    fn without_a_grace_idle_connections_end_at_once_and_busy_ones_do_not() {
        let (socket, _peer) = socket();
        let limits = Limits::default();
        let (idle, busy) = (Entry::new(socket), Entry::new(socket));
        idle.wait(Waiting::Request, at(1), &limits);
        busy.wait(Waiting::Reply, at(1), &limits);
        idle.sweep(at(2), Some(Duration::ZERO), &limits);
        busy.sweep(at(2), Some(Duration::ZERO), &limits);
        assert!(idle.has_expired() && !busy.has_expired());
    }

    #[test]
    fn an_old_connection_ends_with_its_next_response_and_not_before() {
        let (socket, _peer) = socket();
        let age = Duration::from_millis(1000);
        let limits = Limits { connection_age_max: age, ..Limits::default() };
        let entry = Entry::new(socket);
        entry.begin(at(1), &limits);
        entry.sweep(at(900), None, &limits);
        assert!(!entry.peer.is_closing());
        entry.sweep(at(1001), None, &limits);
        assert!(entry.peer.is_closing());
        assert!(!entry.has_expired());
    }

    #[test]
    fn ended_connections_are_forgotten() {
        let (socket, _peer) = socket();
        let registry = Registry::default();
        let entry = Rc::new(Entry::new(socket));
        registry.add(&entry);
        drop(entry);
        registry.sweep(at(1), None, &Limits::default());
        assert!(registry.0.borrow().is_empty());
    }
}
