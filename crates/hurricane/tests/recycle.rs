//! Workers that have served long enough are replaced without losing a request.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use hurricane_testkit::{Client, Launch, Running, until};
use serde_json::Value;

/// Requests under load from four clients until `done`: half of them with a new connection each,
/// half on connections that they keep for as long as the server does. Returns how many.
fn load_while(server: &Running, until_done: impl FnOnce()) -> usize {
    let port = server.app_port;
    let done = AtomicBool::new(false);
    let answered = AtomicUsize::new(0);
    thread::scope(|scope| {
        for keeps in [true, true, false, false] {
            let (done, answered) = (&done, &answered);
            scope.spawn(move || {
                let mut kept = None;
                while !done.load(Ordering::Relaxed) {
                    let mut client = kept.take().unwrap_or_else(|| {
                        Client::connect(port).expect("no connection is refused")
                    });
                    let answer = client.get("/").expect("every request is answered");
                    assert_eq!(answer.status, 200);
                    answered.fetch_add(1, Ordering::Relaxed);
                    let closes = answer.header("connection") == Some("close");
                    kept = (keeps && !closes).then_some(client);
                }
            });
        }
        until_done();
        done.store(true, Ordering::Relaxed);
    });
    answered.into_inner()
}

fn replaced(server: &Running) -> Vec<Value> {
    server.events("worker is replaced by a fresh one")
}

#[test]
fn workers_are_replaced_after_their_requests_and_none_is_lost() {
    for (io, threads) in [("epoll", false), ("auto", false), ("auto", true)] {
        let mut launch = Launch::example("mishaps").args(["--workers", "2", "--io", io]);
        launch = launch.args(["--max-worker-requests", "200"]);
        if threads {
            launch = launch.env("AS_THREADS", "1");
        }
        let server = launch.start();
        load_while(&server, || {
            until("ten replacements", || (replaced(&server).len() >= 10).then_some(()));
        });
        let status = server.status().unwrap();
        assert_eq!(status["restarts"], 0, "{io}: {status}");
        for event in replaced(&server) {
            assert_eq!(event["reason"], "requests", "{event}");
            assert!(event["served"].as_u64().unwrap() >= 200, "{event}");
        }
        let workers: HashSet<_> = replaced(&server).iter().map(|e| e["worker"].as_u64()).collect();
        assert_eq!(workers.len(), 2, "both workers are replaced");
    }
}

#[test]
fn a_request_that_runs_while_its_worker_is_replaced_is_answered() {
    let server = Launch::example("mishaps").args(["--max-worker-lifetime", "300ms"]).start();
    let mut waiting = Client::connect(server.app_port).unwrap();
    let worker = server.worker_pid(0);
    until("a successor", || {
        // Half a second each, so one of them is under way at the hand-over.
        waiting.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let answer = waiting.read_answer().unwrap();
        assert_eq!(answer.text(), "waited");
        (answer.header("connection") == Some("close")).then_some(())
    });
    assert_ne!(server.worker_pid(0), worker);
    let event = server.wait_for_event("worker is replaced by a fresh one");
    assert_eq!(event["reason"], "lifetime");
}

#[test]
fn an_idle_connection_is_answered_once_more_by_a_worker_that_leaves() {
    let server = Launch::example("mishaps").args(["--max-worker-requests", "1"]).start();
    let mut idle = Client::connect(server.app_port).unwrap();
    assert_eq!(idle.get("/").unwrap().status, 200);
    // The worker hears of it a moment after it was logged.
    let last = until("a last answer", || {
        let answer = idle.get("/pid").unwrap();
        (answer.header("connection") == Some("close")).then_some(answer)
    });
    assert_eq!(last.text(), replaced(&server)[0]["predecessor"].to_string());
}

#[test]
fn a_worker_that_grows_over_its_limit_is_replaced() {
    let server = Launch::example("mishaps").args(["--max-worker-memory", "64m"]).start();
    let worker = server.worker_pid(0);
    let weighed =
        |server: &Running| server.status().unwrap()["workers"][0]["memory_bytes"].as_u64();
    until("a first weighing", || weighed(&server).filter(|bytes| *bytes > 0));
    for _ in 0..10 {
        let mut client = Client::connect(server.app_port).unwrap();
        assert_eq!(client.get("/leak").unwrap().status, 200);
    }
    until("a fresh worker", || (server.worker_pid(0) != worker).then_some(()));
    // The scoreboard tells a moment before the log does.
    let event = server.wait_for_event("worker is replaced by a fresh one");
    assert_eq!(event["reason"], "memory");
}

#[test]
fn a_successor_that_does_not_come_up_costs_nothing() {
    let server = Launch::example("mishaps")
        .args(["--max-worker-requests", "1"])
        .env("PANIC_AS_SUCCESSOR", "1")
        .start();
    let worker = server.worker_pid(0);
    let mut client = Client::connect(server.app_port).unwrap();
    assert_eq!(client.get("/pid").unwrap().text(), worker.to_string());
    let failed = server.wait_for_event("a successor did not come up; the worker serves on");
    assert_eq!(failed["cause"], "panicked: told to panic as a successor");
    assert_eq!(client.get("/pid").unwrap().text(), worker.to_string());
    assert_eq!(server.probe("/alive").unwrap().status, 200);
    // The next one comes up.
    until("a successor", || (server.worker_pid(0) != worker).then_some(()));
}
