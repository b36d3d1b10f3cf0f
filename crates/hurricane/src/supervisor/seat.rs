//! Workers and the control process as the supervisor sees them.

use std::time::Instant;

use hurricane_scoreboard::Replaced;
use socket2::Socket;

use crate::backoff::Backoff;
use crate::child::Child;
use crate::recycle::Lease;

/// A worker and the slot of the scoreboard that it writes.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(super) slot: usize,
    pub(super) child: Child,
}

/// A worker's place: its listener, and who serves there.
pub(crate) struct Seat {
    /// Kept until the server stops accepting. A consumer has none.
    pub(super) listener: Option<Socket>,
    pub(super) worker: Option<Placed>,
    /// Starts beside the worker, to replace it; both accept from the same listener.
    pub(super) successor: Option<Placed>,
    /// Why the worker is to be replaced, once it is its turn.
    pub(super) wanted: Option<Replaced>,
    /// When a successor may be tried again, after one has failed.
    pub(super) retry: Option<Instant>,
    /// How often in a row that was so.
    pub(super) succession: Backoff,
    /// How long the worker may serve.
    pub(super) lease: Lease,
    pub(super) backoff: Backoff,
    /// When the next worker is started, while there is none.
    pub(super) due: Option<Instant>,
    /// Whether any worker of this seat has ever had a heartbeat.
    pub(super) was_ready: bool,
    /// Why the worker is being killed.
    pub(super) trouble: Option<Replaced>,
}

impl Seat {
    pub(crate) fn new(listener: Option<Socket>) -> Self {
        Self {
            listener,
            worker: None,
            successor: None,
            wanted: None,
            retry: None,
            succession: Backoff::default(),
            lease: Lease::default(),
            backoff: Backoff::default(),
            due: None,
            was_ready: false,
            trouble: None,
        }
    }
}

/// A worker that ends what it runs while others serve on.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) placed: Placed,
    /// When it is told to close idle connections too, and then killed.
    pub(super) until: Instant,
    pub(super) was_hurried: bool,
}

/// The control process as the supervisor sees it.
pub(crate) struct ControlSeat {
    /// Whether there is to be one.
    pub(super) wanted: bool,
    pub(super) listener: Option<Socket>,
    pub(super) child: Option<Child>,
    pub(super) backoff: Backoff,
    pub(super) due: Option<Instant>,
    /// It was told to end, so that another takes its place, and is killed if it has not by then.
    pub(super) ends_by: Option<Instant>,
}

impl ControlSeat {
    pub(crate) fn new(wanted: bool, listener: Option<Socket>) -> Self {
        Self {
            wanted,
            listener,
            child: None,
            backoff: Backoff::default(),
            due: None,
            ends_by: None,
        }
    }
}
