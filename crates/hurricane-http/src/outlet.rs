//! The application's way to write on the connection from a thread of its own.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// What the loop and the application's thread tell each other about a connection.
#[derive(Debug, Default)]
pub struct PeerState(AtomicU8);

const LEFT: u8 = 1;
const SETTLED: u8 = 2;
const CLOSING: u8 = 4;

impl PeerState {
    /// Records that the peer has left: its queued requests need not run any more.
    pub fn set_left(&self) {
        self.0.fetch_or(LEFT, Ordering::Release);
    }

    /// Whether the peer has left.
    pub fn has_left(&self) -> bool {
        self.0.load(Ordering::Acquire) & LEFT != 0
    }

    /// Whether the application has written its whole response; see [`Outlet::settle`].
    pub fn is_settled(&self) -> bool {
        self.0.load(Ordering::Acquire) & SETTLED != 0
    }

    /// The connection has to end with its next response: the server stops, or the connection has
    /// reached its age or its number of requests.
    pub fn set_closing(&self) {
        self.0.fetch_or(CLOSING, Ordering::Release);
    }

    /// Whether the connection has to end with its next response.
    pub fn is_closing(&self) -> bool {
        self.0.load(Ordering::Acquire) & CLOSING != 0
    }

    /// A new request goes to the application.
    pub fn unsettle(&self) {
        self.0.fetch_and(!SETTLED, Ordering::Relaxed);
    }
}

/// The connection's socket, lent to the application for one request.
///
/// Invariants:
/// - The socket is non-blocking and stays open until the application's future has resolved.
/// - Between dispatch and that moment nobody else writes on it.
#[derive(Clone, Debug)]
pub struct Outlet {
    socket: BorrowedFd<'static>,
    peer: Arc<PeerState>,
}

impl Outlet {
    /// `socket` must stay open until the future of the request has resolved; the `'static`
    /// borrow is the worker's promise of that.
    pub fn new(socket: BorrowedFd<'static>, peer: Arc<PeerState>) -> Self {
        Self { socket, peer }
    }

    /// Whether the peer is known to have left.
    pub fn peer_has_left(&self) -> bool {
        self.peer.has_left()
    }

    /// Whether the connection has to end with this response, although the request was let keep
    /// it: see [`PeerState::set_closing`]. To be asked when the head is encoded.
    pub fn must_close(&self) -> bool {
        self.peer.is_closing()
    }

    /// The whole response is written and the connection lives on: it is idle from now, although
    /// the loop was not woken.
    pub fn settle(&self) {
        self.peer.0.fetch_or(SETTLED, Ordering::Release);
    }
}

impl AsFd for Outlet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket
    }
}
