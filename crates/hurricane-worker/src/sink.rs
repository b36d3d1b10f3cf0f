//! The writing side of a connection.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;

use bytes::Bytes;
use hurricane_files::Opened;
use hurricane_http::File;
use monoio::buf::{IoBuf, Slice};
use monoio::io::{AsyncWriteRent, OwnedWriteHalf};
use monoio::net::TcpStream;
use nix::fcntl::{FcntlArg, OFlag, PosixFadviseAdvice, fcntl, posix_fadvise};
use nix::sys::sendfile::sendfile64;
use nix::sys::socket::{MsgFlags, send};

use crate::disk;
use crate::registry::{Entry, Waiting};
use crate::turn::{Turn, give_way};
use crate::worker::Worker;

/// Bytes of a file given to the socket in one call.
const SLICE_BYTES: u64 = 1024 * 1024;
/// Bytes of a file that are sent together with their head. More go out behind it: their packets
/// then begin where pages do, which took 23 µs of CPU instead of 73 for 256 KiB.
const BEHIND_HEAD_BYTES_MAX: u64 = 64 * 1024;
/// A write that neither waits nor raises SIGPIPE.
const AT_ONCE: MsgFlags = MsgFlags::MSG_DONTWAIT.union(MsgFlags::MSG_NOSIGNAL);
/// Bytes that are collected before they are written although more responses could follow.
pub(crate) const COLLECT_BYTES_MAX: usize = 64 * 1024;

/// A part of an open file.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) file: Arc<Opened>,
    /// First byte.
    pub(crate) offset: u64,
    /// Number of bytes.
    pub(crate) len: u64,
}

pub(crate) struct Sink {
    half: OwnedWriteHalf<TcpStream>,
    /// Encoded bytes that are not yet written.
    pub(crate) pending: Vec<u8>,
    /// The socket's flag, which `sendfile` looks at.
    is_nonblocking: bool,
    turn: Turn,
}

impl Sink {
    pub(crate) fn new(half: OwnedWriteHalf<TcpStream>) -> Self {
        Self { half, pending: Vec::new(), is_nonblocking: false, turn: Turn::default() }
    }

    /// Writes what is pending; the buffer is used again.
    pub(crate) async fn flush<A>(&mut self, worker: &Worker<A>, entry: &Entry) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        self.pending = self.write_all(pending, worker, entry).await?;
        self.pending.clear();
        if self.pending.capacity() > 2 * COLLECT_BYTES_MAX {
            self.pending = Vec::new();
        }
        Ok(())
    }

    /// Writes `bytes` behind what is pending.
    pub(crate) async fn write<A>(
        &mut self,
        bytes: Bytes,
        worker: &Worker<A>,
        entry: &Entry,
    ) -> io::Result<()> {
        self.flush(worker, entry).await?;
        self.write_all(bytes, worker, entry).await.map(drop)
    }

    async fn write_all<A, B: IoBuf>(
        &mut self,
        bytes: B,
        worker: &Worker<A>,
        entry: &Entry,
    ) -> io::Result<B> {
        let len = bytes.bytes_init();
        let mut rest = bytes.slice(..);
        let mut written = 0;
        entry.wait_on(Waiting::Write, worker.now(), worker.limits());
        while written < len {
            let (result, slice) = self.half.write(rest).await;
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    written += count;
                    if written < len {
                        entry.progress(count, worker.now(), worker.limits());
                    }
                    if self.turn.spend(count) {
                        give_way().await;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            rest = Slice::into_inner(slice).slice(written..);
        }
        Ok(rest.into_inner())
    }

    /// Sends a file of the application's; see [`Sink::send_part`].
    pub(crate) async fn send_file<A>(
        &mut self,
        file: File,
        worker: &Worker<A>,
        entry: &Entry,
    ) -> io::Result<()> {
        let File { file, offset, len } = file;
        // A hint for the kernel; some file systems do not take it.
        let _ = posix_fadvise(
            file.as_fd(),
            i64::try_from(offset).unwrap_or(0),
            i64::try_from(len).unwrap_or(0),
            PosixFadviseAdvice::POSIX_FADV_SEQUENTIAL,
        );
        self.send_part(Part { file: Arc::new(file.into()), offset, len }, worker, entry).await
    }

    /// Sends a part of a file behind what is pending, without copying it through the process.
    /// Fails with `UnexpectedEof` when the file turns out to be shorter.
    pub(crate) async fn send_part<A>(
        &mut self,
        part: Part,
        worker: &Worker<A>,
        entry: &Entry,
    ) -> io::Result<()> {
        self.send_ahead(part.len <= BEHIND_HEAD_BYTES_MAX, entry)?;
        self.flush(worker, entry).await?;
        self.set_nonblocking(entry)?;
        let Part { file, offset, len } = part;
        let end = offset.saturating_add(len);
        let mut at = i64::try_from(offset).map_err(io::Error::other)?;
        while at.unsigned_abs() < end {
            let begin = at.unsigned_abs();
            let wanted = (end - begin).min(SLICE_BYTES);
            // A page cache miss would hold the loop. The peer has no part in it.
            if !file.is_in_memory(begin, wanted) {
                entry.wait(Waiting::Reply, worker.now(), worker.limits());
                let file = Arc::clone(&file);
                disk::wait_for(move || file.warm(begin, wanted)).await??;
            }
            // A slice fits.
            let count = wanted as usize;
            let sent = match sendfile64(entry.socket(), file.file().as_fd(), Some(&mut at), count) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(sent) => sent,
                Err(nix::Error::EAGAIN) => 0,
                Err(nix::Error::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            entry.wait_on(Waiting::Write, worker.now(), worker.limits());
            entry.progress(sent, worker.now(), worker.limits());
            if sent == count {
                if self.turn.spend(sent) {
                    give_way().await;
                }
                continue;
            }
            self.writable().await?;
            if entry.has_expired() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.turn.renew();
        }
        Ok(())
    }

    /// Gives what is pending to the socket without waiting, perhaps to be sent together with what
    /// follows.
    pub(crate) fn send_ahead(&mut self, is_together: bool, entry: &Entry) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let more = MsgFlags::from_bits_retain(if is_together { libc::MSG_MORE } else { 0 });
        match send(entry.socket().as_raw_fd(), &self.pending, AT_ONCE | more) {
            Ok(sent) => drop(self.pending.drain(..sent)),
            Err(nix::Error::EAGAIN | nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn set_nonblocking(&mut self, entry: &Entry) -> io::Result<()> {
        if !self.is_nonblocking {
            let flags = OFlag::from_bits_retain(fcntl(entry.socket(), FcntlArg::F_GETFL)?);
            fcntl(entry.socket(), FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
            self.is_nonblocking = true;
        }
        Ok(())
    }

    #[expect(unsafe_code, reason = "the halves of a monoio stream share it through a cell")]
    async fn writable(&self) -> io::Result<()> {
        // SAFETY: everything runs on this thread; the other half makes its own short-lived
        // references while it submits or completes a read, and none lives across an await.
        let stream = unsafe { &*self.half.0.get() };
        stream.writable(false).await
    }

    /// Sends our FIN.
    pub(crate) fn finish(&self, entry: &Entry) {
        // It fails when the peer has reset the connection; then there is nothing to say.
        let _ = socket2::SockRef::from(&entry.socket()).shutdown(std::net::Shutdown::Write);
    }
}
