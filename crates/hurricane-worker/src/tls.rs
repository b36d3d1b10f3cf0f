//! TLS in front of a connection.
//!
//! Whatever writes on a connection (the loop, the application's threads, `sendfile`) writes on a
//! socket. So a connection over TLS gets a socket of its own, one end of a pair, and knows nothing
//! of TLS; at the other end a tunnel encrypts what comes out and decrypts what goes in. That costs a
//! copy through the kernel each way, and plain connections nothing.
//!
//! Invariants:
//! - Of each direction one buffer is in memory, and is written before the next is read: a side that
//!   takes nothing is given no more.
//! - A handshake may take as long as a head; after that the connection's own deadlines hold, and
//!   that of writing for a peer that takes nothing.
//! - The tunnel ends when both directions have.

pub(crate) mod certificate;

use std::cell::RefCell;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use hurricane_http::{Application, ProxyHeader, Refusal, Scheme};
use hurricane_scoreboard::Monotonic;
use monoio::buf::{IoBuf, IoBufMut};
use monoio::io::{AsyncReadRent, AsyncWriteRent, OwnedReadHalf, OwnedWriteHalf, Splitable};
use monoio::net::TcpStream;
use rustls::{IoState, ServerConfig, ServerConnection};
use socket2::SockRef;

use crate::connection::{self, Seen};
use crate::listener::lend;
use crate::registry::{Entry, Waiting};
use crate::worker::Worker;

/// Bytes that are read at once: what a record holds.
const ROOM_BYTES: usize = 16 * 1024;

/// Serves a connection whose peer speaks TLS.
pub(crate) async fn serve<A: Application>(
    worker: &Rc<Worker<A>>,
    config: Arc<ServerConfig>,
    stream: TcpStream,
    socket: BorrowedFd<'static>,
    mut seen: Seen,
) {
    let entry = Rc::new(Entry::new(socket));
    entry.wait(Waiting::Handshake, Monotonic::now(), worker.limits());
    worker.registry.add(&entry);
    let (reading, writing) = stream.into_split();
    let Ok(session) = ServerConnection::new(config) else { return };
    let mut tunnel = Tunnel { worker: Rc::clone(worker), entry, session: RefCell::new(session) };
    let (mut incoming, mut outgoing) = (Incoming::new(reading), writing);
    let begun = tunnel.begin(&mut incoming, &mut outgoing, &mut seen).await;
    if let Err(cause) = begun {
        tunnel.worker.slot().refused(Refusal::NO_TLS.index());
        let (peer, rule) = (seen.origin.client, Refusal::NO_TLS.name());
        tracing::debug!(peer = peer.map(tracing::field::display), rule, %cause, "no TLS");
        // An alert may say why.
        let _ = tunnel.flush(&mut outgoing).await;
        return;
    }
    tunnel.entry.wait(Waiting::Reply, tunnel.worker.now(), tunnel.worker.limits());
    seen.origin.scheme = Scheme::Https;
    let Ok((ours, theirs)) = pair() else { return };
    let (inside, outside) = (lend(&theirs), lend(&ours));
    let inner = connection::serve(worker, theirs, inside, seen);
    let (from_inner, to_inner) = ours.into_split();
    let decrypting = tunnel.decrypt(incoming, to_inner, outside);
    let encrypting = tunnel.encrypt(from_inner, outside, outgoing);
    all([Box::pin(inner), Box::pin(decrypting), Box::pin(encrypting)]).await;
}

/// The two ends between a connection and its tunnel.
fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let adopt = |stream: UnixStream| {
        stream.set_nonblocking(true)?;
        // What we do with a stream is the same for TCP and Unix domain sockets.
        TcpStream::from_std(OwnedFd::from(stream).into())
    };
    let (ours, theirs) = UnixStream::pair()?;
    Ok((adopt(ours)?, adopt(theirs)?))
}

struct Tunnel<A> {
    worker: Rc<Worker<A>>,
    entry: Rc<Entry>,
    /// Never borrowed across a wait.
    session: RefCell<ServerConnection>,
}

/// What comes from the peer.
struct Incoming {
    half: OwnedReadHalf<TcpStream>,
    buffer: Vec<u8>,
    /// `buffer[..used]` has been used; 0 <= used <= buffer.len().
    used: usize,
}

impl Incoming {
    fn new(half: OwnedReadHalf<TcpStream>) -> Self {
        Self { half, buffer: Vec::with_capacity(ROOM_BYTES), used: 0 }
    }

    /// Reads behind what is unused; 0: the peer has ended its side.
    async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.drain(..self.used);
        self.used = 0;
        self.buffer.reserve(ROOM_BYTES);
        let buffer = std::mem::take(&mut self.buffer);
        let (filled, room) = (buffer.len(), buffer.capacity());
        let (result, slice) = self.half.read(buffer.slice_mut(filled..room)).await;
        self.buffer = slice.into_inner();
        result
    }

    fn unused(&self) -> &[u8] {
        &self.buffer[self.used..]
    }
}

impl<A> Tunnel<A> {
    /// What comes before the first byte of HTTP: a PROXY header, if there has to be one, and the
    /// handshake.
    async fn begin(
        &mut self,
        incoming: &mut Incoming,
        outgoing: &mut OwnedWriteHalf<TcpStream>,
        seen: &mut Seen,
    ) -> Result<(), Box<dyn Error>> {
        if std::mem::take(&mut seen.awaits_header) {
            let header = loop {
                match ProxyHeader::parse(incoming.unused(), self.worker.limits())? {
                    Some((header, consumed)) => {
                        incoming.used += consumed;
                        break header;
                    }
                    None => self.more(incoming).await?,
                }
            };
            seen.learn(header);
        }
        loop {
            self.take(incoming)?;
            self.flush(outgoing).await?;
            if !self.session.borrow().is_handshaking() {
                return Ok(());
            }
            if incoming.unused().is_empty() {
                self.more(incoming).await?;
            }
        }
    }

