//! Clients that take long to say what they want, beside the load: a thread of its own writes a
//! piece for each of them in turn, and reads what came.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::plan::Plan;
use crate::response::Parser;
use crate::socket;

/// Pieces that a request is cut into.
const PIECES: usize = 16;

/// How long an answer is awaited after the last piece before the client counts as failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Clients at work until they are told to stop.
pub(crate) struct Slow {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Outcome>,
}

#[derive(Default)]
struct Outcome {
    answered: u64,
    failed: u64,
}

impl Slow {
    /// Sets them to work; none when the plan has none.
    pub(crate) fn start(plan: &'static Plan) -> Option<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        (plan.slow.clients > 0)
            .then(|| Self { stop, thread: std::thread::spawn(move || work(plan, &stopped)) })
    }

    /// Sends them home and says how they were served.
    pub(crate) fn finish(self) -> Value {
        self.stop.store(true, Ordering::Relaxed);
        let Outcome { answered, failed } = self.thread.join().unwrap_or_default();
        json!({"answered": answered, "failed": failed})
    }
}

struct Client {
    stream: Option<TcpStream>,
    written: usize,
    parser: Parser,
    spoken: Instant,
}

fn work(plan: &Plan, stopped: &AtomicBool) -> Outcome {
    let mut outcome = Outcome::default();
    let mut clients: Vec<Client> = (0..plan.slow.clients).map(|_| Client::new()).collect();
    let turn = plan.slow.duration / u32::try_from(PIECES).unwrap_or(1);
    while !stopped.load(Ordering::Relaxed) {
        let start = Instant::now();
        for client in &mut clients {
            client.advance(plan, &mut outcome);
        }
        std::thread::park_timeout(turn.saturating_sub(start.elapsed()));
    }
    outcome
}

impl Client {
    fn new() -> Self {
        Self { stream: None, written: 0, parser: Parser::default(), spoken: Instant::now() }
    }

    /// Writes a piece, or looks for the answer.
    fn advance(&mut self, plan: &Plan, outcome: &mut Outcome) {
        match self.step(plan) {
            Ok(false) => {}
            Ok(true) => {
                outcome.answered += 1;
                *self = Self::new();
            }
            Err(_) => {
                outcome.failed += 1;
                *self = Self::new();
            }
        }
    }

    /// True when the request was answered.
    fn step(&mut self, plan: &Plan) -> std::io::Result<bool> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(socket::connect(plan.address, None)?),
        };
        let request = &plan.request;
        if self.written < request.len() {
            let piece = request.len().div_ceil(PIECES).min(request.len() - self.written);
            self.spoken = Instant::now();
            match stream.write(&request[self.written..self.written + piece]) {
                Ok(written) => self.written += written,
                Err(error) if is_not_ready(&error) => {}
                Err(error) => return Err(error),
            }
            return Ok(false);
        }
        let mut buffer = [0; 16 << 10];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return self.parser.close().map(|_| true).ok_or_else(broken),
                Ok(length) => match self.parser.feed(&mut &buffer[..length]) {
                    Ok(None) => {}
                    Ok(Some(response)) if response.status == 200 => return Ok(true),
                    _ => return Err(broken()),
                },
                Err(error) if is_not_ready(&error) => {
                    return if self.spoken.elapsed() < PATIENCE {
                        Ok(false)
                    } else {
                        Err(broken())
                    };
                }
                Err(error) => return Err(error),
            }
        }
    }
}

fn broken() -> std::io::Error {
    ErrorKind::InvalidData.into()
}

fn is_not_ready(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::NotConnected)
}
