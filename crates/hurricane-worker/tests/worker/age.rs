//! Connections that have reached their age or number of requests end with an answer.

use std::time::{Duration, Instant};

use hurricane_http::Limits;

use crate::harness::{Client, Harness, echo, on_both};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Whether the answer to one more request ends the connection.
fn ends_with_next_answer(client: &mut Client) -> bool {
    client.send(GET);
    let (head, body) = client.response();
    assert_eq!(body, b"empty");
    head.to_lowercase().contains("connection: close")
}

#[test]
fn the_answer_to_the_last_request_ends_the_connection() {
    on_both(|io| {
        let limits = Limits { connection_requests_max: 3, ..Limits::default() };
        let server = Harness::start(io, limits, echo);
        for _ in 0..2 {
            let mut client = server.connect();
            assert!(!ends_with_next_answer(&mut client));
            assert!(!ends_with_next_answer(&mut client));
            assert!(ends_with_next_answer(&mut client));
            assert!(client.rest().is_empty());
        }
        server.stop();
    });
}

#[test]
fn requests_behind_the_last_one_are_not_answered() {
    on_both(|io| {
        let limits = Limits { connection_requests_max: 2, ..Limits::default() };
        let server = Harness::start(io, limits, echo);
        let mut client = server.connect();
        client.send(&GET.repeat(5));
        assert!(!client.response().0.to_lowercase().contains("connection: close"));
        assert!(client.response().0.to_lowercase().contains("connection: close"));
        assert!(client.rest().is_empty());
        server.stop();
    });
}

#[test]
fn an_old_connection_ends_with_an_answer_however_long_it_was_idle() {
    on_both(|io| {
        let age = Duration::from_millis(600);
        let limits = Limits { connection_age_max: age, ..Limits::default() };
        let server = Harness::start(io, limits, echo);
        let mut idle = server.connect();
        assert!(!ends_with_next_answer(&mut idle));
        // Two lives are longer than one, whatever chance takes off each.
        for _ in 0..2 {
            let began = Instant::now();
            let mut busy = server.connect();
            while !ends_with_next_answer(&mut busy) {}
            assert!(began.elapsed() >= age.mul_f64(0.89), "{:?}", began.elapsed());
            assert!(busy.rest().is_empty());
        }
        assert!(ends_with_next_answer(&mut idle));
        assert!(idle.rest().is_empty());
        server.stop();
    });
}
