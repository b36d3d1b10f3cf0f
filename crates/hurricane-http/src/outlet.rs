//! The application's way to write on the connection from a thread of its own.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Whether the peer of a connection is known to have left.
#[derive(Debug, Default)]
pub struct PeerState(AtomicU8);

impl PeerState {
    /// Records that the peer has left: its queued requests need not run any more.
    pub fn set_left(&self) {
        self.0.store(1, Ordering::Release);
    }

    /// Whether the peer has left.
    pub fn has_left(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
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
}

impl AsFd for Outlet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket
    }
}
