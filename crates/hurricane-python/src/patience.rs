//! How long an application thread waits for a peer that takes slowly what is still produced.
//!
//! The rule is the loop's: so many bytes a second at least, and no longer silence than there may be.
//! Only the time that is waited counts.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use hurricane::unsent_bytes;
use hurricane_http::time_at;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// What is left of it, for one response.
#[derive(Debug)]
pub(crate) struct Patience {
    left: Duration,
    /// The most that there can be.
    full: Duration,
    /// Bytes a second that cost none; zero: any number does.
    rate_min: u64,
}

impl Patience {
    pub(crate) fn new(full: Duration, rate_min: u64) -> Self {
        Self { left: full, full, rate_min }
    }

    /// The peer has taken so many bytes.
    pub(crate) fn earn(&mut self, bytes: usize) {
        if self.left < self.full && bytes > 0 {
            let paid = self.left.saturating_add(time_at(self.rate_min, bytes as u64));
            self.left = paid.min(self.full);
        }
    }

    /// Waits until the socket takes more, which it does when it has a good part of its buffer to
    /// give: meanwhile the kernel is asked what the peer has taken. False: it is too slow.
    pub(crate) fn wait_writable(&mut self, socket: BorrowedFd<'_>) -> bool {
        while !self.left.is_zero() {
            let before = unsent_bytes(socket);
            let begun = Instant::now();
            // Rounded up: a wait of no time would be repeated at once.
            let most = self.left.min(self.full / 2) + Duration::from_millis(1);
            let timeout = PollTimeout::try_from(most).unwrap_or(PollTimeout::MAX);
            let ready = poll(&mut [PollFd::new(socket, PollFlags::POLLOUT)], timeout);
            self.left = self.left.saturating_sub(begun.elapsed());
            match ready {
                Ok(1..) => return true,
                Ok(_) | Err(nix::Error::EINTR) => {}
                Err(_) => return false,
            }
            if let (Some(before), Some(left)) = (before, unsent_bytes(socket)) {
                self.earn(usize::try_from(before.saturating_sub(left)).unwrap_or(usize::MAX));
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// A socket that takes nothing more, and its peer.
    fn full() -> (UnixStream, UnixStream) {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        while ours.write(&[0; 4096]).is_ok() {}
        (ours, theirs)
    }

    #[test]
    fn patience_ends_with_a_peer_that_takes_nothing() {
        let (ours, _theirs) = full();
        let (begun, whole) = (Instant::now(), Duration::from_millis(30));
        assert!(!Patience::new(whole, 1).wait_writable(ours.as_fd()));
        assert!(begun.elapsed() >= whole);
    }

    #[test]
    fn a_peer_that_has_taken_something_is_waited_for() {
        let (ours, mut theirs) = full();
        let reading = std::thread::spawn(move || {
            let mut all = Vec::new();
            theirs.read_to_end(&mut all).map(|_| ())
        });
        assert!(Patience::new(Duration::from_secs(60), 1).wait_writable(ours.as_fd()));
        drop(ours);
        reading.join().unwrap().unwrap();
    }

    #[test]
    fn bytes_pay_at_the_least_rate_up_to_the_whole() {
        let mut patience = Patience { left: Duration::ZERO, ..Patience::new(SECOND, 1000) };
        patience.earn(250);
        assert_eq!(patience.left, SECOND / 4);
        patience.earn(10_000);
        assert_eq!(patience.left, SECOND);
        let mut any = Patience { left: Duration::ZERO, ..Patience::new(SECOND, 0) };
        any.earn(1);
        assert_eq!(any.left, SECOND);
    }

    const SECOND: Duration = Duration::from_secs(1);
}
