//! Connections to the server, opened without waiting for it.

use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Protocol, Socket, Type};

/// A connection that may still be in its handshake: it can be written when that is done.
///
/// `room`: bytes that the kernel holds back for a reader who is slow, at most; none for its own choice.
pub(crate) fn connect(address: SocketAddr, room: Option<usize>) -> std::io::Result<TcpStream> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    socket.set_tcp_nodelay(true)?;
    if let Some(bytes) = room {
        socket.set_recv_buffer_size(bytes)?;
    }
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(nix::libc::EINPROGRESS) => Err(error),
        _ => Ok(socket.into()),
    }
}
