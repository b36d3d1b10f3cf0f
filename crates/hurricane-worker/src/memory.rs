//! Memory that the requests of a worker take, all together.
//!
//! Counted is what a request needs beyond what every connection has: the room in which a long head
//! or a body arrives, and bodies until they are answered. When it is used up nothing waits and
//! nobody is in another's way: bodies are received in small pieces and go to files, and only a head
//! that is longer than most is refused.

use std::cell::Cell;
use std::rc::Rc;

/// Bytes that may be taken, and are.
#[derive(Debug)]
pub(crate) struct Memory {
    used: Cell<usize>,
    max: usize,
}

/// What one request has taken; given back when dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    memory: Rc<Memory>,
    bytes: usize,
}

impl Memory {
    pub(crate) fn new(max: usize) -> Rc<Self> {
        Rc::new(Self { used: Cell::new(0), max })
    }

    /// Nothing so far.
    pub(crate) fn begin(self: &Rc<Self>) -> Taken {
        Taken { memory: Rc::clone(self), bytes: 0 }
    }
}

impl Taken {
    /// Whether so many bytes more are left.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.memory.used.get().saturating_add(bytes) <= self.memory.max
    }

    /// Takes what is missing to so many bytes, if that much is left.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> bool {
        let fits = bytes <= self.bytes || self.has_room(bytes - self.bytes);
        if fits && bytes > self.bytes {
            self.set(bytes);
        }
        fits
    }

    /// So many bytes are taken, whatever is left.
    pub(crate) fn set(&mut self, bytes: usize) {
        if bytes != self.bytes {
            self.memory.used.set(self.memory.used.get() - self.bytes + bytes);
            self.bytes = bytes;
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_has_taken_is_missing_for_others_until_it_is_given_back() {
        let memory = Memory::new(10);
        let (mut first, mut second) = (memory.begin(), memory.begin());
        assert!(first.grow_to(4) && second.grow_to(6));
        assert!(!first.grow_to(5) && !second.has_room(1));
        assert!(first.grow_to(3), "it has more");
        second.set(20);
        drop(second);
        assert!(first.grow_to(10));
        drop(first);
        assert_eq!(memory.used.get(), 0);
    }
}
