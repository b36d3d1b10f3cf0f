//! The life of a connection: head, body, application, response, and again.
//!
//! While the application answers, one read is under way: it brings the next request, or tells
//! that the peer has left. A read that brings bytes meanwhile is not followed by another, so a
//! peer that pipelines is read one buffer ahead at most.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use hurricane_http::{
    Answered, Application, Body, BodyDecoder, BodyFraming, CONTINUE, Head, HeadParser, Origin,
    Outlet, ProxyHeader, Refusal, Reply, Request, RequestError, RequestFacts, Response, Scheme,
    Version, Written,
};
use hurricane_scoreboard::Monotonic;
use monoio::io::Splitable;
use monoio::net::TcpStream;

use crate::body::Spool;
use crate::memory::Taken;
use crate::registry::{Entry, Waiting};
use crate::response::{self, Begun, Sent};
use crate::running::{Running, poll_guarded};
use crate::sink::{COLLECT_BYTES_MAX, Sink};
use crate::source::{BODY_ROOM_BYTES, HEAD_ROOM_BYTES, ReadDone, Source, source};
use crate::tally::Counted;
use crate::worker::{Proxies, Worker};

/// A FIN so soon after a request is a peer that has only ended its sending side; a later one is
/// a peer that has given up.
const HALF_CLOSE: Duration = Duration::from_millis(50);

/// Why a connection ends, or a request is refused.
pub(crate) enum Ending {
    /// The peer has ended, or a wait for it.
    Closed,
    /// The request breaks a rule.
    Refused(RequestError),
    /// The peer is too slow, with its head or its body.
    TooSlow(Refusal),
    /// No memory is left for what the request needs.
    NoMemory,
    /// The body cannot be spooled.
    NoSpace(io::Error),
}

impl From<io::Error> for Ending {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

/// What is known of a connection before its first byte.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Who has connected, by the socket or a PROXY header.
    pub(crate) origin: Origin,
    /// Where to; none of a Unix domain socket.
    pub(crate) local: Option<SocketAddr>,
    /// It begins with a PROXY header.
    pub(crate) awaits_header: bool,
}

impl Seen {
    /// Takes what a load balancer says.
    pub(crate) fn learn(&mut self, header: ProxyHeader) {
        (self.origin.client, self.local) = match header {
            ProxyHeader::Own => return,
            ProxyHeader::Unix => (None, None),
            ProxyHeader::Client { source, destination } => (Some(source), Some(destination)),
        };
    }
}

/// Serves one connection to its end.
pub(crate) async fn serve<A: Application>(
    worker: &Rc<Worker<A>>,
    stream: TcpStream,
    socket: BorrowedFd<'static>,
    seen: Seen,
) {
    let entry = Rc::new(match seen.origin.scheme {
        Scheme::Http => Entry::new(socket),
        Scheme::Https => Entry::tunnelled(socket),
    });
    // Not the last heartbeat's time: no connection is to end before its age.
    entry.begin(Monotonic::now(), worker.limits());
    worker.registry.add(&entry);
    let (reading, writing) = stream.into_split();
    let mut connection = Connection {
        worker: Rc::clone(worker),
        entry,
        source: source(reading, worker.memory.begin()),
        sink: Sink::new(writing),
        seen,
        origin: seen.origin,
        peer_finished: false,
        requests: 0,
        parser: HeadParser::default(),
        received: None,
        refused: None,
    };
    connection.live().await;
}

pub(crate) struct Connection<A, F> {
    pub(crate) worker: Rc<Worker<A>>,
    pub(crate) entry: Rc<Entry>,
    source: Source<F>,
    pub(crate) sink: Sink,
    seen: Seen,
    /// Who has sent the present request.
    origin: Origin,
    /// The peer's FIN (or reset) has been seen.
    peer_finished: bool,
    /// Heads that were read so far.
    requests: usize,
    parser: HeadParser,
    /// When the head of the present request was whole, if anybody wants to know.
    received: Option<Instant>,
    /// That head, once the request is refused for its body.
    refused: Option<Head>,
}

impl<A: Application, F: Future<Output = ReadDone>> Connection<A, F> {
    async fn live(&mut self) {
        let begun = match self.seen.awaits_header {
            true => self.proxy_header().await,
            false => Ok(()),
        };
        if let Err(ending) = begun {
            return self.end(&ending).await;
        }
        loop {
            match self.exchange().await {
                Ok(true) => {
                    if self.sink.pending.len() > COLLECT_BYTES_MAX
                        && self.sink.flush(&self.worker, &self.entry).await.is_err()
                    {
                        return;
                    }
                    self.entry.wait(Waiting::Request, self.worker.now(), self.worker.limits());
                }
                Ok(false) => return self.linger().await,
                Err(ending) => return self.end(&ending).await,
            }
        }
    }

