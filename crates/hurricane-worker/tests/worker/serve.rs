//! Requests and their answers, limits, and the end of the server.

use std::collections::VecDeque;
use std::io::Write;
use std::net::TcpStream;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
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

/// Answers as the path says, with a Content-Length of ten.
fn ill_sized() -> impl Application {
    service(|request: Request| async move {
        let path = String::from_utf8(request.head.path().to_vec()).unwrap();
        let given = |len: usize| Bytes::from(vec![b'x'; len]);
        let parts = |parts: Vec<std::io::Result<Bytes>>| {
            ResponseBody::Stream(Box::pin(Parts(parts.into())))
        };
        let file = |len| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&given(20)).unwrap();
            ResponseBody::File(File { file, offset: 0, len })
        };
        let body = match path.as_str() {
            "/full/9" => ResponseBody::Full(given(9)),
            "/full/11" => ResponseBody::Full(given(11)),
            "/empty" => ResponseBody::Empty,
            "/file/9" => file(9),
            "/file/11" => file(11),
            "/parts/9" => parts(vec![Ok(given(4)), Ok(given(5))]),
            "/parts/11" => parts(vec![Ok(given(4)), Ok(given(7))]),
            "/parts/more" => parts(vec![Ok(given(10)), Ok(given(1))]),
            "/parts/fail" => parts(vec![Ok(given(4)), Err(std::io::Error::other("it broke"))]),
            "/chunks/fail" => {
                let body = parts(vec![Ok(given(4)), Err(std::io::Error::other("it broke"))]);
                return Response { status: 200, headers: Vec::new(), body };
            }
            "/204" => return Response::text(given(10)).with_status(204),
            "/304" => return Response::text(given(10)).with_status(304),
            "/100" => return Response::text(given(10)).with_status(100),
            "/split" => return Response::text("").with_header("X-Split", "a\r\nInjected: 1"),
            "/hop" => return Response::text("").with_header("Transfer-Encoding", "chunked"),
            _ => ResponseBody::Full(given(10)),
        };
        let length = (Bytes::from_static(b"Content-Length"), Bytes::from_static(b"10"));
        Response { status: 200, headers: vec![length], body }
    })
}

struct Parts(VecDeque<std::io::Result<Bytes>>);

impl futures_core::Stream for Parts {
    type Item = std::io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.pop_front())
    }
}

#[test]
fn bodies_that_are_not_as_long_as_they_say_are_cut_and_end_the_connection() {
    on_both(|io| {
        let server = Harness::start(io, Limits::default(), ill_sized);
        for (path, sent) in [
            ("/full/9", 9),
            ("/full/11", 10),
            ("/empty", 0),
            ("/file/9", 9),
            ("/file/11", 10),
            ("/parts/9", 9),
            ("/parts/11", 10),
            ("/parts/more", 10),
            ("/parts/fail", 4),
        ] {
            let mut client = server.connect();
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
            let head = client.head();
            assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
            assert!(head.contains("Content-Length: 10\r\n"), "{path}: {head}");
            assert_eq!(client.rest(), vec![b'x'; sent], "{path}");
        }
        let mut client = server.connect();
        client.send(b"GET /chunks/fail HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(client.head().contains("Transfer-Encoding: chunked\r\n"));
        assert_eq!(client.rest(), b"4\r\nxxxx\r\n", "there is no last chunk");
        server.stop();
    });
}

#[test]
fn what_has_no_body_gets_none_and_what_cannot_be_sent_is_a_500() {
    on_both(|io| {
        let server = Harness::start(io, Limits::default(), ill_sized);
        for (line, status) in [
            ("HEAD /", 200),
            ("HEAD /parts/9", 200),
            ("HEAD /file/9", 200),
            ("GET /204", 204),
            ("GET /304", 304),
        ] {
            let mut client = server.connect();
            let next = "GET /whole HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            client.send(format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n{next}").as_bytes());
            let head = client.head();
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {head}");
            let head = client.head();
            assert!(head.starts_with("HTTP/1.1 200 "), "{line}: {head}");
            assert_eq!(client.rest(), b"xxxxxxxxxx", "{line}");
        }
        for path in ["/100", "/split", "/hop"] {
            let mut client = server.connect();
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
            let head = client.head();
            assert!(head.starts_with("HTTP/1.1 500 "), "{path}: {head}");
            assert!(!head.contains("Injected") && !head.contains("chunked"), "{path}: {head}");
        }
        server.stop();
    });
}