    async fn more(&self, incoming: &mut Incoming) -> io::Result<()> {
        match incoming.fill().await? {
            0 if self.entry.has_expired() => Err(io::ErrorKind::TimedOut.into()),
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Gives the session what has come, as far as it takes it.
    fn take(&self, incoming: &mut Incoming) -> Result<IoState, Box<dyn Error>> {
        let mut session = self.session.borrow_mut();
        let mut unused = incoming.unused();
        if !unused.is_empty() && session.read_tls(&mut unused)? == 0 {
            return Err("the peer speaks on after its end".into());
        }
        incoming.used = incoming.buffer.len() - unused.len();
        Ok(session.process_new_packets()?)
    }

    /// Sends what the session has to say.
    async fn flush(&self, outgoing: &mut OwnedWriteHalf<TcpStream>) -> io::Result<()> {
        let mut bytes = Vec::new();
        {
            let mut session = self.session.borrow_mut();
            while session.wants_write() {
                session.write_tls(&mut bytes)?;
            }
        }
        if bytes.is_empty() {
            return Ok(());
        }
        write_all(outgoing, bytes, |written| {
            if self.entry.waiting() != Waiting::Handshake {
                let (now, limits) = (self.worker.now(), self.worker.limits());
                self.entry.wait_on(Waiting::Write, now, limits);
                self.entry.progress(written, now, limits);
            }
        })
        .await
    }

    /// From the peer to the connection, to the end of either.
    async fn decrypt(
        &self,
        mut incoming: Incoming,
        mut to_inner: OwnedWriteHalf<TcpStream>,
        ours: BorrowedFd<'static>,
    ) {
        loop {
            let plain = match self.plain(&mut incoming) {
                Ok(plain) => plain,
                Err(cause) => {
                    tracing::debug!(%cause, "TLS ends");
                    break;
                }
            };
            match plain {
                Plain::Bytes(bytes) => {
                    if write_all(&mut to_inner, bytes, |_| ()).await.is_err() {
                        return;
                    }
                }
                Plain::Ended => break,
                Plain::Later => match incoming.fill().await {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => break,
                },
            }
        }
        // It fails when the connection has ended first.
        let _ = SockRef::from(&ours).shutdown(Shutdown::Write);
    }

    /// What the peer has said so far.
    fn plain(&self, incoming: &mut Incoming) -> Result<Plain, Box<dyn Error>> {
        loop {
            let state = self.take(incoming)?;
            let mut bytes = vec![0; state.plaintext_bytes_to_read()];
            if !bytes.is_empty() {
                self.session.borrow_mut().reader().read_exact(&mut bytes)?;
                return Ok(Plain::Bytes(bytes));
            }
            if state.peer_has_closed() {
                return Ok(Plain::Ended);
            }
            if incoming.unused().is_empty() {
                return Ok(Plain::Later);
            }
        }
    }

    /// From the connection to the peer, to the end of either.
    async fn encrypt(
        &self,
        mut from_inner: OwnedReadHalf<TcpStream>,
        ours: BorrowedFd<'static>,
        mut outgoing: OwnedWriteHalf<TcpStream>,
    ) {
        let mut buffer = Vec::with_capacity(ROOM_BYTES);
        loop {
            let result;
            (result, buffer) = from_inner.read(buffer).await;
            let is_last = !matches!(result, Ok(1..));
            {
                let mut session = self.session.borrow_mut();
                match is_last {
                    false => {
                        // In memory, and the buffer is emptied below.
                        let _ = session.writer().write_all(&buffer);
                    }
                    true => session.send_close_notify(),
                }
            }
            buffer.clear();
            let is_sent = self.flush(&mut outgoing).await.is_ok();
            if !is_sent {
                // There is nobody to write to.
                let _ = SockRef::from(&ours).shutdown(Shutdown::Both);
            }
            if is_last || !is_sent {
                break;
            }
            self.entry.wait(Waiting::Reply, self.worker.now(), self.worker.limits());
        }
        // What the peer still says is read for a moment, by the connection or for nobody.
        let _ = SockRef::from(&self.entry.socket()).shutdown(Shutdown::Write);
        self.entry.wait(Waiting::Linger, self.worker.now(), self.worker.limits());
    }
}

enum Plain {
    Bytes(Vec<u8>),
    /// The peer has said that nothing more comes.
    Ended,
    /// More has to come first.
    Later,
}

/// Writes all bytes; `wait` is called before each wait, with what the one before it has brought.
async fn write_all(
    half: &mut OwnedWriteHalf<TcpStream>,
    bytes: Vec<u8>,
    wait: impl Fn(usize),
) -> io::Result<()> {
    let mut rest = bytes.slice(..);
    let (mut written, mut last) = (0, 0);
    while written < rest.get_ref().len() {
        wait(last);
        let (result, slice) = half.write(rest).await;
        match result {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => (written, last) = (written + count, count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => last = 0,
            Err(error) => return Err(error),
        }
        rest = slice.into_inner().slice(written..);
    }
    Ok(())
}

type Part<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Runs all of them on this task, to the end of the last.
async fn all(parts: [Part<'_>; 3]) {
    let mut parts = parts.map(Some);
    poll_fn(|cx| {
        for part in &mut parts {
            if part.as_mut().is_some_and(|part| part.as_mut().poll(cx).is_ready()) {
                *part = None;
            }
        }
        if parts.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
