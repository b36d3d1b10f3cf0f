//! How long a connection goes on before others have their turn.
//!
//! On epoll nothing waits for a peer that sends, or reads, as fast as the loop: its task would keep
//! the loop until it is done, and neither the other connections nor the heartbeat would run. Nor
//! would timers run beside a task that merely wakes itself: the loop looks at them when nothing is
//! left to run.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use monoio::time::{Instant, sleep_until};

/// Bytes that a connection moves before others have their turn: about half a millisecond.
const TURN_BYTES: usize = 1024 * 1024;
/// What a system call counts for at least.
const CALL_BYTES: usize = 32 * 1024;
/// The precision of the loop's timers, which round up.
const TICK: Duration = Duration::from_millis(1);

/// What is left of a turn, for one direction of a connection.
#[derive(Debug)]
pub(crate) struct Turn {
    left: usize,
}

impl Default for Turn {
    fn default() -> Self {
        Self { left: TURN_BYTES }
    }
}

impl Turn {
    /// Others have had theirs, while this connection waited.
    pub(crate) fn renew(&mut self) {
        self.left = TURN_BYTES;
    }

    /// So many bytes were moved by a system call: whether the turn is over, and it is time to
    /// [`give_way`].
    pub(crate) fn spend(&mut self, bytes: usize) -> bool {
        self.left = self.left.saturating_sub(bytes.max(CALL_BYTES));
        let is_over = self.left == 0;
        if is_over {
            self.renew();
        }
        is_over
    }
}

/// Lets everything else run, timers included, unless that has happened in this tick. A timer that
/// has passed does it: the loop finds it without waiting once nothing is left to run.
///
/// In a place of its own: it is rare, and large, not to be part of every read and write.
pub(crate) fn give_way() -> Pin<Box<impl Future<Output = ()>>> {
    let now = Instant::now();
    Box::pin(sleep_until(now.checked_sub(TICK).unwrap_or(now)))
}
