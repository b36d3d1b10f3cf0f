//! The built generator against a server of a few lines, on both engines.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hurricane_testkit::Refusal;
use serde_json::Value;

/// What the server has seen.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: AtomicUsize,
    body_bytes: AtomicUsize,
}

/// Answers until the test ends: `/` with five bytes, `/stream` with 300,000 in chunks, anything
/// else with 500.
fn server() -> (SocketAddr, Arc<Seen>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Seen::default());
    let counted = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let counted = Arc::clone(&counted);
            counted.connections.fetch_add(1, Ordering::Relaxed);
            std::thread::spawn(move || serve(stream.unwrap(), &counted));
        }
    });
    (address, seen)
}

fn serve(mut stream: TcpStream, seen: &Seen) -> Option<()> {
    let mut bytes = Vec::new();
    loop {
        let end = loop {
            match memchr::memmem::find(&bytes, b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => receive(&mut stream, &mut bytes)?,
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        while bytes.len() < end + length {
            receive(&mut stream, &mut bytes)?;
        }
        bytes.drain(..end + length);
        seen.requests.fetch_add(1, Ordering::Relaxed);
        seen.body_bytes.fetch_add(length, Ordering::Relaxed);
        let answer = match head.split(' ').nth(1) {
            Some("/") => b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec(),
            Some("/stream") => stream_of_300_000_bytes(),
            _ => b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n".to_vec(),
        };
        stream.write_all(&answer).ok()?;
        if head.contains("Connection: close") {
            return None;
        }
    }
}

fn receive(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let mut buffer = [0; 65536];
    let length = stream.read(&mut buffer).ok().filter(|length| *length > 0)?;
    bytes.extend_from_slice(&buffer[..length]);
    Some(())
}

fn stream_of_300_000_bytes() -> Vec<u8> {
    let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..3 {
        answer.extend_from_slice(b"186a0\r\n");
        answer.resize(answer.len() + 100_000, b'x');
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(b"0\r\n\r\n");
    answer
}

fn generator(address: SocketAddr, options: &str) -> Command {
    let mut generator = Command::new(env!("CARGO_BIN_EXE_hurricane-loadtest"));
    generator.arg(format!("--address={address}")).args(options.split_whitespace());
    generator
}

fn ended(mut generator: Command) -> Value {
    let Output { status, stdout, stderr } = generator.output().unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    serde_json::from_slice(&stdout).unwrap()
}

/// Runs the options on both engines, each against a server of its own.
fn on_both_engines(options: &str, check: impl Fn(&Value, &Seen)) {
    for engine in ["epoll", "tokio-uring"] {
        let (address, seen) = server();
        let outcome = ended(generator(address, &format!("{options} --engine={engine}")));
        assert_eq!(outcome["errors"], 0, "{engine}: {outcome}");
        check(&outcome, &seen);
    }
}

#[test]
fn a_closed_loop_keeps_its_connections() {
    on_both_engines("--connections=4 --requests=60", |outcome, seen| {
        assert_eq!(outcome["requests"], 60);
        assert_eq!(outcome["body_bytes"], 300);
        assert_eq!(seen.requests.load(Ordering::Relaxed), 60);
        assert!(seen.connections.load(Ordering::Relaxed) <= 4);
        assert!(outcome["latency_us"]["p50"].as_f64().unwrap() > 0.0, "{outcome}");
    });
}

#[test]
fn an_open_loop_sends_what_is_due() {
    on_both_engines("--connections=8 --rate=200 --seconds=0.5", |outcome, seen| {
        let answered = outcome["requests"].as_u64().unwrap();
        assert_eq!(answered + outcome["unsent"].as_u64().unwrap(), 100, "{outcome}");
        assert_eq!(seen.requests.load(Ordering::Relaxed) as u64, answered);
    });
}

#[test]
fn churn_opens_a_connection_for_each_request() {
    on_both_engines("--connections=3 --requests=30 --churn", |outcome, seen| {
        assert_eq!(outcome["requests"], 30);
        assert_eq!(seen.connections.load(Ordering::Relaxed), 30);
    });
}

#[test]
fn pipelined_requests_are_all_answered() {
    on_both_engines("--connections=2 --requests=64 --pipeline=8", |outcome, seen| {
        assert_eq!(outcome["requests"], 64);
        assert_eq!(seen.requests.load(Ordering::Relaxed), 64);
    });
}

#[test]
fn uploads_arrive_whole() {
    on_both_engines("--connections=2 --requests=4 --body=3000000", |outcome, seen| {
        assert_eq!(outcome["requests"], 4);
        assert_eq!(seen.body_bytes.load(Ordering::Relaxed), 12_000_000);
    });
}

#[test]
fn streams_are_read_to_their_end() {
    on_both_engines("--connections=2 --requests=10 --path=/stream", |outcome, _| {
        assert_eq!(outcome["requests"], 10);
        assert_eq!(outcome["body_bytes"], 3_000_000);
    });
}

#[test]
fn slow_clients_are_answered_beside_the_load() {
    let options = "--connections=1 --slow=3 --slow-seconds=0.1 --seconds=1.5 --rate=20";
    on_both_engines(options, |outcome, _| {
        assert!(outcome["slow"]["answered"].as_u64().unwrap() > 0, "{outcome}");
        assert_eq!(outcome["slow"]["failed"], 0);
    });
}

#[test]
fn other_answers_are_errors() {
    let (address, _) = server();
    let outcome = ended(generator(address, "--path=/nothing --requests=7 --connections=1"));
    assert_eq!((&outcome["requests"], &outcome["errors"]), (&0.into(), &7.into()));
    assert_eq!(outcome["first_error"], "status 500");
}

#[test]
fn without_a_ring_epoll_does_it() {
    for refusal in [Refusal::Eperm, Refusal::Enosys] {
        let (address, _) = server();
        let mut generator = generator(address, "--requests=20 --engine=tokio-uring");
        refusal.install(&mut generator);
        let outcome = ended(generator);
        assert_eq!(outcome["requests"], 20);
        let engine = outcome["engine"].as_str().unwrap();
        assert!(engine.starts_with("epoll, because there is no ring"), "{engine}");
    }
}

#[test]
fn nothing_but_loopback_is_loaded() {
    let output = generator(([192, 0, 2, 1], 80).into(), "").output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("must be on loopback"), "{said}");
}
