//! Requests and probes through the real binary, on both engines.

use std::net::TcpListener;

use hurricane_testkit::{Client, Launch, Refusal, until};

fn both_engines() -> [Launch; 3] {
    let native = || Launch::example("native").args(["--workers", "2"]);
    [
        native(),
        native().refusing_io_uring(Refusal::Eperm),
        native().refusing_io_uring(Refusal::Enosys),
    ]
}

#[test]
fn requests_and_probes_are_answered_on_both_engines() {
    for (launch, engine) in both_engines().into_iter().zip([None, Some("epoll"), Some("epoll")]) {
        let server = launch.start();
        let line = server.event("serving").unwrap();
        if let Some(engine) = engine {
            assert_eq!(line["engine"], engine);
            assert!(line["engine_because"].as_str().unwrap().contains("seccomp"), "{line}");
        }
        let mut client = Client::connect(server.app_port).unwrap();
        for (path, status, text) in
            [("/", 200, "hello\n"), ("/lost", 404, "there is nothing here\n")]
        {
            let answer = client.get(path).unwrap();
            assert_eq!((answer.status, answer.text().as_str()), (status, text));
        }
        until("readiness", || (server.probe("/ready").ok()?.status == 200).then_some(()));
        assert_eq!(server.probe("/alive").unwrap().status, 200);
        assert_eq!(server.probe("/startup").unwrap().status, 200);
        let status = server.status().unwrap();
        assert_eq!(status["workers"].as_array().unwrap().len(), 2);
        assert_eq!(status["totals"]["requests"], 2);
        assert_eq!(status["server"]["app"], line["app"]);
    }
}

#[test]
fn a_failing_check_fails_readiness_and_is_named() {
    let file = std::env::temp_dir().join(format!("hurricane-maintenance-{}", std::process::id()));
    std::fs::write(&file, "").unwrap();
    let server = Launch::example("native")
        .args(["--check-interval", "100ms"])
        .env("MAINTENANCE_FILE", &file)
        .start();
    let failed = until("a failing readiness", || {
        server.probe("/ready").ok().filter(|answer| answer.status != 200)
    });
    assert!(failed.body.contains("maintenance") && failed.body.contains("closed"), "{failed:?}");
    assert_eq!(server.probe("/alive").unwrap().status, 200);
    std::fs::remove_file(&file).unwrap();
    until("readiness", || (server.probe("/ready").ok()?.status == 200).then_some(()));
}

#[test]
fn probes_are_answered_on_the_application_port_when_the_ports_are_equal() {
    let free = TcpListener::bind("[::]:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    let server = Launch::example("native").args(["--port", &port, "--probe-port", &port]).start();
    assert_eq!(server.app_port, server.probe_port);
    until("readiness", || (server.probe("/ready").ok()?.status == 200).then_some(()));
    assert_eq!(Client::connect(server.app_port).unwrap().get("/").unwrap().text(), "hello\n");
}

#[test]
fn without_probes_no_port_is_opened_for_them() {
    let server = Launch::example("native").args(["--no-probe"]).start();
    assert_eq!(server.event("serving").unwrap()["probes"], "off");
    assert_eq!(Client::connect(server.app_port).unwrap().get("/alive").unwrap().status, 404);
}

#[test]
fn ipv6_reaches_the_default_host() {
    let server = Launch::example("native").start();
    assert!(std::net::TcpStream::connect(("::1", server.app_port)).is_ok());
}
