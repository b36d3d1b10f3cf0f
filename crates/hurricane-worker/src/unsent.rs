//! What of the bytes that were written the peer has not taken.
#![expect(unsafe_code, reason = "nix and rustix have no name for this question to the kernel")]

use std::os::fd::{AsRawFd, BorrowedFd};

/// Bytes that wait in the kernel: of TCP those that the peer has not acknowledged, of a Unix domain
/// socket those that it has not read, with what the kernel needs around them. None where it does not
/// say.
pub fn unsent_bytes(socket: BorrowedFd<'_>) -> Option<u64> {
    let mut count: libc::c_int = 0;
    // SAFETY: the call writes one integer, which lives until it returns.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) };
    (result == 0).then(|| u64::try_from(count).unwrap_or(0))
}
