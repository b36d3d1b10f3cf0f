//! The probe listener: one short, bounded connection per request.
//!
//! Invariants:
//! - A connection lives at most `CONNECTION_TIMEOUT` and `LINGER_TIMEOUT`, reads at most
//!   `HEAD_BYTES_MAX` before it is answered, and is answered in one write.
//! - There are at most `CONNECTIONS_MAX`. Silent peers cannot keep others out: when the places
//!   are taken, whoever has been here longest makes room.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hurricane_http::{
    Answered, BodyLength, Dialect, Head, HeadEncoder, HttpDate, Limits, RequestFacts, Response,
    ResponseBody, ResponseError, TransferFraming, Version,
};
use hurricane_scoreboard::{Purpose, Scoreboard};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::checks::Asker;
use crate::control::Logged;
use crate::news::Probed;
use crate::page::MetricsPage;
use crate::route::{self, ProbePaths};
use crate::verdict::VerdictLimits;

/// From accepting to the last written byte.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);
/// What a peer has for taking an answer that checks have delayed.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long we read on after our FIN, so that unread bytes do not reset the answer away.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 64 * 1024;
const HEAD_BYTES_MAX: usize = 8 * 1024;
const CONNECTIONS_MAX: usize = 256;
/// How long a connection keeps its place although others want it. An honest prober has sent its
/// request by then.
const PLACE_MIN: Duration = Duration::from_millis(50);
/// The pause after the kernel refused a connection, mostly for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What open connections get when the server ends.
const FAREWELL: Duration = Duration::from_millis(100);

/// What is needed to answer.
pub(crate) struct Desk {
    pub(crate) paths: ProbePaths,
    pub(crate) limits: VerdictLimits,
    pub(crate) server: serde_json::Value,
    pub(crate) board: Scoreboard,
    pub(crate) logged: Option<Logged>,
    pub(crate) page: MetricsPage,
    /// Has checks run for a probe, where that is wanted.
    pub(crate) asker: Option<Asker>,
    /// Who is told which probes were asked, where somebody wants to know.
    pub(crate) probed: Option<Arc<Probed>>,
}

impl Desk {
    /// Does what a probe does besides telling what is known.
    async fn asked(&self, purpose: Purpose) {
        let has_started = !self.board.server().startup_finished().is_never();
        if let Some(asker) = self.asker.as_ref().filter(|_| has_started) {
            asker.ask(purpose).await;
        }
        if let Some(probed) = &self.probed {
            probed.note(purpose);
        }
    }

    /// `None`: nothing is there.
    async fn answer(&self, head: &Head) -> Option<Response> {
        if !self.paths.is_metrics(head.path()) {
            if let Some(purpose) = self.paths.purpose(head.path()) {
                self.asked(purpose).await;
            }
            return route::answer(head, &self.paths, &self.limits, &self.server, &self.board);
        }
        match route::refuse(head, self.limits.manners) {
            Some(refusal) => Some(refusal),
            None => Some(self.page.respond(&self.limits, &self.server, &self.board).await),
        }
    }
}

/// Serves `listeners` until `stopped` resolves, then what is left in their accept queues. Returns
/// what it has resolved to.
pub(crate) async fn serve<T>(
    listeners: Vec<TcpListener>,
    desk: Rc<Desk>,
    stopped: impl Future<Output = T>,
) -> T {
    let (stop, told) = watch::channel(());
    let places = Rc::new(Places::default());
    let accepting: Vec<_> = listeners
        .into_iter()
        .map(|listener| {
            let (desk, places, told) = (desk.clone(), places.clone(), told.clone());
            tokio::task::spawn_local(accept(listener, desk, places, told))
        })
        .collect();
    let ended = stopped.await;
    drop(stop);
    let farewell = async {
        for task in accepting {
            let _ = task.await;
        }
        places.emptied().await;
    };
    let _ = timeout(FAREWELL, farewell).await;
    ended
}

async fn accept(
    listener: TcpListener,
    desk: Rc<Desk>,
    places: Rc<Places>,
    mut told: watch::Receiver<()>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // The sender is gone: we are told to stop.
            _ = told.changed() => break,
        };
        match accepted {
            Ok((stream, _)) => admit(stream, &desk, &places).await,
            Err(error) => {
                tracing::debug!(%error, "probe connection was not accepted");
                places.make_room().await;
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Handshakes that the kernel has completed are answered, not reset.
    for _ in 0..CONNECTIONS_MAX {
        match timeout(Duration::ZERO, listener.accept()).await {
            Ok(Ok((stream, _))) => admit(stream, &desk, &places).await,
            _ => break,
        }
    }
}

async fn admit(stream: TcpStream, desk: &Rc<Desk>, places: &Rc<Places>) {
    while places.taken() >= CONNECTIONS_MAX {
        places.make_room().await;
    }
    let (desk, place) = (desk.clone(), places.clone());
    let task = tokio::task::spawn_local(async move {
        let _leaves = Leaving(place);
        if let Err(error) = converse(stream, &desk).await {
            tracing::debug!(%error, "probe connection failed");
        }
    });
    places.enter(task.abort_handle());
}

/// Who is connected, oldest first.
#[derive(Default)]
struct Places {
    /// Connections that have ended stay in it until the next look.
    connections: RefCell<VecDeque<(Instant, AbortHandle)>>,
    left: Notify,
}

impl Places {
    fn enter(&self, task: AbortHandle) {
        self.connections.borrow_mut().push_back((Instant::now(), task));
    }

    fn taken(&self) -> usize {
        let mut connections = self.connections.borrow_mut();
        connections.retain(|(_, task)| !task.is_finished());
        connections.len()
    }

    /// Waits until somebody has left: by himself, or sent away for having been here longest.
    async fn make_room(&self) {
        let Some((since, oldest)) = self.connections.borrow().front().cloned() else { return };
        if timeout_at(since + PLACE_MIN, self.left.notified()).await.is_err() {
            // Whoever has spoken meanwhile is answered first: one turn to hear, one to answer.
            for _ in 0..2 {
                tokio::task::yield_now().await;
            }
            oldest.abort();
            // The aborted task ends when it is next polled.
            tokio::task::yield_now().await;
        }
    }

    async fn emptied(&self) {
        while self.taken() > 0 {
            self.left.notified().await;
        }
    }
}

/// Tells that a place is free, however its connection ended.
struct Leaving(Rc<Places>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.left.notify_one();
    }
}

