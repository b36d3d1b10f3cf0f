//! Waiting for a condition, with a limit.

use std::thread::park_timeout;
use std::time::{Duration, Instant};

/// The longest wait of a test for anything. Far longer than anything takes, so that a busy
/// machine fails no test.
pub const PATIENCE: Duration = Duration::from_secs(30);

const PAUSE: Duration = Duration::from_millis(5);

/// Asks again and again until `condition` has a value.
///
/// # Panics
/// When it has none within [`PATIENCE`]; `what` completes "waited in vain for …".
pub fn until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, condition)
}

/// Likewise, with another patience.
pub(crate) fn until_within<T>(
    patience: Duration,
    what: &str,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        park_timeout(PAUSE);
    }
}
