//! The worker's listening socket: accepting, and closing without losing a connection.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;

use hurricane_http::Application;
use monoio::net::{TcpListener, TcpStream};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::connection;
use crate::worker::Worker;

/// How long accepting pauses when the process is out of descriptors or the kernel out of memory.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);
/// Within it a ring has closed a descriptor that was dropped.
const CLOSE_TIME: Duration = Duration::from_millis(5);
/// Sent to a connection over `connections_max`, before anything was read.
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nServer: hurricane\r\n\
Retry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Accepts until the door is closed; then empties the accept queue, unless it is a successor's, and
/// closes the socket.
pub(crate) async fn serve<A: Application>(
    worker: &Rc<Worker<A>>,
    listener: std::net::TcpListener,
) -> io::Result<()> {
    // Connections inherit this: one answer is one packet.
    socket2::SockRef::from(&listener).set_tcp_nodelay(true)?;
    listener.set_nonblocking(true)?;
    // Outlives the loop's descriptor, which a ring closes some time after it was dropped:
    // connections that came until then would be reset.
    let last = listener.try_clone()?;
    let listener = TcpListener::from_std(listener)?;
    while !worker.has_closed_door() {
        match listener.cancelable_accept(worker.door()).await {
            Ok((stream, peer)) => admit(worker, stream, peer),
            Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => {}
            Err(error) => pause_after(&error).await,
        }
    }
    drop(listener);
    // The kernel wakes one waiter per connection. If that was us in the moment of the order, a
    // successor would hear of the connection only when the next one comes: we take it.
    let mut left = if worker.leaves_queue() { 1 } else { usize::MAX };
    if !worker.leaves_queue() {
        monoio::time::sleep(CLOSE_TIME).await;
    }
    while left > 0
        && let Ok((stream, peer)) = last.accept()
    {
        left -= 1;
        stream.set_nonblocking(true)?;
        admit(worker, TcpStream::from_std(stream)?, peer);
    }
    Ok(())
}

fn admit<A: Application>(worker: &Rc<Worker<A>>, stream: TcpStream, peer: SocketAddr) {
    let socket = lend(&stream);
    if worker.connections() >= worker.limits().connections_max {
        worker.slot().shed();
        // A new socket has room for these bytes; what happens to them is the peer's concern.
        let _ = nix::sys::socket::send(
            socket.as_raw_fd(),
            REFUSAL,
            nix::sys::socket::MsgFlags::MSG_DONTWAIT | nix::sys::socket::MsgFlags::MSG_NOSIGNAL,
        );
        return;
    }
    // The ring's accept sets no flags; a view that starts a process must not leak connections.
    let _ = fcntl(socket, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC));
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    worker.connection_opened();
    drop(monoio::spawn(connection::serve(Rc::clone(worker), stream, socket, peer)));
}

#[expect(unsafe_code, reason = "a connection's socket is lent to the application's threads")]
fn lend(stream: &TcpStream) -> BorrowedFd<'static> {
    // SAFETY: the connection task owns the stream, drops it only when the application has
    // answered, and the worker's runtime is never dropped while a connection task is left (see
    // `life::run`).
    unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) }
}

async fn pause_after(error: &io::Error) {
    match error.raw_os_error() {
        // The connection was gone before we took it.
        Some(libc::ECONNABORTED | libc::EPROTO | libc::EINTR | libc::EAGAIN) => {}
        _ => {
            tracing::warn!(%error, "accepting pauses");
            monoio::time::sleep(EXHAUSTED_PAUSE).await;
        }
    }
}
