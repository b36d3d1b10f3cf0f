//! The reading side of a connection: one buffer, one read under way at most.
//!
//! The read that waits for the peer while the application answers is the same one that brings
//! the next request: it is armed in place, once per buffer of bytes, and never cancelled.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use monoio::buf::IoBufMut;
use monoio::io::{AsyncReadRent, OwnedReadHalf};
use monoio::net::TcpStream;

use crate::memory::Taken;
use crate::turn::{Turn, give_way};

type ReadHalf = OwnedReadHalf<TcpStream>;
/// What a finished read gives back.
pub(crate) type ReadDone = (ReadHalf, io::Result<usize>, Vec<u8>);

/// Bytes that a buffer keeps room for while a head is awaited.
pub(crate) const HEAD_ROOM_BYTES: usize = 8 * 1024;
/// Bytes that a buffer keeps room for while a body is read.
pub(crate) const BODY_ROOM_BYTES: usize = 64 * 1024;

/// Bytes of a buffer that every connection may have.
const OWN_BYTES: usize = 2 * HEAD_ROOM_BYTES;

/// `F` is the future of one read; its type has no name.
pub(crate) struct Source<F> {
    read: fn(ReadHalf, Vec<u8>) -> F,
    armed: Pin<Box<Option<F>>>,
    /// None while a read is armed: the kernel owns the buffer.
    idle: Option<(ReadHalf, Vec<u8>)>,
    /// `buffer[..consumed]` has been used; 0 <= consumed <= buffer.len().
    consumed: usize,
    turn: Turn,
    /// What the buffer is longer than others.
    taken: Taken,
}

/// The reading side of a connection.
pub(crate) fn source(half: ReadHalf, taken: Taken) -> Source<impl Future<Output = ReadDone>> {
    Source {
        read: read_once,
        armed: Box::pin(None),
        idle: Some((half, Vec::with_capacity(HEAD_ROOM_BYTES))),
        consumed: 0,
        turn: Turn::default(),
        taken,
    }
}

async fn read_once(mut half: ReadHalf, buffer: Vec<u8>) -> ReadDone {
    let (filled, room) = (buffer.len(), buffer.capacity());
    let (result, slice) = half.read(buffer.slice_mut(filled..room)).await;
    (half, result, slice.into_inner())
}

impl<F: Future<Output = ReadDone>> Source<F> {
    /// Bytes that were read and not used. Empty while a read is armed.
    pub(crate) fn unread(&self) -> &[u8] {
        self.idle.as_ref().map_or(&[], |(_, buffer)| &buffer[self.consumed..])
    }

    /// The first `count` unread bytes have been used.
    pub(crate) fn consume(&mut self, count: usize) {
        self.consumed += count;
        debug_assert!(self.idle.as_ref().is_some_and(|(_, b)| self.consumed <= b.len()));
    }

    /// All unread bytes are of no interest.
    pub(crate) fn discard(&mut self) {
        if let Some((_, buffer)) = &self.idle {
            self.consumed = buffer.len();
        }
    }

    pub(crate) fn is_armed(&self) -> bool {
        self.armed.is_some()
    }

    /// Whether a head may grow on in memory.
    pub(crate) fn has_room(&self) -> bool {
        let capacity = self.idle.as_ref().map_or(0, |(_, buffer)| buffer.capacity());
        capacity < OWN_BYTES || self.taken.has_room(HEAD_ROOM_BYTES)
    }

    /// Begins a read, with room for at least `room` bytes; does nothing while one is under way.
    pub(crate) fn arm(&mut self, room: usize) {
        let Some((half, mut buffer)) = self.idle.take() else { return };
        // Memory is short: in small pieces, then.
        let room = if self.taken.has_room(room) { room } else { room.min(HEAD_ROOM_BYTES) };
        if self.consumed == buffer.len() {
            buffer.clear();
            if buffer.capacity() > room.max(OWN_BYTES) {
                buffer = Vec::with_capacity(room);
            }
        } else {
            buffer.drain(..self.consumed);
        }
        self.consumed = 0;
        buffer.reserve(room);
        self.taken.set(buffer.capacity().saturating_sub(OWN_BYTES));
        self.armed.set(Some((self.read)(half, buffer)));
    }

    /// Polls the armed read: so many bytes came; 0: the peer has ended its side.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(read) = self.armed.as_mut().as_pin_mut() else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let Poll::Ready((half, result, buffer)) = read.poll(cx) else {
            self.turn.renew();
            return Poll::Pending;
        };
        self.armed.set(None);
        self.idle = Some((half, buffer));
        Poll::Ready(result)
    }

    /// Reads more bytes behind the unread ones.
    pub(crate) async fn fill(&mut self, room: usize) -> io::Result<usize> {
        self.arm(room);
        let filled = poll_fn(|cx| self.poll_fill(cx)).await;
        if self.turn.spend(*filled.as_ref().unwrap_or(&0)) {
            give_way().await;
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;
    use monoio::io::Splitable;
    use monoio::{LegacyDriver, RuntimeBuilder};
    use std::cell::Cell;
    use std::io::Write;
    use std::net::{Ipv4Addr, TcpListener};
    use std::rc::Rc;
    use std::time::Duration;

    const MOMENT: Duration = Duration::from_millis(1);

    #[test]
    #[expect(clippy::disallowed_methods, reason = "as a loop that has work to do with each read")]
    fn a_peer_whose_bytes_are_all_there_is_not_alone() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (ours, _) = listener.accept().unwrap();
        ours.set_nonblocking(true).unwrap();
        peer.set_nonblocking(true).unwrap();
        let mut sent = 0;
        while let Ok(count) = peer.write(&[0; BODY_ROOM_BYTES]) {
            sent += count;
        }
        let mut runtime = RuntimeBuilder::<LegacyDriver>::new().enable_timer().build().unwrap();
        let beats = Rc::new(Cell::new(0));
        let beating = Rc::clone(&beats);
        let received = runtime.block_on(async {
            drop(monoio::spawn(async move {
                loop {
                    monoio::time::sleep(MOMENT).await;
                    beating.set(beating.get() + 1);
                }
            }));
            let (half, _write) = TcpStream::from_std(ours).unwrap().into_split();
            let mut source = source(half, Memory::new(usize::MAX).begin());
            let mut received = 0;
            while received < sent {
                received += source.fill(1).await.unwrap();
                source.discard();
                std::thread::sleep(MOMENT);
            }
            received
        });
        assert_eq!(received, sent);
        assert!(beats.get() > 0, "no heartbeat in {sent} bytes");
    }
}