    async fn end(&mut self, ending: &Ending) {
        if !matches!(ending, Ending::Closed) {
            self.refuse(ending).await;
            self.linger().await;
        }
    }

    /// Reads what a load balancer says of the connection. From its first byte to its last it may take
    /// as long as a head.
    async fn proxy_header(&mut self) -> Result<(), Ending> {
        let (header, consumed) = loop {
            let parsed = ProxyHeader::parse(self.source.unread(), self.worker.limits());
            match parsed.map_err(Ending::Refused)? {
                Some(parsed) => break parsed,
                None => self.await_head().await?,
            }
        };
        self.source.consume(consumed);
        self.seen.learn(header);
        Ok(())
    }

    /// One request and its response; whether the connection lives on.
    async fn exchange(&mut self) -> Result<bool, Ending> {
        self.received = None;
        // Whose request the last one was says nothing of this one.
        self.origin = self.seen.origin;
        let mut head = self.next_head().await?;
        if let Proxies { trusted: Some(trusted), family, .. } = self.worker.proxies() {
            let found = head.resolve_origin(self.seen.origin, trusted, *family);
            self.origin = found.map_err(Ending::Refused)?;
        }
        self.worker.identify(&mut head);
        self.received = self.is_timed(&head).then(Instant::now);
        let (body, _taken) = match head.framing() {
            BodyFraming::None => (Body::Empty, None),
            // In a place of its own: futures are moved about before they are polled.
            _ => match Box::pin(self.receive_body(&head)).await {
                Ok(received) => received,
                Err(ending) => {
                    self.refused = Some(head);
                    return Err(ending);
                }
            },
        };
        self.count_request();
        let keep_alive = head.keep_alive() && self.may_live_on();
        let facts = RequestFacts::of(&head, keep_alive);
        if let Some(mut response) = self.worker.reserved(&head) {
            let sent = self.respond(&mut response, facts, self.worker.counts_reserved()).await?;
            if self.worker.logs_reserved() {
                self.log(sent.status, Some(&head));
            }
            return Ok(sent.keep_alive);
        }
        let id = head.echo();
        let facts = RequestFacts { id: id.as_ref(), ..facts };
        if let Some(files) = self.worker.files()
            && let Some(mount) = files.mount_of(head.path())
        {
            let mount = Arc::clone(mount);
            let sent = self.serve_file(&head, mount, facts).await?;
            if self.worker.logs() {
                self.log(sent.status, Some(&head));
            }
            return Ok(sent.keep_alive);
        }
        let counted = match A::USES_OUTLET {
            // It counts what it writes.
            true => Counted::Status,
            false => Counted::Answer(Monotonic::now()),
        };
        // Who writes itself logs itself.
        let kept = (!A::USES_OUTLET && self.worker.logs()).then(|| head.clone());
        let sent = match &mut self.call(head, body, keep_alive).await? {
            Reply::Response(response) => self.respond(response, facts, counted).await?,
            Reply::Written(written) => self.write_rest(written).await?,
        };
        if kept.is_some() {
            self.log(sent.status, kept.as_ref());
        }
        Ok(sent.keep_alive)
    }

    /// Whether the worker has to know how long an answer takes.
    fn is_timed(&self, head: &Head) -> bool {
        let may_answer =
            !A::USES_OUTLET || head.framing() != BodyFraming::None || self.worker.files().is_some();
        self.worker.logs() && (may_answer || self.worker.logs_reserved())
    }

    fn log(&self, status: u16, head: Option<&Head>) {
        let peer = self.origin.client.map(|client| client.ip());
        let took = self.received.map_or(Duration::ZERO, |received| received.elapsed());
        self.worker.log(&Answered { status, head, peer, took });
    }

    fn count_request(&mut self) {
        self.requests += 1;
        if self.requests == self.worker.limits().connection_requests_max {
            self.entry.peer.set_closing();
        }
    }

    pub(crate) fn may_live_on(&self) -> bool {
        self.worker.keeps_alive() && !self.entry.peer.is_closing()
    }

