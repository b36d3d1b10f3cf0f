//! Puts responses that the worker encodes on the wire: the application's (when it does not write
//! itself), those to reserved paths, and refusals.

use std::cmp::Ordering;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use futures_core::Stream;
use hurricane_http::{
    Application, FINAL_CHUNK, File, RequestFacts, Response, ResponseBody, Rest, TransferFraming,
    chunk_prefix,
};

use crate::registry::{Entry, Waiting};
use crate::sink::Sink;
use crate::tally::{Counted, Tally};
use crate::worker::Worker;

/// Bytes of a body that are copied behind its head, so that both go out in one write.
const INLINE_BODY_BYTES_MAX: usize = 16 * 1024;

/// How much of a body was there, by its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    Whole,
    /// Bytes are missing: the peer sees it when the connection ends.
    Short,
    /// There were more, which nobody is sent.
    Long,
}

impl Extent {
    fn of(given: u64, promised: u64) -> Self {
        match given.cmp(&promised) {
            Ordering::Less => Self::Short,
            Ordering::Equal => Self::Whole,
            Ordering::Greater => Self::Long,
        }
    }
}

/// What has been written.
pub(crate) struct Sent {
    pub(crate) status: u16,
    /// Whether the connection lives on.
    pub(crate) keep_alive: bool,
}

/// A response whose head is encoded.
pub(crate) enum Begun {
    /// So is its body.
    Whole(Sent),
    /// Its body is to be written; rare enough for an allocation, and too large to be moved about.
    Head(Box<Unwritten>),
}

/// A body behind its encoded head.
pub(crate) struct Unwritten {
    body: ResponseBody,
    framing: TransferFraming,
    keep_alive: bool,
    tally: Tally,
}

