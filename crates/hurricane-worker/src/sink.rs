//! The writing side of a connection.

use std::io;
use std::os::fd::AsFd;

use bytes::Bytes;
use hurricane_http::File;
use monoio::buf::{IoBuf, Slice};
use monoio::io::{AsyncWriteRent, OwnedWriteHalf};
use monoio::net::TcpStream;
use nix::fcntl::{FcntlArg, OFlag, PosixFadviseAdvice, fcntl, posix_fadvise};
use nix::sys::sendfile::sendfile64;

use crate::registry::{Entry, Waiting};
use crate::worker::Worker;

/// Bytes of a file given to the socket in one call: few enough that a page cache miss does not
/// hold the loop for long.
const FILE_SLICE_BYTES: usize = 256 * 1024;
/// Bytes that are collected before they are written although more responses could follow.
pub(crate) const COLLECT_BYTES_MAX: usize = 64 * 1024;

pub(crate) struct Sink {
    half: OwnedWriteHalf<TcpStream>,
    /// Encoded bytes that are not yet written.
    pub(crate) pending: Vec<u8>,
}

impl Sink {
    pub(crate) fn new(half: OwnedWriteHalf<TcpStream>) -> Self {
        Self { half, pending: Vec::new() }
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
        while written < len {
            entry.wait(Waiting::Write, worker.now(), worker.limits());
            let (result, slice) = self.half.write(rest).await;
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            rest = Slice::into_inner(slice).slice(written..);
        }
        Ok(rest.into_inner())
    }

    /// Sends a part of a file behind what is pending, without copying it through the process.
    /// Fails with `UnexpectedEof` when the file turns out to be shorter.
    pub(crate) async fn send_file<A>(
        &mut self,
        file: File,
        worker: &Worker<A>,
        entry: &Entry,
    ) -> io::Result<()> {
        self.flush(worker, entry).await?;
        set_nonblocking(entry)?;
        let mut offset = i64::try_from(file.offset).map_err(io::Error::other)?;
        let mut left = file.len;
        // A hint for the kernel; some file systems do not take it.
        let _ = posix_fadvise(
            file.file.as_fd(),
            offset,
            i64::try_from(left).unwrap_or(0),
            PosixFadviseAdvice::POSIX_FADV_SEQUENTIAL,
        );
        while left > 0 {
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(FILE_SLICE_BYTES);
            match sendfile64(entry.socket(), file.file.as_fd(), Some(&mut offset), count) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(sent) => left -= sent as u64,
                Err(nix::Error::EAGAIN) => {
                    entry.wait(Waiting::Write, worker.now(), worker.limits());
                    self.writable().await?;
                    if entry.has_expired() {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(nix::Error::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
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

fn set_nonblocking(entry: &Entry) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(entry.socket(), FcntlArg::F_GETFL)?);
    fcntl(entry.socket(), FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}
