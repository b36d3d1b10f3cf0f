//! Worker slots and the control process as the supervisor sees them.

use std::net::TcpListener;
use std::time::Instant;

use crate::backoff::Backoff;
use crate::child::Child;

/// One worker slot as the supervisor sees it.
pub(crate) struct Seat {
    /// Kept until the server stops accepting.
    pub(super) listener: Option<TcpListener>,
    pub(super) child: Option<Child>,
    pub(super) backoff: Backoff,
    /// When the next worker is started, while there is none.
    pub(super) due: Option<Instant>,
    /// Whether any worker of this slot has ever had a heartbeat.
    pub(super) was_ready: bool,
    /// Whether the present trouble of its worker was logged.
    pub(super) trouble_logged: bool,
}

impl Seat {
    pub(crate) fn new(listener: TcpListener) -> Self {
        Self {
            listener: Some(listener),
            child: None,
            backoff: Backoff::default(),
            due: None,
            was_ready: false,
            trouble_logged: false,
        }
    }
}

/// The control process as the supervisor sees it.
pub(crate) struct ControlSeat {
    /// Whether there is to be one.
    pub(super) wanted: bool,
    pub(super) listener: Option<TcpListener>,
    pub(super) child: Option<Child>,
    pub(super) backoff: Backoff,
    pub(super) due: Option<Instant>,
}

impl ControlSeat {
    pub(crate) fn new(wanted: bool, listener: Option<TcpListener>) -> Self {
        Self { wanted, listener, child: None, backoff: Backoff::default(), due: None }
    }
}
