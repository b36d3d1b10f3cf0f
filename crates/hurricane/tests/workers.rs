//! Workers that die, stall or never start.

use std::ffi::OsStr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hurricane_testkit::{Client, Launch, Running, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn pid_that_answers(server: &Running) -> Option<i32> {
    Client::connect(server.app_port).ok()?.get("/pid").ok()?.text().parse().ok()
}

#[test]
fn a_killed_worker_is_replaced_and_its_queue_survives() {
    // A ring that waits for connections takes at most one with it when it is torn down.
    for (io, lost_max) in [("epoll", 0), ("auto", 1)] {
        let server = Launch::example("mishaps").args(["--io", io]).start();
        let first = server.worker_pid(0);
        // While the worker is stopped and then dead, connections wait in its queue.
        server.signal_to(first, Signal::SIGSTOP);
        let mut waiting: Vec<Client> = (0..8)
            .map(|_| {
                let mut client = Client::connect(server.app_port).unwrap();
                client.send("GET /pid HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
                client
            })
            .collect();
        server.signal_to(first, Signal::SIGKILL);
        let answers = waiting.iter_mut().map(Client::read_answer);
        let answers: Vec<String> = answers.flatten().map(|answer| answer.text()).collect();
        assert!(answers.len() + lost_max >= 8, "{io}: {answers:?}");
        assert!(!answers.contains(&first.to_string()));
        let death = server.wait_for_event("worker died and is replaced");
        assert_eq!((&death["pid"], &death["cause"]), (&first.into(), &"killed by SIGKILL".into()));
        assert_eq!(server.status().unwrap()["restarts"], 1);
        until("readiness", || (server.probe("/ready").ok()?.status == 200).then_some(()));
    }
}

#[test]
fn no_connection_is_refused_while_workers_are_killed_under_load() {
    let server = Launch::example("mishaps").args(["--workers", "2"]).start();
    let port = server.app_port;
    let done = AtomicBool::new(false);
    let (refused, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    match Client::connect(port).map(|mut client| client.get("/")) {
                        Ok(Ok(_)) => answered.fetch_add(1, Ordering::Relaxed),
                        // In flight on the worker that was killed.
                        Ok(Err(_)) => 0,
                        Err(_) => refused.fetch_add(1, Ordering::Relaxed),
                    };
                }
            });
        }
        for index in [0, 1] {
            let worker = server.worker_pid(index);
            server.signal_to(worker, Signal::SIGKILL);
            until("a new worker", || (server.worker_pid(index) != worker).then_some(()));
            let before = answered.load(Ordering::Relaxed);
            until("answers", || (answered.load(Ordering::Relaxed) > before + 50).then_some(()));
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(refused.into_inner(), 0);
}

#[test]
fn a_stopped_worker_fails_readiness_by_name_and_recovers() {
    let server =
        Launch::example("mishaps").args(["--workers", "2", "--heartbeat-timeout", "2s"]).start();
    until("readiness", || (server.probe("/ready").ok()?.status == 200).then_some(()));
    let worker = server.worker_pid(1);
    server.signal_to(worker, Signal::SIGSTOP);
    let failed = until("a failing readiness", || {
        server.probe("/ready").ok().filter(|answer| answer.status != 200)
    });
    assert!(failed.body.contains("worker 1"), "{failed:?}");
    server.signal_to(worker, Signal::SIGCONT);
    until("readiness", || (server.probe("/ready").ok()?.status == 200).then_some(()));
    assert_eq!(server.worker_pid(1), worker);
}

#[test]
fn a_worker_that_stays_stopped_is_replaced() {
    let server =
        Launch::example("mishaps").args(["--workers", "2", "--heartbeat-timeout", "300ms"]).start();
    let (other, worker) = (server.worker_pid(0), server.worker_pid(1));
    server.signal_to(worker, Signal::SIGSTOP);
    let line = server.wait_for_event("worker cannot go on");
    assert_eq!((&line["worker"], &line["pid"]), (&1.into(), &worker.into()));
    assert_eq!(line["trouble"], "its loop is silent");
    until("a new worker", || (server.worker_pid(1) != worker).then_some(()));
    until("readiness", || (server.probe("/ready").ok()?.status == 200).then_some(()));
    assert_eq!(server.worker_pid(0), other);
}