/// Encodes a response: its head, and its body if that is short. Most responses need no more, and
/// nothing that waits.
pub(crate) fn begin<A: Application>(
    response: &mut Response,
    (facts, counted): (RequestFacts<'_>, Counted),
    worker: &Worker<A>,
    pending: &mut Vec<u8>,
) -> io::Result<Begun> {
    let mut encode = |response: &Response, facts| {
        worker.with_date(|date| response.encode_head(pending, facts, date))
    };
    let (framing, keep_alive) = match encode(response, facts) {
        Ok(encoded) => encoded,
        Err(error) => {
            tracing::error!(%error, "the application's response cannot be sent");
            *response = Response::text("Internal Server Error\n").with_status(500);
            let facts = RequestFacts { keep_alive: false, ..facts };
            encode(response, facts).map_err(io::Error::other)?
        }
    };
    let mut tally = Tally::new(counted, response.status);
    let bytes = match &response.body {
        ResponseBody::Empty => &[][..],
        ResponseBody::Full(bytes) if bytes.len() <= INLINE_BODY_BYTES_MAX => bytes,
        _ => {
            let body = std::mem::take(&mut response.body);
            return Ok(Begun::Head(Box::new(Unwritten { body, framing, keep_alive, tally })));
        }
    };
    let extent = match framing {
        TransferFraming::Length(length) => {
            let len = within(bytes, length);
            tally.add(len as u64);
            pending.extend_from_slice(&bytes[..len]);
            Extent::of(bytes.len() as u64, length)
        }
        _ => Extent::Whole,
    };
    Ok(Begun::Whole(end(tally, keep_alive, extent, worker)))
}

/// How many of the bytes a length lets be sent.
fn within(bytes: &[u8], length: u64) -> usize {
    bytes.len().min(usize::try_from(length).unwrap_or(usize::MAX))
}

/// Writes the body of a response.
pub(crate) async fn finish<A: Application>(
    unwritten: Unwritten,
    worker: &Worker<A>,
    sink: &mut Sink,
    entry: &Entry,
) -> io::Result<Sent> {
    let Unwritten { body, framing, keep_alive, mut tally } = unwritten;
    let written = write_body(body, (framing, &mut tally), worker, sink, entry).await;
    // Whether or not the peer has taken it.
    tally.count(worker);
    Ok(end(tally, keep_alive, written?, worker))
}

fn end<A: Application>(
    mut tally: Tally,
    keep_alive: bool,
    extent: Extent,
    worker: &Worker<A>,
) -> Sent {
    tally.count(worker);
    let status = tally.status;
    match extent {
        Extent::Whole => {}
        Extent::Short => tracing::warn!(
            status,
            "the application gave fewer bytes than its Content-Length; connection closed"
        ),
        Extent::Long => tracing::warn!(
            status,
            "the application gave more bytes than its Content-Length; connection closed"
        ),
    }
    Sent { status, keep_alive: keep_alive && extent == Extent::Whole }
}

/// Writes what an application that writes itself has left.
pub(crate) async fn write_rest<A>(
    rest: Rest,
    worker: &Worker<A>,
    sink: &mut Sink,
    entry: &Entry,
) -> io::Result<()> {
    if !rest.bytes.is_empty() {
        sink.write(rest.bytes, worker, entry).await?;
    }
    match rest.file {
        Some(file) => sink.send_file(file, worker, entry).await,
        None => Ok(()),
    }
}

async fn write_body<A: Application>(
    body: ResponseBody,
    (framing, tally): (TransferFraming, &mut Tally),
    worker: &Worker<A>,
    sink: &mut Sink,
    entry: &Entry,
) -> io::Result<Extent> {
    match body {
        ResponseBody::Empty => {
            write_full(Bytes::new(), (framing, tally), worker, sink, entry).await
        }
        ResponseBody::Full(bytes) => write_full(bytes, (framing, tally), worker, sink, entry).await,
        ResponseBody::File(file) => {
            let TransferFraming::Length(length) = framing else { return Ok(Extent::Whole) };
            let extent = Extent::of(file.len, length);
            let len = file.len.min(length);
            tally.add(len);
            tally.count(worker);
            sink.send_file(File { len, ..file }, worker, entry).await?;
            Ok(extent)
        }
        ResponseBody::Stream(stream) => {
            write_stream(stream, (framing, tally), worker, sink, entry).await
        }
    }
}

async fn write_full<A: Application>(
    bytes: Bytes,
    (framing, tally): (TransferFraming, &mut Tally),
    worker: &Worker<A>,
    sink: &mut Sink,
    entry: &Entry,
) -> io::Result<Extent> {
    let TransferFraming::Length(length) = framing else { return Ok(Extent::Whole) };
    let extent = Extent::of(bytes.len() as u64, length);
    let len = within(&bytes, length);
    tally.add(len as u64);
    tally.count(worker);
    sink.write(bytes.slice(..len), worker, entry).await?;
    Ok(extent)
}

async fn write_stream<A: Application>(
    mut stream: Pin<Box<dyn Stream<Item = io::Result<Bytes>>>>,
    (framing, tally): (TransferFraming, &mut Tally),
    worker: &Worker<A>,
    sink: &mut Sink,
    entry: &Entry,
) -> io::Result<Extent> {
    sink.flush(worker, entry).await?;
    let mut is_long = false;
    let mut left = match framing {
        TransferFraming::None => return Ok(Extent::Whole),
        TransferFraming::Length(length) => length,
        TransferFraming::Chunked | TransferFraming::Close => u64::MAX,
    };
    while left > 0 {
        let next = poll_fn(|cx| {
            let next = stream.as_mut().poll_next(cx);
            if next.is_pending() {
                // The peer has taken all that there was.
                entry.wait(Waiting::Reply, worker.now(), worker.limits());
            }
            next
        });
        let Some(item) = next.await else { break };
        let mut bytes = item.inspect_err(|error| {
            tracing::error!(%error, "the application's body has failed; connection closed");
        })?;
        is_long = bytes.len() as u64 > left;
        bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        if bytes.is_empty() {
            continue;
        }
        left -= bytes.len() as u64;
        tally.add(bytes.len() as u64);
        if left == 0 {
            tally.count(worker);
        }
        if framing == TransferFraming::Chunked {
            chunk_prefix(&mut sink.pending, bytes.len());
            sink.pending.extend_from_slice(&bytes);
            sink.pending.extend_from_slice(b"\r\n");
            sink.flush(worker, entry).await?;
        } else {
            sink.write(bytes, worker, entry).await?;
        }
    }
    if framing == TransferFraming::Chunked {
        sink.pending.extend_from_slice(FINAL_CHUNK);
    }
    if left == 0 && !is_long {
        // Nobody waits for what must not come.
        let next = poll_fn(|cx| Poll::Ready(stream.as_mut().poll_next(cx))).await;
        is_long = matches!(next, Poll::Ready(Some(Ok(bytes))) if !bytes.is_empty());
    }
    Ok(match framing {
        _ if is_long => Extent::Long,
        TransferFraming::Length(_) if left > 0 => Extent::Short,
        _ => Extent::Whole,
    })
}
