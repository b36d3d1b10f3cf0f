//! New connections are steered away from a listener that is about to close.
//!
//! The kernel chooses a listener of a SO_REUSEPORT group by hash. Closing one loses the handshakes
//! that it had begun (10 of 10 in a test). A classic BPF program on the group chooses among the
//! first ones only; after two round trips nothing is on its way to the others any more.
#![expect(unsafe_code, reason = "neither nix nor socket2 has SO_ATTACH_REUSEPORT_CBPF")]

use std::io;
use std::os::fd::AsRawFd;

use socket2::Socket;

/// Instructions of classic BPF (linux/bpf_common.h, linux/filter.h).
const LOAD_WORD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const MODULO: u16 = 0x94; // BPF_ALU | BPF_MOD | BPF_K
const RETURN_A: u16 = 0x16; // BPF_RET | BPF_A
/// Where a program finds a random number (SKF_AD_OFF + SKF_AD_RANDOM). The hash of a packet is
/// zero on network cards that do not compute one.
const RANDOM: u32 = 0xffff_f000 + 56;

/// From now on the group that `member` belongs to gives new connections to its first `count`
/// listeners, in the order in which they began to listen. For a group that has fewer the kernel
/// chooses by hash.
pub(crate) fn steer_to_first(member: &Socket, count: usize) -> io::Result<()> {
    let count = u32::try_from(count.max(1)).unwrap_or(u32::MAX);
    let instruction = |code, k| libc::sock_filter { code, jt: 0, jf: 0, k };
    let mut program =
        [instruction(LOAD_WORD, RANDOM), instruction(MODULO, count), instruction(RETURN_A, 0)];
    let program = libc::sock_fprog { len: 3, filter: program.as_mut_ptr() };
    // SAFETY: the kernel reads `size_of::<sock_fprog>()` bytes and the three instructions that
    // they point to, which live until the call has returned.
    let done = unsafe {
        libc::setsockopt(
            member.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Type};
    use std::net::{Ipv4Addr, SocketAddr, TcpStream};

    fn member(port: u16) -> Socket {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()).unwrap();
        socket.listen(128).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    }

    #[test]
    fn a_listener_that_is_to_close_gets_no_connection() {
        let first = member(0);
        let address = first.local_addr().unwrap().as_socket().unwrap();
        let group = [first, member(address.port()), member(address.port())];
        let accepted = |count: usize| -> [usize; 3] {
            let clients: Vec<_> =
                (0..count).map(|_| TcpStream::connect(address).unwrap()).collect();
            let accepted =
                std::array::from_fn(|i| std::iter::from_fn(|| group[i].accept().ok()).count());
            drop(clients);
            accepted
        };
        steer_to_first(&group[2], 2).unwrap();
        let [one, two, three] = accepted(100);
        assert_eq!((one + two, three), (100, 0));
        assert!(one > 10 && two > 10, "{one} and {two}");
        steer_to_first(&group[0], 3).unwrap();
        assert!(accepted(100).into_iter().all(|count| count > 5));
    }
}
