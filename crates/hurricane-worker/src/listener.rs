//! The worker's listening socket: accepting, and closing without losing a connection.
//!
//! A socket of a SO_REUSEPORT group is the worker's own, and the loop accepts from it directly. One
//! that all workers share (a Unix domain socket, or one that a service manager has opened) is only
//! watched: every worker hears of a connection, and the ones that have more than others let those
//! go first. Left alone, the kernel gave 64 of 64 connections to one worker.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use hurricane_http::{Application, Origin, Refusal, Scheme};
use monoio::net::{TcpListener, TcpStream};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use socket2::{Domain, Socket};

use crate::connection::{self, Seen};
use crate::tls::{self, certificate::Current};
use crate::worker::Worker;

/// For how long a worker lets another go first, for each connection that it has more: the time that
/// a loop with little to do needs to wake up and accept.
const COURTESY: Duration = Duration::from_millis(1);
/// The longest courtesy. The other one may be short of CPU; the connection is not to wait for it.
const COURTESY_MAX: Duration = Duration::from_millis(8);
/// How long accepting pauses when the process is out of descriptors or the kernel out of memory.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);
/// Within it a ring has closed a descriptor that was dropped.
const CLOSE_TIME: Duration = Duration::from_millis(5);
/// Sent to a connection over the limit, before anything was read. Left in the accept queue it would
/// count as made and wait for nobody knows how long: so its client, or a balancer in front of us, can
/// ask another server at once.
const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nServer: hurricane\r\n\
Retry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Accepts until the door is closed; then empties the accept queue, unless it is a successor's, and
/// closes the socket.
pub(crate) async fn serve<A: Application>(
    worker: &Rc<Worker<A>>,
    listener: Socket,
) -> io::Result<()> {
    if listener.domain()? != Domain::UNIX {
        // Connections inherit this: one answer is one packet.
        listener.set_tcp_nodelay(true)?;
    }
    listener.set_nonblocking(true)?;
    // Outlives the loop's descriptor, which a ring closes some time after it was dropped:
    // connections that came until then would be reset.
    let last = listener.try_clone()?;
    // To the loop it is any listening socket: of a Unix domain socket it is only asked to watch.
    let listener = TcpListener::from_std(listener.into())?;
    if worker.shares_listener() {
        accept_in_turn(worker, &listener, &last).await;
    } else {
        accept(worker, &listener).await;
    }
    drop(listener);
    // The kernel wakes one waiter per connection. If that was us in the moment of the order, a
    // successor would hear of the connection only when the next one comes: we take it.
    let mut left = if worker.leaves_queue() { 1 } else { usize::MAX };
    if !worker.leaves_queue() {
        monoio::time::sleep(CLOSE_TIME).await;
    }
    while left > 0 && matches!(accept_at_once(worker, &last), Ok(())) {
        left -= 1;
    }
    Ok(())
}

async fn accept<A: Application>(worker: &Rc<Worker<A>>, listener: &TcpListener) {
    while !worker.has_closed_door() {
        match listener.cancelable_accept(worker.door()).await {
            Ok((stream, peer)) => admit(worker, stream, Some(peer)),
            Err(error) if error.raw_os_error() == Some(libc::ECANCELED) => {}
            Err(error) => pause_after(&error).await,
        }
    }
}

/// Accepts from a socket that other workers accept from too.
async fn accept_in_turn<A: Application>(
    worker: &Rc<Worker<A>>,
    watched: &TcpListener,
    listener: &Socket,
) {
    while is_knocked(worker, watched).await {
        if let lead @ 1.. = worker.lead() {
            let courtesy = COURTESY.saturating_mul(u32::try_from(lead).unwrap_or(u32::MAX));
            monoio::time::sleep(courtesy.min(COURTESY_MAX)).await;
            if worker.has_closed_door() {
                return;
            }
        }
        // Whoever should have come first may be busy: we take one, and more while it is our turn.
        loop {
            match accept_at_once(worker, listener) {
                Ok(()) if worker.lead() == 0 => {}
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => pause_after(&error).await,
            }
            if worker.has_closed_door() {
                return;
            }
        }
    }
}

/// Waits for a connection; false when the door is closed.
async fn is_knocked<A: Application>(worker: &Rc<Worker<A>>, listener: &TcpListener) -> bool {
    let mut readable = pin!(listener.readable(false));
    poll_fn(|cx| {
        if worker.poll_closed_door(cx).is_ready() {
            return Poll::Ready(false);
        }
        // An error is one of accepting, which will say so.
        readable.as_mut().poll(cx).map(|_| true)
    })
    .await
}

/// Accepts a connection that is waiting.
fn accept_at_once<A: Application>(worker: &Rc<Worker<A>>, listener: &Socket) -> io::Result<()> {
    let (stream, peer) = listener.accept()?;
    stream.set_nonblocking(true)?;
    // What we do with a connection is the same for TCP and Unix domain sockets.
    admit(worker, TcpStream::from_std(stream.into())?, peer.as_socket());
    Ok(())
}

/// `peer`: none of a Unix domain socket.
fn admit<A: Application>(worker: &Rc<Worker<A>>, stream: TcpStream, peer: Option<SocketAddr>) {
    let socket = lend(&stream);
    if !worker.admits() {
        worker.slot().shed(Refusal::TOO_MANY_CONNECTIONS.index());
        tracing::debug!(rule = Refusal::TOO_MANY_CONNECTIONS.name(), "connection refused");
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
    let peer = peer.map(|peer| SocketAddr::new(peer.ip().to_canonical(), peer.port()));
    let local = peer.map(|peer| stream.local_addr().unwrap_or(peer));
    let local = local.map(|local| SocketAddr::new(local.ip().to_canonical(), local.port()));
    let origin = Origin { client: peer, scheme: Scheme::Http };
    let seen = Seen { origin, local, awaits_header: worker.proxies().has_header };
    worker.connection_opened();
    let worker = Rc::clone(worker);
    // It counts as open from here to its end: a worker that stops waits for it.
    // In places of their own: a task moves its future when it begins and twice when it ends.
    match worker.tls().map(Current::config) {
        None => drop(monoio::spawn(Box::pin(async move {
            connection::serve(&worker, stream, socket, seen).await;
            worker.connection_closed();
        }))),
        Some(config) => drop(monoio::spawn(Box::pin(async move {
            tls::serve(&worker, config, stream, socket, seen).await;
            worker.connection_closed();
        }))),
    }
}

#[expect(unsafe_code, reason = "a connection's socket is lent to the application's threads")]
pub(crate) fn lend(stream: &TcpStream) -> BorrowedFd<'static> {
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