    async fn next_head(&mut self) -> Result<Head, Ending> {
        loop {
            let unread = self.source.unread();
            if !unread.is_empty() {
                match self.parser.parse(unread, self.worker.limits()) {
                    Ok(Some((head, consumed))) => {
                        self.source.consume(consumed);
                        return Ok(head);
                    }
                    Ok(None) => {}
                    Err(error) => return Err(Ending::Refused(error)),
                }
            }
            self.await_head().await?;
        }
    }

    /// Writes what is pending, then reads. Not both at once: under load the next request is there
    /// when the write has ended, and a read that need not wait costs less. Begun together they took
    /// 5 % more CPU a request.
    async fn await_head(&mut self) -> Result<(), Ending> {
        self.sink.flush(&self.worker, &self.entry).await?;
        if self.peer_finished {
            return Err(Ending::Closed);
        }
        let begun = !self.source.unread().is_empty();
        if begun && !self.source.has_room() {
            return Err(Ending::NoMemory);
        }
        let waiting = if begun { Waiting::Head } else { Waiting::Request };
        self.entry.wait_on(waiting, self.worker.now(), self.worker.limits());
        match self.source.fill(HEAD_ROOM_BYTES).await? {
            0 if self.entry.has_expired() && begun => Err(Ending::TooSlow(Refusal::SLOW_HEAD)),
            0 => Err(Ending::Closed),
            _ => Ok(()),
        }
    }

    /// The body, and the memory that it takes until it is dropped.
    async fn receive_body(&mut self, head: &Head) -> Result<(Body, Option<Taken>), Ending> {
        let worker = Rc::clone(&self.worker);
        let limits = worker.limits();
        let mut decoder = BodyDecoder::new(head.framing(), limits).map_err(Ending::Refused)?;
        let mut spool = Spool::new(worker.memory.begin());
        if head.expects_continue() && self.source.unread().is_empty() {
            self.sink.pending.extend_from_slice(CONTINUE);
            self.sink.flush(&worker, &self.entry).await?;
        }
        loop {
            let unread = self.source.unread();
            let progress = decoder.decode(unread, spool.buffer()).map_err(Ending::Refused)?;
            self.source.consume(progress.consumed);
            spool.settle(limits).await?;
            if progress.complete {
                return Ok(spool.finish());
            }
            self.sink.flush(&worker, &self.entry).await?;
            self.entry.wait_on(Waiting::Body, worker.now(), limits);
            match self.source.fill(BODY_ROOM_BYTES).await? {
                0 if self.entry.has_expired() => return Err(Ending::TooSlow(Refusal::SLOW_BODY)),
                0 => return Err(Ending::Closed),
                count => self.entry.progress(count, worker.now(), limits),
            }
        }
    }

    async fn call(&mut self, head: Head, body: Body, keep_alive: bool) -> Result<Reply, Ending> {
        let outlet = if A::USES_OUTLET {
            // The application's thread writes next: nothing of ours may come behind it.
            self.sink.flush(&self.worker, &self.entry).await?;
            self.entry.peer.unsettle();
            Some(Outlet::new(self.entry.socket(), Arc::clone(&self.entry.peer)))
        } else {
            None
        };
        let Origin { client: peer, scheme } = self.origin;
        let local = self.seen.local;
        let request = Request { head, body, peer, local, scheme, keep_alive, outlet };
        self.entry.wait(Waiting::Reply, self.worker.now(), self.worker.limits());
        let worker = Rc::clone(&self.worker);
        let _running = (!A::USES_OUTLET).then(|| Running::begin(&worker));
        let mut call = pin!(async { worker.application.call(request).await });
        let mut reply = None;
        // Most answers are ready at once, and are moved from here to where they stay.
        poll_fn(|cx| {
            if let Poll::Ready(ready) = poll_guarded(call.as_mut(), cx) {
                reply = Some(ready);
            }
            Poll::Ready(())
        })
        .await;
        match reply {
            Some(reply) => Ok(reply),
            None => self.await_reply(call).await,
        }
    }

    /// Waits for the application and reads ahead.
    async fn await_reply(
        &mut self,
        mut call: Pin<&mut impl Future<Output = Reply>>,
    ) -> Result<Reply, Ending> {
        if !A::USES_OUTLET {
            self.sink.flush(&self.worker, &self.entry).await?;
            self.entry.wait(Waiting::Reply, self.worker.now(), self.worker.limits());
        }
        let began = Instant::now();
        // With the next request at hand no read will wake us: ask the application to, by polling
        // it once more than the dispatch.
        let at_hand = !self.source.unread().is_empty() || self.peer_finished;
        if !at_hand {
            self.source.arm(HEAD_ROOM_BYTES);
        }
        let mut woken = at_hand || !A::USES_OUTLET;
        let reply = poll_fn(|cx| {
            if self.source.is_armed()
                && let Poll::Ready(read) = self.source.poll_fill(cx)
            {
                woken = true;
                if !matches!(read, Ok(1..)) {
                    self.peer_finished = true;
                    if read.is_err() || began.elapsed() > HALF_CLOSE {
                        self.entry.peer.set_left();
                    }
                }
            }
            if std::mem::replace(&mut woken, true) {
                poll_guarded(call.as_mut(), cx)
            } else {
                Poll::Pending
            }
        })
        .await;
        Ok(reply)
    }

