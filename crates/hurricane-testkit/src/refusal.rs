//! Hosts that refuse io_uring, made with a seccomp filter in the child that is started.
#![expect(unsafe_code, reason = "a filter is installed between fork and exec")]

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// How io_uring is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// As containerd 2 and Docker 25 do.
    Eperm,
    /// As podman and CRI-O do.
    Enosys,
}

const SETUP: u32 = libc::SYS_io_uring_setup as u32;
const REGISTER: u32 = libc::SYS_io_uring_register as u32;

impl Refusal {
    /// Makes the program of `command` run under a filter that refuses all three calls.
    pub fn install(self, command: &mut Command) {
        let errno = match self {
            Self::Eperm => libc::EPERM,
            Self::Enosys => libc::ENOSYS,
        };
        // SAFETY: the closure makes two system calls on memory of its own and allocates nothing.
        unsafe {
            command.pre_exec(move || filter(errno.unsigned_abs()));
        }
    }
}

/// Answers `errno` to the three calls, whose numbers follow each other, and allows the rest.
fn filter(errno: u32) -> io::Result<()> {
    let statement = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut program = [
        // The number of the call is the first field of seccomp_data.
        statement((libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, 0, 0, 0),
        statement((libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16, 0, 2, SETUP),
        statement((libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16, 1, 0, REGISTER),
        statement((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, libc::SECCOMP_RET_ERRNO | errno),
        statement((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 5, filter: program.as_mut_ptr() };
    // SAFETY: plain numbers.
    let set = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    if set != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the program outlives the call, which copies it.
    let set =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    if set != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
