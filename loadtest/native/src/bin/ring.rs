//! The least that an HTTP server on io_uring can be: what every other one is measured against.
//!
//! One thread, one ring, multishot accept and receive, heads cut by httparse, a response that is
//! rendered once a second. No deadlines, limits, bodies or stop: it is a floor, not a server.

use std::collections::HashMap;
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant, SystemTime};

use httparse::Status::{Complete, Partial};
use httparse::{EMPTY_HEADER, Request};
use hurricane_loadtest_native::buffers::{Buffers, GROUP};
use hurricane_loadtest_native::{BODY, MEDIA_TYPE, address};
use io_uring::{IoUring, cqueue, opcode, squeue, types};

const ACCEPT: u64 = 1 << 32;
const RECEIVE: u64 = 2 << 32;
const SEND: u64 = 3 << 32;
const CLOSE: u64 = 4 << 32;
/// Of libc.
const ENOBUFS: i32 = 105;
const SHUT_WR: i32 = 1;

const OPERATION: u64 = !(u32::MAX as u64);

fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind(address())?;
    let mut ring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_cqsize(4096)
        .build(512)?;
    let buffers = Buffers::register(&ring.submitter())?;
    let mut server = Server { buffers, connections: HashMap::new(), response: Rendered::now() };
    let mut submissions = vec![accept(&listener)];
    let mut completions = Vec::new();
    loop {
        push(&mut ring, &mut submissions)?;
        ring.submit_and_wait(1)?;
        server.response.renew();
        completions.extend(ring.completion());
        for completion in completions.drain(..) {
            if completion.user_data() == ACCEPT && !cqueue::more(completion.flags()) {
                submissions.push(accept(&listener));
            }
            server.complete(&completion, &mut submissions);
        }
    }
}

#[expect(unsafe_code, reason = "the ring takes pointers")]
fn push(ring: &mut IoUring, submissions: &mut Vec<squeue::Entry>) -> std::io::Result<()> {
    for submission in submissions.drain(..) {
        // SAFETY: receives write into registered buffers; what a send reads stays untouched in its
        // connection until the send has completed.
        while unsafe { ring.submission().push(&submission) }.is_err() {
            ring.submit()?;
        }
    }
    Ok(())
}

fn accept(listener: &TcpListener) -> squeue::Entry {
    opcode::AcceptMulti::new(types::Fd(listener.as_raw_fd())).build().user_data(ACCEPT)
}

struct Server {
    buffers: Buffers,
    /// By file descriptor.
    connections: HashMap<u32, Connection>,
    response: Rendered,
}

/// A connection is closed when its receive has ended and no send is under way, so that no
/// completion of it can meet its successor with the same descriptor.
#[derive(Default)]
struct Connection {
    /// The beginning of a head.
    input: Vec<u8>,
    /// Responses that are being sent from `sent` on: not touched while `is_sending`.
    output: Vec<u8>,
    sent: usize,
    is_sending: bool,
    /// Responses to be sent after that.
    next: Vec<u8>,
    /// The peer wants no further response: it is told the end, and then closes.
    is_last: bool,
    /// Nothing more will be received.
    has_ended: bool,
}

impl Server {
    fn complete(&mut self, completion: &cqueue::Entry, submissions: &mut Vec<squeue::Entry>) {
        let result = completion.result();
        let descriptor = (completion.user_data() & !OPERATION) as u32;
        match completion.user_data() & OPERATION {
            ACCEPT => {
                if let Ok(descriptor) = u32::try_from(result) {
                    self.connections.insert(descriptor, Connection::default());
                    submissions.push(receive(descriptor));
                }
            }
            RECEIVE => self.received(descriptor, completion, submissions),
            SEND => {
                let Some(connection) = self.connections.get_mut(&descriptor) else { return };
                connection.is_sending = false;
                match usize::try_from(result) {
                    Ok(sent) => connection.sent += sent,
                    // The same error ends the receive.
                    Err(_) => connection.sent = connection.output.len(),
                }
                self.proceed(descriptor, submissions);
            }
            _ => {}
        }
    }