    /// Sends a response. It is encoded before the future is polled: only what is left of it has to
    /// live on there.
    pub(crate) fn respond(
        &mut self,
        response: &mut Response,
        facts: RequestFacts<'_>,
        counted: Counted,
    ) -> impl Future<Output = Result<Sent, Ending>> {
        let keep_alive = facts.keep_alive && self.may_live_on();
        let how = (RequestFacts { keep_alive, ..facts }, counted);
        let begun = response::begin(response, how, &self.worker, &mut self.sink.pending);
        async move {
            match begun? {
                Begun::Whole(sent) => Ok(sent),
                Begun::Head(unwritten) => {
                    let Self { worker, sink, entry, .. } = self;
                    Ok(Box::pin(response::finish(*unwritten, worker, sink, entry)).await?)
                }
            }
        }
    }

    /// Writes what the application has left of its answer.
    async fn write_rest(&mut self, written: &mut Written) -> Result<Sent, Ending> {
        let Written { status, keep_alive, ref mut rest } = *written;
        if !rest.is_empty() {
            let Self { worker, sink, entry, .. } = self;
            Box::pin(response::write_rest(std::mem::take(rest), worker, sink, entry)).await?;
        }
        Ok(Sent { status, keep_alive })
    }

    async fn refuse(&mut self, ending: &Ending) {
        let (refusal, status, text) = match ending {
            Ending::Closed => return,
            Ending::Refused(error) => {
                // Without a status code it is refused without a word.
                let status = self.worker.limits().dialect.refusal(error).unwrap_or(0);
                (Refusal::from(error), status, error.to_string())
            }
            Ending::TooSlow(what) => (*what, 408, "the request took too long".to_owned()),
            Ending::NoMemory => (Refusal::MEMORY_FULL, 503, "the server is busy".to_owned()),
            Ending::NoSpace(error) => {
                tracing::error!(%error, "a request body cannot be spooled; set TMPDIR to a \
                    writable directory with room");
                (Refusal::BODY_NOT_STORED, 507, "the request body cannot be stored".to_owned())
            }
        };
        let peer = self.origin.client.map(tracing::field::display);
        tracing::debug!(peer, rule = refusal.name(), cause = text, "request refused");
        let mut response = Response::text(text + "\n").with_status(status);
        if let Ending::NoMemory = ending {
            self.worker.slot().shed(refusal.index());
            response = response.with_header("Retry-After", "1");
        } else {
            self.worker.slot().refused(refusal.index());
        }
        if status == 0 {
            return;
        }
        let head = self.refused.take();
        let id = head.as_ref().and_then(Head::echo);
        let (version, id) = (Version::Http11, id.as_ref());
        let dialect = self.worker.limits().dialect;
        let facts = RequestFacts { version, is_head: false, keep_alive: false, id, dialect };
        // The peer may be gone; then there is nobody to tell.
        let _ = self.respond(&mut response, facts, Counted::Status).await;
        self.log(status, head.as_ref());
    }

    /// Writes what is pending and sends our FIN, then reads a little of what the peer still sends:
    /// closing at once would reset the connection, and with it the response that is on its way.
    async fn linger(&mut self) {
        // What the socket takes at once goes out with our FIN.
        if self.sink.send_ahead(true, &self.entry).is_err()
            || self.sink.flush(&self.worker, &self.entry).await.is_err()
        {
            return;
        }
        self.sink.finish(&self.entry);
        let mut left = self.worker.limits().refused_body_bytes_max;
        self.entry.wait(Waiting::Linger, self.worker.now(), self.worker.limits());
        // Nearly always there is nothing but the peer's FIN.
        let mut room = HEAD_ROOM_BYTES;
        while !self.peer_finished && left > 0 {
            self.source.discard();
            match self.source.fill(room).await {
                Ok(count) if count > 0 => left = left.saturating_sub(count),
                _ => return,
            }
            room = BODY_ROOM_BYTES;
        }
    }
}
