//! Signals: draining, stopping, ending at once.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use hurricane_testkit::{Client, Launch, Running, until};
use nix::sys::signal::Signal;

/// The same service with its workers as processes and as threads.
fn both_kinds() -> [Launch; 2] {
    [Launch::example("mishaps"), Launch::example("mishaps").env("AS_THREADS", "1")]
}

#[test]
fn an_idle_server_ends_with_0_and_frees_its_ports_within_half_a_second() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        for launch in both_kinds() {
            let mut server = launch.args(["--workers", "2"]).start();
            let asked = Instant::now();
            server.signal(signal);
            assert_eq!(server.wait_for_end().unwrap(), 0);
            assert!(asked.elapsed() < Duration::from_millis(500), "{:?}", asked.elapsed());
            for port in [server.app_port, server.probe_port] {
                assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
            }
        }
    }
}

/// Connections that have sent a request which takes half a second.
fn waiting(server: &Running, count: usize) -> Vec<Client> {
    let clients: Vec<Client> = (0..count)
        .map(|_| {
            let mut client = Client::connect(server.app_port).unwrap();
            client.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            client
        })
        .collect();
    until("all requests to run", || {
        (server.status().ok()?["totals"]["connections"] == count).then_some(())
    });
    clients
}

#[test]
fn requests_in_flight_are_answered_and_their_connections_closed() {
    for io in ["auto", "epoll"] {
        for launch in both_kinds() {
            let mut server = launch.args(["--workers", "2", "--io", io]).start();
            let clients = waiting(&server, 16);
            server.signal(Signal::SIGTERM);
            for mut client in clients {
                let answer = client.read_answer().unwrap();
                assert_eq!(answer.text(), "waited");
            }
            assert_eq!(server.wait_for_end().unwrap(), 0);
        }
    }
}

#[test]
fn connections_in_the_accept_queue_are_answered() {
    for io in ["auto", "epoll"] {
        let mut server = Launch::example("mishaps").args(["--io", io]).start();
        let worker = server.worker_pid(0);
        server.signal_to(worker, Signal::SIGSTOP);
        let clients: Vec<Client> = (0..20)
            .map(|_| {
                let mut client = Client::connect(server.app_port).unwrap();
                client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
                client
            })
            .collect();
        server.signal(Signal::SIGTERM);
        server.wait_for_event("no longer accepting; ending what runs");
        server.signal_to(worker, Signal::SIGCONT);
        for mut client in clients {
            assert_eq!(client.read_answer().unwrap().status, 200);
        }
        assert_eq!(server.wait_for_end().unwrap(), 0);
    }
}

#[test]
fn the_queue_of_a_dead_worker_is_answered_by_a_last_one() {
    let mut server = Launch::example("mishaps").args(["--io", "epoll"]).start();
    let worker = server.worker_pid(0);
    server.signal_to(worker, Signal::SIGSTOP);
    let mut client = Client::connect(server.app_port).unwrap();
    client.send("GET /pid HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    server.signal_to(worker, Signal::SIGKILL);
    server.wait_for_event("worker died and is replaced");
    server.signal(Signal::SIGTERM);
    assert_ne!(client.read_answer().unwrap().text(), worker.to_string());
    assert_eq!(server.wait_for_end().unwrap(), 0);
}

#[test]
fn connections_are_accepted_while_draining_and_answers_close_them() {
    for launch in both_kinds() {
        let mut server = launch.args(["--drain-delay", "1s"]).start();
        server.signal(Signal::SIGTERM);
        server.wait_for_event("still accepting while endpoints are withdrawn");
        let mut client = Client::connect(server.app_port).unwrap();
        until("an answer that closes", || {
            let answer = client.get("/").ok();
            match answer {
                Some(answer) if answer.header("connection") == Some("close") => Some(()),
                _ => {
                    client = Client::connect(server.app_port).unwrap();
                    None
                }
            }
        });
        // A check that is still running may hold readiness; draining must not.
        until("readiness", || (server.probe("/ready").ok()?.status == 200).then_some(()));
        server.wait_for_event("no longer accepting; ending what runs");
        assert_eq!(server.wait_for_end().unwrap(), 0);
    }
}

#[test]
fn readiness_can_fail_from_the_signal_on() {
    let server = Launch::example("native")
        .args(["--drain-delay", "20s", "--drain-readiness", "failing"])
        .start();
    until("readiness", || (server.probe("/ready").ok()?.status == 200).then_some(()));
    server.signal(Signal::SIGTERM);
    until("readiness to fail", || (server.probe("/ready").ok()?.status != 200).then_some(()));
    assert_eq!(server.probe("/alive").unwrap().status, 200);
}

#[test]
fn requests_that_outlive_the_grace_period_are_cut_with_code_4() {
    let mut server = Launch::example("mishaps").args(["--grace-period", "300ms"]).start();
    let mut client = Client::connect(server.app_port).unwrap();
    client.send("GET /hang HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    until("the connection", || (server.status().ok()?["totals"]["connections"] == 1).then_some(()));
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_for_end().unwrap(), 4);
    assert!(server.event("the grace period is over; requests are cut").is_some());
}

#[test]
fn a_second_signal_ends_at_once() {
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGQUIT, 131)] {
        for launch in both_kinds() {
            let mut server = launch.args(["--drain-delay", "1h"]).start();
            server.signal(Signal::SIGTERM);
            server.wait_for_event("stopping");
            server.signal(signal);
            assert_eq!(server.wait_for_end().unwrap(), code);
        }
    }
}

#[test]
fn the_drain_delay_is_five_seconds_in_kubernetes() {
    let server = Launch::example("native").env("KUBERNETES_SERVICE_HOST", "10.0.0.1").start();
    server.signal(Signal::SIGTERM);
    let line = server.wait_for_event("still accepting while endpoints are withdrawn");
    assert_eq!(line["delay"], "5s");
}

#[test]
fn a_service_without_code_to_load_ignores_sighup() {
    let server = Launch::example("native").start();
    server.signal(Signal::SIGHUP);
    server.wait_for_event("ignored: this service has no code to load; restart it");
    assert_eq!(Client::connect(server.app_port).unwrap().get("/").unwrap().status, 200);
}

#[test]
fn workers_are_deaf_to_signals_of_the_terminal() {
    let server = Launch::example("mishaps").start();
    let worker = server.worker_pid(0);
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        server.signal_to(worker, signal);
    }
    let mut client = Client::connect(server.app_port).unwrap();
    assert_eq!(client.get("/pid").unwrap().text(), worker.to_string());
}
