"""Runs a command under a seccomp filter that refuses io_uring: ``refuse_ring.py ERRNO COMMAND…``.

Container runtimes do the same: containerd and Docker answer EPERM, podman and CRI-O ENOSYS.
"""

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Sequence

PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2
SECCOMP_RET_ALLOW = 0x7FFF0000
SECCOMP_RET_ERRNO = 0x00050000
# The same on every architecture since they were added.
IO_URING_SETUP, IO_URING_ENTER, IO_URING_REGISTER = 425, 426, 427
RING = (IO_URING_SETUP, IO_URING_ENTER, IO_URING_REGISTER)
BPF_LD_W_ABS = 0x20
BPF_JEQ_K = 0x15
BPF_RET_K = 0x06


class Program(ctypes.Structure):
    """``struct sock_fprog``."""

    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def instruction(code: int, if_true: int, if_false: int, operand: int) -> bytes:
    """One ``struct sock_filter``."""
    return struct.pack("=HBBI", code, if_true, if_false, operand)


def refuse(code: int, refused: Sequence[int] = RING) -> None:
    """Answers these calls of this process and its children with ``code`` from now on."""
    # Load the call's number; every match jumps to the last instruction.
    program = instruction(BPF_LD_W_ABS, 0, 0, 0)
    for position, number in enumerate(refused):
        program += instruction(BPF_JEQ_K, len(refused) - position, 0, number)
    program += instruction(BPF_RET_K, 0, 0, SECCOMP_RET_ALLOW)
    program += instruction(BPF_RET_K, 0, 0, SECCOMP_RET_ERRNO | code)
    libc = ctypes.CDLL(None, use_errno=True)
    filled = Program(len(program) // 8, program)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(filled), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_SECCOMP")


def ring_is_refused() -> int:
    """Asks for a ring with a bad argument: 0 if the call exists and is allowed, else its errno."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(IO_URING_SETUP, 0, None)
    found = ctypes.get_errno()
    return 0 if found in (errno.EFAULT, errno.EINVAL) else found


if __name__ == "__main__":
    refuse(getattr(errno, sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
