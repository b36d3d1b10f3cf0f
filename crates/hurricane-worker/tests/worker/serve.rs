//! Requests and their answers, limits, and the end of the server.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use hurricane_http::{Application, File, Limits, Request, Response, ResponseBody, service};
use hurricane_scoreboard::{Engine, WorkerState};
use hurricane_worker::{DRAIN_ORDER, IoChoice, STOP_ORDER};

use crate::harness::{Harness, echo, on_both};

fn large() -> impl Application {
    service(|request: Request| async move {
        let len = 8 * 1024 * 1024;
        if request.head.path() == b"/file" {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&vec![b'f'; len]).unwrap();
            let file = File { file, offset: 1, len: len as u64 - 1 };
            Response { status: 200, headers: Vec::new(), body: ResponseBody::File(file) }
        } else {
            Response::text(vec![b'b'; len])
        }
    })
}

#[test]
fn keep_alive_and_pipelined_requests_are_answered_in_order() {
    on_both(|io| {
        let server = Harness::start(io, Limits::default(), echo);
        let mut client = server.connect();
        for body in ["one", "three"] {
            let length = body.len();
            let request =
                format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}");
            client.send(request.as_bytes());
            assert_eq!(client.response().1, body.as_bytes());
        }
        client.send(&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(50));
        for _ in 0..50 {
            assert_eq!(client.response().1, b"empty");
        }
        server.stop();
    });
}

#[test]
fn the_engine_is_the_one_that_was_asked_for() {
    on_both(|io| {
        let server = Harness::start(io, Limits::default(), echo);
        let engine = server.board.slot(0).unwrap().read().engine;
        assert_eq!(engine == Engine::IoUring, io == IoChoice::IoUring);
        server.stop();
    });
}

#[test]
fn a_body_over_the_memory_limit_is_spooled_and_one_over_the_limit_refused() {
    on_both(|io| {
        let limits =
            Limits { body_memory_bytes_max: 1000, body_bytes_max: 500_000, ..Limits::default() };
        let server = Harness::start(io, limits, echo);
        let mut client = server.connect();
        let body = vec![b'x'; 300_000];
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for chunk in body.chunks(100_000) {
            client.send(format!("{:x}\r\n", chunk.len()).as_bytes());
            client.send(chunk);
            client.send(b"\r\n");
        }
        client.send(b"0\r\n\r\n");
        assert_eq!(client.response().1, [b"file:".to_vec(), body].concat());
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500001\r\n\r\n");
        let (head, _) = client.response();
        assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
        assert!(client.rest().is_empty());
        server.stop();
    });
}

#[test]
fn expect_100_continue_is_answered_before_the_body() {
    on_both(|io| {
        let server = Harness::start(io, Limits::default(), echo);
        let mut client = server.connect();
        client.send(
            b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
        );
        assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
        client.send(b"ok");
        assert_eq!(client.response().1, b"ok");
        server.stop();
    });
}

#[test]
fn large_bodies_and_files_reach_a_slow_reader_whole() {
    on_both(|io| {
        let server = Harness::start(io, Limits::default(), large);
        for (path, len, byte) in [("/", 8 << 20, b'b'), ("/file", (8 << 20) - 1, b'f')] {
            let mut client = server.connect();
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
            let (_, body) = client.response();
            assert_eq!(body.len(), len);
            assert!(body.iter().all(|found| *found == byte));
        }
        server.stop();
    });
}

#[test]
fn a_panic_of_the_application_is_a_500_and_the_worker_lives() {
    on_both(|io| {
        let server = Harness::start(io, Limits::default(), echo);
        let mut client = server.connect();
        client.send(b"GET /panic HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(client.response().0.starts_with("HTTP/1.1 500 "));
        assert!(client.rest().is_empty());
        let mut client = server.connect();
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().1, b"empty");
        server.stop();
    });
}

#[test]
fn slow_heads_are_answered_408_and_idle_connections_closed() {
    on_both(|io| {
        let limits = Limits {
            head_timeout: Duration::from_millis(300),
            keep_alive_timeout: Duration::from_millis(200),
            ..Limits::default()
        };
        let server = Harness::start(io, limits, echo);
        let mut slow = server.connect();
        slow.send(b"GET / HTTP/1.1\r\nHo");
        let mut idle = server.connect();
        idle.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(idle.response().1, b"empty");
        assert!(slow.response().0.starts_with("HTTP/1.1 408 "));
        assert!(idle.rest().is_empty());
        server
            .until("both are gone", |server| server.board.slot(0).unwrap().read().connections == 0);
        server.stop();
    });
}

#[test]
fn connections_over_the_limit_are_refused_at_once() {
    on_both(|io| {
        let limits = Limits { connections_max: 1, ..Limits::default() };
        let server = Harness::start(io, limits, echo);
        let mut first = server.connect();
        first.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        first.response();
        let refused = server.connect().rest();
        assert!(refused.starts_with(b"HTTP/1.1 503 "), "{refused:?}");
        first.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        first.response();
        server.stop();
    });
}

#[test]
fn a_draining_worker_accepts_and_closes_with_each_answer() {
    on_both(|io| {
        let mut server = Harness::start(io, Limits::default(), echo);
        let mut old = server.connect();
        old.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        old.response();
        server.order(DRAIN_ORDER);
        server.until("it drains", |server| server.state() == WorkerState::Draining);
        for mut client in [old, server.connect()] {
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            let (head, _) = client.response();
            assert!(head.to_lowercase().contains("connection: close"), "{head}");
            assert!(client.rest().is_empty());
        }
        server.stop();
    });
}

#[test]
fn a_stopping_worker_serves_its_accept_queue() {
    on_both(|io| {
        let mut server = Harness::start(io, Limits::default(), echo);
        let clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
        server.order(STOP_ORDER);
        for mut client in clients {
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(client.response().1, b"empty");
        }
        let address = server.address();
        server.join();
        assert!(TcpStream::connect(address).is_err());
    });
}

#[test]
fn a_silent_connection_does_not_hold_a_stopping_worker() {
    on_both(|io| {
        let server = Harness::start(io, Limits::default(), echo);
        let mut silent = server.connect();
        server.until("it is accepted", |server| {
            server.board.slot(0).unwrap().read().connections == 1
        });
        let began = Instant::now();
        server.stop();
        assert!(began.elapsed() < Limits::default().head_timeout / 4);
        assert!(silent.rest().is_empty());
    });
}

#[test]
fn a_worker_ends_when_its_supervisor_is_gone() {
    on_both(|io| {
        let mut server = Harness::start(io, Limits::default(), echo);
        let mut client = server.connect();
        client.send(b"GET /never HTTP/1.1\r\nHost: a\r\n\r\n");
        server.until("it runs", |server| server.board.slot(0).unwrap().read().running == 1);
        server.orders.shutdown(std::net::Shutdown::Both).unwrap();
        server.thread.take().unwrap().join().unwrap().unwrap();
    });
}
