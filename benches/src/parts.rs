//! Parts of a request, each as something that can be done again and again.

use std::fmt;
use std::hint::black_box;

use hurricane_http::{
    BodyDecoder, BodyFraming, BodyLength, Dialect, FINAL_CHUNK, Head, HeadEncoder, HeadParser,
    HttpDate, Limits, RequestFacts, Response, Version, chunk_prefix,
};
use hurricane_scoreboard::{Monotonic, Scoreboard};

use crate::pool::Pool;
use crate::requests::{BROWSER, PLAIN};

/// One thing that is measured.
#[derive(Clone, Copy)]
pub struct Part {
    /// As in the baseline.
    pub name: &'static str,
    /// Prepares it; each call of the result does it once.
    pub prepare: fn() -> Box<dyn FnMut()>,
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name)
    }
}

/// All parts that need no interpreter and no server.
pub const PARTS: &[Part] = &[
    Part { name: "head_plain", prepare: || parse_whole(PLAIN) },
    Part { name: "head_browser", prepare: || parse_whole(BROWSER) },
    Part { name: "head_browser_in_pieces", prepare: parse_in_pieces },
    Part { name: "chunked_read_4_kib", prepare: || decode_chunks(4096) },
    Part { name: "chunked_read_16_bytes", prepare: || decode_chunks(16) },
    Part { name: "chunked_write_4_kib", prepare: encode_chunks },
    Part { name: "response_head_text", prepare: encode_text },
    Part { name: "response_head_django", prepare: encode_django },
    Part { name: "scoreboard_1", prepare: || read_scoreboard(1) },
    Part { name: "scoreboard_64", prepare: || read_scoreboard(64) },
    Part { name: "scoreboard_1024", prepare: || read_scoreboard(1024) },
    Part { name: "pool_one_job", prepare: || pass_jobs(1) },
    Part { name: "pool_64_jobs", prepare: || pass_jobs(64) },
];

fn parse_whole(request: &'static str) -> Box<dyn FnMut()> {
    let limits = Limits::default();
    Box::new(move || {
        let parsed = Head::parse(black_box(request.as_bytes()), &limits);
        assert!(black_box(parsed).is_ok_and(|head| head.is_some()));
    })
}

/// The same head in reads of 64 bytes.
fn parse_in_pieces() -> Box<dyn FnMut()> {
    let limits = Limits::default();
    Box::new(move || {
        let mut parser = HeadParser::default();
        let ends = (64..BROWSER.len()).step_by(64).chain([BROWSER.len()]);
        let mut complete = false;
        for end in ends {
            let parsed = parser.parse(black_box(&BROWSER.as_bytes()[..end]), &limits);
            complete = black_box(parsed).is_ok_and(|head| head.is_some());
        }
        assert!(complete);
    })
}

/// Bytes of a chunked body before the coding.
const CHUNKED_BYTES: usize = 64 * 1024;

fn decode_chunks(chunk_bytes: usize) -> Box<dyn FnMut()> {
    let limits = Limits::default();
    let mut coded = Vec::new();
    for _ in 0..CHUNKED_BYTES / chunk_bytes {
        put_chunk(&mut coded, &vec![b'x'; chunk_bytes]);
    }
    coded.extend_from_slice(FINAL_CHUNK);
    let mut out = Vec::with_capacity(CHUNKED_BYTES);
    Box::new(move || {
        out.clear();
        let mut decoder = BodyDecoder::new(BodyFraming::Chunked, &limits).unwrap();
        let progress = decoder.decode(black_box(&coded), &mut out).unwrap();
        assert!(progress.complete && black_box(&out).len() == CHUNKED_BYTES);
    })
}

fn encode_chunks() -> Box<dyn FnMut()> {
    let data = vec![b'x'; 4096];
    let mut out = Vec::with_capacity(8192);
    Box::new(move || {
        out.clear();
        put_chunk(&mut out, black_box(&data));
        black_box(&out);
    })
}

fn put_chunk(out: &mut Vec<u8>, data: &[u8]) {
    chunk_prefix(out, data.len());
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

const FACTS: RequestFacts = RequestFacts {
    version: Version::Http11,
    is_head: false,
    keep_alive: true,
    id: None,
    dialect: &Dialect::OURS,
};

fn encode_text() -> Box<dyn FnMut()> {
    let (response, date) = (Response::text("hello\n"), HttpDate::new(784_111_777));
    let mut out = Vec::with_capacity(1024);
    Box::new(move || {
        out.clear();
        black_box(&response).encode_head(&mut out, FACTS, &date).unwrap();
        black_box(&out);
    })
}

/// What Django sends with its default middleware.
const DJANGO_FIELDS: [(&str, &str); 8] = [
    ("Content-Type", "text/html; charset=utf-8"),
    ("X-Frame-Options", "DENY"),
    ("Vary", "Cookie"),
    ("Content-Length", "20480"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    (
        "Set-Cookie",
        "csrftoken=Rr4mAcVQ2mgK1t0uK8d3XoZ0y8wX5nJq; expires=Sun, 21 Nov 2027 05:00:00 GMT; \
         Max-Age=31449600; Path=/; SameSite=Lax",
    ),
];

fn encode_django() -> Box<dyn FnMut()> {
    let date = HttpDate::new(784_111_777);
    let mut out = Vec::with_capacity(1024);
    Box::new(move || {
        out.clear();
        let mut encoder = HeadEncoder::new(&mut out, 200, b"OK").unwrap();
        for (name, value) in black_box(DJANGO_FIELDS) {
            encoder.header(name.as_bytes(), value.as_bytes()).unwrap();
        }
        encoder.finish(BodyLength::Known(20480), FACTS, &date).unwrap();
        black_box(&out);
    })
}

fn read_scoreboard(workers: usize) -> Box<dyn FnMut()> {
    let board = Scoreboard::new(workers).unwrap();
    board.server().set_workers_target(workers);
    for slot in (0..workers).filter_map(|worker| board.slot(board.current(worker))) {
        slot.begin(Monotonic::now());
    }
    Box::new(move || assert_eq!(black_box(board.read_workers()).len(), workers))
}

/// So many jobs are queued and then taken by one thread, which is told to sleep at the end.
fn pass_jobs(jobs: usize) -> Box<dyn FnMut()> {
    let pool = Pool::new(8, jobs);
    let thread = 0;
    Box::new(move || {
        for job in 0..jobs {
            assert!(pool.push(black_box(job)).is_ok());
        }
        let taken = (0..).map_while(|_| match pool.next(thread) {
            crate::pool::Next::Job(job, _) => Some(job),
            crate::pool::Next::Wait => None,
        });
        assert_eq!(black_box(taken.count()), jobs);
    })
}
