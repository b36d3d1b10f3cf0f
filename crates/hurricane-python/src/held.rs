//! Memory that finished responses may take while their peers are slow.
//!
//! A response that is known to its end is copied and left to the loop, so that a peer that reads
//! slowly (or not at all) holds no application thread. All copies of a worker share one budget;
//! when it is used up, threads wait for their peers themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// Bytes that may still be held.
#[derive(Debug)]
pub(crate) struct Budget(AtomicUsize);

/// A part of the budget; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(bytes)))
    }

    /// A share of so many bytes; `None` when so many are not left.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Option<Share> {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes))
            .is_ok()
            .then(|| Share { budget: Arc::clone(self), bytes })
    }
}

impl Share {
    /// Bytes that give the share back when the last of them is dropped.
    pub(crate) fn hold(self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Held { bytes, _share: self })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

struct Held {
    bytes: Vec<u8>,
    _share: Share,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_given_back_with_the_last_byte_that_it_holds() {
        let budget = Budget::new(10);
        let held = budget.take(8).unwrap().hold(vec![1; 8]);
        assert!(budget.take(3).is_none());
        let tail = held.slice(4..);
        drop(held);
        assert!(budget.take(3).is_none());
        drop(tail);
        assert!(budget.take(10).is_some());
    }
}
