//! Who was killed because there was no memory left: a SIGKILL does not say who sent it, but the
//! cgroup counts those of the kernel.
//!
//! It counts also those of programs that the application has started, so only a kill of the last
//! seconds explains an end.

use std::time::{Duration, Instant};

use hurricane_cpu::{Root, out_of_memory_kills};

use crate::process::How;

/// How often the count is read. A process with much memory may take a second to be gone.
const ROUND: Duration = Duration::from_secs(5);

/// The kernel's count, now and then.
#[derive(Debug)]
pub(crate) struct MemoryKills {
    /// As of one round ago, and with those that have explained an end.
    before: u64,
    /// As of the last reading.
    last: u64,
    read: Instant,
}

impl MemoryKills {
    pub(crate) fn new() -> Self {
        let count = counted();
        Self { before: count, last: count, read: Instant::now() }
    }

    /// Reads the count, if it is time.
    pub(crate) fn look(&mut self) {
        if self.read.elapsed() >= ROUND {
            self.go_on(counted());
        }
    }

    fn go_on(&mut self, counted: u64) {
        self.before = self.before.max(self.last);
        self.last = counted;
        self.read = Instant::now();
    }

    /// How a child has ended, told anew if it was for want of memory.
    pub(crate) fn explain(&mut self, how: How) -> How {
        if how == How::Killed(libc::SIGKILL) { self.attribute(counted()) } else { how }
    }

    fn attribute(&mut self, counted: u64) -> How {
        if counted <= self.before {
            return How::Killed(libc::SIGKILL);
        }
        self.before += 1;
        How::OutOfMemory
    }
}

fn counted() -> u64 {
    out_of_memory_kills(&Root::host()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kills(count: u64) -> MemoryKills {
        MemoryKills { before: count, last: count, read: Instant::now() }
    }

    const KILLED: How = How::Killed(libc::SIGKILL);

    #[test]
    fn each_kill_of_the_kernel_explains_one_end() {
        let mut kills = kills(3);
        assert_eq!(kills.attribute(3), KILLED);
        assert_eq!(kills.attribute(5), How::OutOfMemory);
        assert_eq!(kills.attribute(5), How::OutOfMemory);
        assert_eq!(kills.attribute(5), KILLED);
        assert_eq!(kills.explain(How::Exited(1)), How::Exited(1));
    }

    #[test]
    fn a_kill_of_long_ago_explains_nothing() {
        let mut kills = kills(3);
        kills.go_on(4);
        assert_eq!(kills.attribute(4), How::OutOfMemory, "it may have taken long to be gone");
        kills.go_on(5);
        kills.go_on(5);
        assert_eq!(kills.attribute(5), KILLED);
    }
}