/// One connection: reads a head, answers it, closes.
async fn converse(mut stream: TcpStream, desk: &Desk) -> io::Result<()> {
    let mut deadline = Instant::now() + CONNECTION_TIMEOUT;
    let mut input = Vec::with_capacity(1024);
    let mut asked = None;
    let (response, facts) = match timeout_at(deadline, read_head(&mut stream, &mut input)).await {
        Ok(Ok(Asked::Request(head))) => {
            let answer = desk.answer(&head).await;
            if desk.asker.is_some() {
                // The wait for checks was not the peer's.
                deadline = deadline.max(Instant::now() + WRITE_TIMEOUT);
            }
            let response = answer.unwrap_or_else(|| Response::text("not found").with_status(404));
            let path = String::from_utf8_lossy(head.path());
            tracing::debug!(method = head.method(), %path, status = response.status, "probe");
            let facts = RequestFacts::of(&head, false);
            asked = Some((head, Instant::now()));
            (response, facts)
        }
        Ok(Ok(Asked::Refused(response))) => (response, REFUSED),
        Err(_) if !input.is_empty() => {
            (Response::text("the request head did not come in time").with_status(408), REFUSED)
        }
        Ok(Ok(Asked::Nothing)) | Err(_) => return close(stream).await,
        Ok(Err(error)) => return Err(error),
    };
    let bytes = encode(&response, facts).map_err(io::Error::other)?;
    match timeout_at(deadline, stream.write_all(&bytes)).await {
        Ok(written) => written?,
        // The peer does not read: nothing is owed to it.
        Err(_) => return Ok(()),
    }
    if let Some(logged) = &desk.logged {
        let (head, took) = match &asked {
            Some((head, since)) => (Some(head), since.elapsed()),
            None => (None, Duration::ZERO),
        };
        let peer = stream.peer_addr().ok().map(|peer| peer.ip().to_canonical());
        logged(&Answered { status: response.status, head, peer, took });
    }
    close(stream).await
}

const REFUSED: RequestFacts<'static> = RequestFacts {
    version: Version::Http11,
    is_head: false,
    keep_alive: false,
    id: None,
    dialect: &Dialect::OURS,
};

/// What a peer wants.
enum Asked {
    Request(Head),
    /// Not HTTP as we know it.
    Refused(Response),
    /// To talk HTTP/2, or to leave.
    Nothing,
}

const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

async fn read_head(stream: &mut TcpStream, input: &mut Vec<u8>) -> io::Result<Asked> {
    let limits = Limits {
        head_bytes_max: HEAD_BYTES_MAX,
        target_bytes_max: HEAD_BYTES_MAX,
        ..Limits::default()
    };
    loop {
        // The buffer has one byte more than a head may have, so that parsing sees the excess.
        let room = (HEAD_BYTES_MAX + 1).saturating_sub(input.len()) as u64;
        if (&mut *stream).take(room).read_buf(input).await? == 0 {
            return Ok(match room {
                0 => refused(431, "the request head is too long"),
                _ => Asked::Nothing,
            });
        }
        if input.starts_with(HTTP2_PREFACE) {
            return Ok(Asked::Nothing);
        }
        if input.len() > "PRI".len() && HTTP2_PREFACE.starts_with(input) {
            continue;
        }
        match Head::parse(input, &limits) {
            Ok(None) => {}
            Ok(Some((head, _))) => return Ok(Asked::Request(head)),
            Err(error) => return Ok(refused(error.status(), &error.to_string())),
        }
    }
}

fn refused(status: u16, why: &str) -> Asked {
    Asked::Refused(Response::text(why.to_owned()).with_status(status))
}

/// Head and body in one piece, to be written at once: a probe whose body comes late counts as
/// neither success nor failure.
fn encode(response: &Response, facts: RequestFacts<'_>) -> Result<Vec<u8>, ResponseError> {
    let body: &[u8] = match &response.body {
        ResponseBody::Full(bytes) => bytes,
        _ => b"",
    };
    let mut out = Vec::with_capacity(body.len() + 512);
    let mut head = HeadEncoder::new(&mut out, response.status, b"")?;
    for (name, value) in &response.headers {
        head.header(name, value)?;
    }
    let second = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let length = BodyLength::Known(body.len() as u64);
    let (framing, _) = head.finish(length, facts, &HttpDate::new(second))?;
    if framing != TransferFraming::None {
        out.extend_from_slice(body);
    }
    Ok(out)
}

/// Sends FIN, then reads what the peer still sends, so that closing does not reset.
async fn close(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut rest = [0_u8; 1024];
    let mut budget = LINGER_BYTES_MAX;
    let drained = async {
        while budget > 0 {
            match stream.read(&mut rest).await {
                Ok(0) | Err(_) => return,
                Ok(read) => budget = budget.saturating_sub(read),
            }
        }
    };
    let _ = timeout(LINGER_TIMEOUT, drained).await;
    Ok(())
}
