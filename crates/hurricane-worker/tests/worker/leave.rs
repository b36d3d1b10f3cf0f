//! A worker that goes while the server stays: it loses nothing and holds nobody.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hurricane_http::Limits;
use hurricane_scoreboard::WorkerState;
use hurricane_worker::{IoChoice, LEAVE_ORDER, RETIRE_ORDER, STOP_ORDER};

use crate::harness::{Client, Harness, echo, on_both};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A client whose connection is idle.
fn idle_client(server: &Harness) -> Client {
    let mut client = server.connect();
    client.send(GET);
    client.response();
    client
}

fn assert_last_answer(client: &mut Client) {
    client.send(GET);
    let (head, body) = client.response();
    assert!(head.to_lowercase().contains("connection: close"), "{head}");
    assert_eq!(body, b"empty");
    assert!(client.rest().is_empty());
}

/// A worker on a socket that somebody else holds too, as the supervisor does.
fn shared(io: IoChoice, limits: Limits) -> (Harness, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Harness::on(listener.try_clone().unwrap(), io, limits, echo);
    (server, listener)
}

#[test]
fn a_retired_worker_answers_idle_connections_once_more() {
    on_both(|io| {
        let (mut server, _kept) = shared(io, Limits::default());
        let mut clients = [idle_client(&server), idle_client(&server)];
        server.order(RETIRE_ORDER);
        server.until("it stops accepting", |server| server.state() == WorkerState::Stopping);
        assert_eq!(server.reading().connections, 2);
        for client in &mut clients {
            assert_last_answer(client);
        }
        server.join();
    });
}

#[test]
fn a_retired_worker_leaves_its_queue_to_the_successor() {
    on_both(|io| {
        let (mut old, kept) = shared(io, Limits::default());
        let holds_old = idle_client(&old);
        old.order(RETIRE_ORDER);
        old.until("it stops accepting", |old| old.state() == WorkerState::Stopping);
        let mut waiting = old.connect();
        waiting.send(GET);
        let new = Harness::on(kept, io, Limits::default(), echo);
        assert_eq!(waiting.response().1, b"empty");
        assert_eq!((old.reading().requests, new.reading().requests), (1, 1));
        drop(holds_old);
        old.join();
        drop(waiting);
        new.stop();
    });
}

#[test]
fn no_request_is_lost_while_workers_take_turns_on_a_socket() {
    on_both(|io| {
        let (mut server, kept) = shared(io, Limits::default());
        let address = server.address();
        let done = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let done = Arc::clone(&done);
                std::thread::spawn(move || {
                    let mut count = 0;
                    while !done.load(Ordering::Relaxed) {
                        let mut client = Client::of(TcpStream::connect(address).unwrap());
                        client.send(GET);
                        assert_eq!(client.response().1, b"empty");
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        for _ in 0..10 {
            let new = Harness::on(kept.try_clone().unwrap(), io, Limits::default(), echo);
            new.until("it has served", |new| new.reading().requests > 0);
            server.order(RETIRE_ORDER);
            std::mem::replace(&mut server, new).join();
        }
        done.store(true, Ordering::Relaxed);
        let served: u32 = clients.into_iter().map(|client| client.join().unwrap()).sum();
        assert!(served >= 10);
        server.stop();
    });
}

#[test]
fn an_idle_connection_holds_a_retired_worker_no_longer_than_any() {
    on_both(|io| {
        let limits = Limits { keep_alive_timeout: Duration::from_millis(200), ..Limits::default() };
        let (mut server, _kept) = shared(io, limits);
        let mut silent = idle_client(&server);
        server.order(RETIRE_ORDER);
        server.join();
        assert!(silent.rest().is_empty());
    });
}

#[test]
fn a_retired_worker_that_is_told_to_stop_ends_with_the_server() {
    on_both(|io| {
        let (mut server, _kept) = shared(io, Limits::default());
        let mut silent = idle_client(&server);
        server.order(RETIRE_ORDER);
        server.until("it stops accepting", |server| server.state() == WorkerState::Stopping);
        server.order(STOP_ORDER);
        server.join();
        assert!(silent.rest().is_empty());
    });
}

#[test]
fn a_worker_that_leaves_its_group_serves_its_accept_queue() {
    on_both(|io| {
        let mut server = Harness::start(io, Limits::default(), echo);
        let mut idle = idle_client(&server);
        let late: Vec<_> = (0..20).map(|_| server.connect()).collect();
        server.order(LEAVE_ORDER);
        server.until("it has left", |server| server.state() == WorkerState::Stopping);
        assert!(TcpStream::connect(server.address()).is_err());
        for mut client in late {
            assert_last_answer(&mut client);
        }
        assert_last_answer(&mut idle);
        server.join();
    });
}
