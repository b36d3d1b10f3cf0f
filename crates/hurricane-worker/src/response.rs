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
    FINAL_CHUNK, File, RequestFacts, Response, ResponseBody, Rest, TransferFraming, chunk_prefix,
};

use crate::registry::{Entry, Waiting};
use crate::sink::{COLLECT_BYTES_MAX, Sink};
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

/// Writes a response.
pub(crate) async fn write<A>(
    response: Response,
    (facts, counted): (RequestFacts<'_>, Counted),
    worker: &Worker<A>,
    sink: &mut Sink,
    entry: &Entry,
) -> io::Result<Sent> {
    let encoded = worker.with_date(|date| response.encode_head(&mut sink.pending, facts, date));
    let (framing, keep_alive, response) = match encoded {
        Ok((framing, keep_alive)) => (framing, keep_alive, response),
        Err(error) => {
            tracing::error!(%error, "the application's response cannot be sent");
            let facts = RequestFacts { keep_alive: false, ..facts };
            let response = Response::text("Internal Server Error\n").with_status(500);
            let (framing, keep_alive) = worker
                .with_date(|date| response.encode_head(&mut sink.pending, facts, date))
                .map_err(io::Error::other)?;
            (framing, keep_alive, response)
        }
    };
    let status = response.status;
    let mut tally = Tally::new(counted, status, worker);
    let written = write_body(response.body, (framing, &mut tally), worker, sink, entry).await;
    tally.count();
    let extent = written?;
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
    if sink.pending.len() > COLLECT_BYTES_MAX {
        sink.flush(worker, entry).await?;
    }
    Ok(Sent { status, keep_alive: keep_alive && extent == Extent::Whole })
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

async fn write_body<A>(
    body: ResponseBody,
    (framing, tally): (TransferFraming, &mut Tally<'_, A>),
    worker: &Worker<A>,
    sink: &mut Sink,
    entry: &Entry,
) -> io::Result<Extent> {
    match body {
        ResponseBody::Empty => {
            tally.count();
            match framing {
                TransferFraming::Length(1..) => Ok(Extent::Short),
                _ => Ok(Extent::Whole),
            }
        }
        ResponseBody::Full(bytes) => write_full(bytes, (framing, tally), worker, sink, entry).await,
        ResponseBody::File(file) => {
            let TransferFraming::Length(length) = framing else { return Ok(Extent::Whole) };
            let extent = Extent::of(file.len, length);
            let len = file.len.min(length);
            tally.add(len);
            tally.count();
            sink.send_file(File { len, ..file }, worker, entry).await?;
            Ok(extent)
        }
        ResponseBody::Stream(stream) => {
            write_stream(stream, (framing, tally), worker, sink, entry).await
        }
    }
}

async fn write_full<A>(
    bytes: Bytes,
    (framing, tally): (TransferFraming, &mut Tally<'_, A>),
    worker: &Worker<A>,
    sink: &mut Sink,
    entry: &Entry,
) -> io::Result<Extent> {
    let TransferFraming::Length(length) = framing else { return Ok(Extent::Whole) };
    let extent = Extent::of(bytes.len() as u64, length);
    let len = bytes.len().min(usize::try_from(length).unwrap_or(usize::MAX));
    tally.add(len as u64);
    tally.count();
    if len <= INLINE_BODY_BYTES_MAX {
        sink.pending.extend_from_slice(&bytes[..len]);
    } else {
        sink.write(bytes.slice(..len), worker, entry).await?;
    }
    Ok(extent)
}

async fn write_stream<A>(
    mut stream: Pin<Box<dyn Stream<Item = io::Result<Bytes>>>>,
    (framing, tally): (TransferFraming, &mut Tally<'_, A>),
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
            tally.count();
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