    fn received(
        &mut self,
        descriptor: u32,
        completion: &cqueue::Entry,
        submissions: &mut Vec<squeue::Entry>,
    ) {
        let Some(connection) = self.connections.get_mut(&descriptor) else { return };
        if let Some(id) = cqueue::buffer_select(completion.flags()) {
            let length = usize::try_from(completion.result()).unwrap_or(0);
            connection.answer(self.buffers.received(id, length), &self.response.bytes);
            self.buffers.give_back(id);
        }
        if !cqueue::more(completion.flags()) {
            // All buffers were taken, or the peer has left.
            match completion.result() {
                length if length > 0 || length == -ENOBUFS => submissions.push(receive(descriptor)),
                _ => connection.has_ended = true,
            }
        }
        self.proceed(descriptor, submissions);
    }

    /// Sends what there is to send, or closes.
    fn proceed(&mut self, descriptor: u32, submissions: &mut Vec<squeue::Entry>) {
        let Some(connection) = self.connections.get_mut(&descriptor) else { return };
        if connection.is_sending {
            return;
        }
        if connection.sent == connection.output.len() {
            connection.output.clear();
            connection.sent = 0;
            std::mem::swap(&mut connection.output, &mut connection.next);
        }
        let rest = &connection.output[connection.sent..];
        let file = types::Fd(descriptor.cast_signed());
        if !rest.is_empty() {
            let send = opcode::Send::new(file, rest.as_ptr(), rest.len() as u32);
            submissions.push(send.build().user_data(SEND | u64::from(descriptor)));
            connection.is_sending = true;
        } else if connection.has_ended {
            self.connections.remove(&descriptor);
            submissions.push(opcode::Close::new(file).build().user_data(CLOSE));
        } else if std::mem::take(&mut connection.is_last) {
            submissions.push(opcode::Shutdown::new(file, SHUT_WR).build().user_data(CLOSE));
        }
    }
}

fn receive(descriptor: u32) -> squeue::Entry {
    opcode::RecvMulti::new(types::Fd(descriptor.cast_signed()), GROUP)
        .build()
        .user_data(RECEIVE | u64::from(descriptor))
}

impl Connection {
    /// One response for each head that is whole; requests have no bodies here.
    fn answer(&mut self, received: &[u8], response: &[u8]) {
        let waiting = std::mem::take(&mut self.input);
        let joined;
        let mut rest = match waiting.is_empty() {
            true => received,
            false => {
                joined = [&waiting, received].concat();
                &joined
            }
        };
        while !rest.is_empty() {
            let mut fields = [EMPTY_HEADER; 32];
            match Request::new(&mut fields).parse(rest) {
                Ok(Complete(length)) => {
                    rest = &rest[length..];
                    self.is_last |= fields.iter().any(|field| {
                        field.name.eq_ignore_ascii_case("connection") && field.value == b"close"
                    });
                    let output = if self.is_sending { &mut self.next } else { &mut self.output };
                    output.extend_from_slice(response);
                }
                Ok(Partial) => {
                    self.input.extend_from_slice(rest);
                    return;
                }
                Err(_) => {
                    self.is_last = true;
                    return;
                }
            }
        }
    }
}

/// The response, with the second that its date tells.
struct Rendered {
    bytes: Vec<u8>,
    since: Instant,
}

impl Rendered {
    fn now() -> Self {
        let date = httpdate::fmt_http_date(SystemTime::now());
        let length = BODY.len();
        let mut bytes = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {MEDIA_TYPE}\r\nContent-Length: {length}\r\n\
             Date: {date}\r\nServer: ring\r\n\r\n"
        )
        .into_bytes();
        bytes.extend_from_slice(BODY);
        Self { bytes, since: Instant::now() }
    }

    fn renew(&mut self) {
        if self.since.elapsed() >= Duration::from_secs(1) {
            *self = Self::now();
        }
    }
}