#[test]
fn a_stalled_loop_is_replaced() {
    let server = Launch::example("mishaps").args(["--heartbeat-timeout", "300ms"]).start();
    let mut client = Client::connect(server.app_port).unwrap();
    client.send("GET /stall HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    server.wait_for_event("worker cannot go on");
    assert!(client.read_answer().is_err());
    until("another worker to answer", || pid_that_answers(&server));
}

#[test]
fn a_stalled_thread_is_told_of_once_and_left_alone() {
    let server = Launch::example("mishaps")
        .env("AS_THREADS", "1")
        .args(["--workers", "2", "--heartbeat-timeout", "300ms"])
        .start();
    let mut client = Client::connect(server.app_port).unwrap();
    client.send("GET /stall HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let line = server.wait_for_event("worker cannot go on");
    assert_eq!(line["remedy"], "none: a thread cannot be killed, liveness fails");
    let failed = until("a failing readiness", || {
        server.probe("/ready").ok().filter(|answer| answer.status != 200)
    });
    assert!(failed.body.contains(&format!("worker {}", line["worker"])), "{failed:?}");
    let told = server.log().iter().filter(|line| line.contains("worker cannot go on")).count();
    assert_eq!(told, 1);
}

#[test]
fn probes_are_answered_while_the_only_worker_stalls() {
    let server = Launch::example("mishaps").args(["--heartbeat-timeout", "1h"]).start();
    Client::connect(server.app_port)
        .unwrap()
        .send("GET /stall HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    for path in ["/alive", "/ready", "/startup"] {
        assert!(server.probe(path).is_ok());
    }
}

#[test]
fn a_worker_that_aborts_is_replaced() {
    let server = Launch::example("mishaps").start();
    let mut client = Client::connect(server.app_port).unwrap();
    client.send("GET /crash HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(client.read_answer().is_err());
    let death = server.wait_for_event("worker died and is replaced");
    assert_eq!(death["cause"], "killed by SIGABRT");
    until("another worker to answer", || pid_that_answers(&server));
}

#[test]
fn a_crash_loop_at_the_start_ends_with_code_3_and_its_cause() {
    for kind in ["AS_PROCESSES", "AS_THREADS"] {
        let name = format!("hurricane-test-{}-{kind}", std::process::id());
        let last_words = std::env::temp_dir().join(name);
        let launch = Launch::example("mishaps").env("PANIC_AT_START", "1").env(kind, "1");
        let launch = launch.args([OsStr::new("--termination-log"), last_words.as_os_str()]);
        let ended = launch.run_to_end().unwrap();
        assert_eq!(ended.code, 3);
        let said = std::fs::read_to_string(&last_words).unwrap();
        assert_eq!(said, "worker 0 dies at every start: panicked: told to panic\n");
        std::fs::remove_file(last_words).unwrap();
        let log = ended.log.join(
            "
",
        );
        assert!(log.contains("giving up: a worker dies at every start"), "{log}");
        assert!(log.contains("panicked: told to panic"), "{log}");
    }
}

#[test]
fn a_crash_loop_while_serving_fails_liveness() {
    let server = Launch::example("mishaps").start();
    assert_eq!(server.probe("/alive").unwrap().status, 200);
    let failed = until("a failing liveness", || {
        if let Some(pid) = server.status().ok()?["workers"][0]["pid"].as_i64()
            && pid > 0
        {
            let _ = kill(Pid::from_raw(i32::try_from(pid).ok()?), Signal::SIGKILL);
        }
        server.probe("/alive").ok().filter(|answer| answer.status != 200)
    });
    assert!(!failed.body.is_empty());
}

#[test]
fn the_control_process_is_replaced() {
    let server = Launch::example("mishaps").start();
    let worker = server.worker_pid(0);
    let control = until("the control process", || {
        let children = format!("/proc/{0}/task/{0}/children", server.pid());
        let children = std::fs::read_to_string(children).ok()?;
        children.split_whitespace().filter_map(|pid| pid.parse().ok()).find(|pid| *pid != worker)
    });
    server.signal_to(control, Signal::SIGKILL);
    server.wait_for_event("control process ended and is replaced");
    until("probes", || server.probe("/alive").ok());
}

#[test]
fn no_worker_outlives_its_supervisor() {
    let mut server = Launch::example("mishaps").args(["--workers", "2"]).start();
    let workers = [server.worker_pid(0), server.worker_pid(1)];
    server.signal(Signal::SIGKILL);
    assert_eq!(server.wait_for_end().unwrap(), 128 + 9);
    for worker in workers {
        until("the end of a worker", || {
            let stat = std::fs::read_to_string(format!("/proc/{worker}/stat"));
            stat.map_or(true, |stat| stat.contains(") Z ")).then_some(())
        });
    }
}

#[test]
fn a_worker_holds_no_descriptor_of_another() {
    let server = Launch::example("mishaps").args(["--workers", "3"]).start();
    let sockets = |pid: i32| {
        let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        let links = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        let mut sockets: Vec<String> = links
            .filter_map(|link| link.to_str().map(str::to_owned))
            .filter(|link| link.starts_with("socket:"))
            .collect();
        sockets.sort();
        sockets.dedup();
        sockets
    };
    let held: Vec<Vec<String>> = (0..3).map(|index| sockets(server.worker_pid(index))).collect();
    for (index, sockets) in held.iter().enumerate() {
        assert!(!sockets.is_empty());
        for other in held.iter().skip(index + 1) {
            assert!(sockets.iter().all(|socket| !other.contains(socket)), "{held:?}");
        }
    }
}
