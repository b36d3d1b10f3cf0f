//! What a command line leads to: texts, refusals, exit codes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use hurricane_testkit::{Ended, Launch, Refusal, until};

fn run(args: &[&str]) -> Ended {
    Launch::example("native").args(args).run_to_end().unwrap()
}

#[test]
fn a_bad_flag_is_one_sentence_and_code_2() {
    for (args, sentence) in [
        (
            &["--port", "70000"][..],
            "hurricane: --port cannot be '70000': expected a port from 0 (the kernel chooses) to \
             65535",
        ),
        (&["--io", "kqueue"], "hurricane: --io cannot be 'kqueue': expected auto, io-uring, epoll"),
        (
            &["--drain-dely", "1"],
            "hurricane: unknown flag '--drain-dely'; did you mean '--drain-delay'?",
        ),
        (
            &["--command", "migrate"],
            "hurricane: --command needs a Django project: it is a flag of manage.py serve only",
        ),
        (
            &["--port", "65535"],
            "hurricane: --port 65535 leaves no next port for probes; choose a --probe-port",
        ),
    ] {
        let ended = run(args);
        assert_eq!((ended.code, ended.log), (2, vec![sentence.to_owned()]), "{args:?}");
    }
}

#[test]
fn a_bad_variable_is_named() {
    let ended = Launch::example("native").env("HURRICANE_THREADS", "many").run_to_end().unwrap();
    assert_eq!(ended.code, 2);
    assert_eq!(
        ended.log,
        ["hurricane: variable HURRICANE_THREADS cannot be 'many': expected a number from 1 to 256"]
    );
}

#[test]
fn help_and_version_go_to_stdout() {
    let help = run(&["--help"]);
    assert_eq!((help.code, help.log.len()), (0, 0));
    assert!(help.output.join("\n").contains("HURRICANE_HEARTBEAT_TIMEOUT"));
    let version = run(&["--version"]);
    assert_eq!(
        (version.code, version.output),
        (0, vec![format!("hurricane {}", hurricane::VERSION)])
    );
}

#[test]
fn a_taken_port_ends_the_start_within_a_second() {
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    for flag in ["--port", "--probe-port"] {
        let ended = run(&["--probe-port", "0", flag, &port]);
        assert_eq!(ended.code, 1);
        assert_eq!(ended.log.len(), 1, "{:?}", ended.log);
        assert!(
            ended.log[0].contains(&format!(
                "port {port} is taken on ::: another process listens there; stop it or choose \
                 another {flag}"
            )),
            "{:?}",
            ended.log
        );
        assert!(ended.took < Duration::from_secs(1), "{:?}", ended.took);
    }
}

#[test]
fn a_second_server_on_the_same_port_is_refused() {
    let first = Launch::example("native").start();
    let ended = run(&["--port", &first.app_port.to_string(), "--probe-port", "0"]);
    assert_eq!(ended.code, 1);
    assert!(ended.log[0].contains("is taken"), "{:?}", ended.log);
}

#[test]
fn io_uring_demanded_but_refused_ends_the_start_within_a_second() {
    for (refusal, errno) in [(Refusal::Eperm, "EPERM"), (Refusal::Enosys, "ENOSYS")] {
        for example in ["native", "mishaps"] {
            let ended = Launch::example(example)
                .args(["--io", "io-uring"])
                .refusing_io_uring(refusal)
                .run_to_end()
                .unwrap();
            assert_eq!(ended.code, 1);
            assert_eq!(ended.log.len(), 1, "{:?}", ended.log);
            assert!(ended.log[0].contains("--io io-uring cannot be had"), "{:?}", ended.log);
            assert!(ended.log[0].contains(errno), "{:?}", ended.log);
            assert!(ended.took < Duration::from_secs(1), "{:?}", ended.took);
        }
    }
}

#[test]
fn a_native_service_asks_its_own_probes() {
    let server = Launch::example("native").start();
    let port = server.probe_port.to_string();
    let ask = |args: &[&str]| {
        let launch = Launch::example("native").bare().args(["healthcheck", "--timeout", "5s"]);
        launch.args(args).env("HURRICANE_PROBE_PORT", &port).run_to_end().unwrap()
    };
    until("readiness", || (ask(&[]).code == 0).then_some(()));
    let alive = ask(&["--alive"]);
    assert_eq!((alive.code, alive.output, alive.log), (0, vec!["alive".to_owned()], vec![]));
    let lost = ask(&["--readiness-probe", "/lost"]);
    assert_eq!((lost.code, lost.output, lost.log), (1, vec![], vec!["not found".to_owned()]));
    let wrong = ask(&["--probe-port", "none"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.log[0].starts_with("hurricane: --probe-port cannot be 'none'"), "{wrong:?}");
}

#[test]
fn a_start_that_fails_is_told_to_a_webhook() {
    let receiver = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/hooks", receiver.local_addr().unwrap());
    let heard = std::thread::spawn(move || {
        let (mut stream, _) = receiver.accept().unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(b"}") {
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes).unwrap();
            heard.extend_from_slice(&bytes[..count]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        String::from_utf8(heard).unwrap()
    });
    let ended = Launch::example("mishaps")
        .args(["--webhook-url", &url])
        .env("PANIC_AT_START", "1")
        .run_to_end()
        .unwrap();
    assert_eq!(ended.code, 3);
    let heard = heard.join().unwrap();
    assert!(heard.starts_with("POST /hooks HTTP/1.1\r\n"), "{heard}");
    assert!(heard.contains("\"status\":\"failed\""), "{heard}");
    assert!(heard.contains("worker 0 dies at every start: panicked: told to panic"), "{heard}");
}

#[test]
fn a_service_link_of_kubernetes_is_ignored_with_a_warning() {
    let server = Launch::example("native")
        .env("HURRICANE_PROBE_PORT", "tcp://10.0.0.1:8001")
        .env("HURRICANE_SERVICE_HOST", "10.0.0.1")
        .start();
    let warnings: Vec<String> =
        server.log().into_iter().filter(|line| line.contains("\"WARN\"")).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("HURRICANE_PROBE_PORT"));
}

#[test]
fn the_start_line_tells_workers_engine_pin_and_ports() {
    let server = Launch::example("native").args(["--workers", "2", "--pin", "off"]).start();
    let line = server.event("serving").unwrap();
    assert_eq!(line["workers"], 2);
    assert_eq!(line["workers_from"], "--workers");
    assert_eq!(line["threads"], 4);
    for field in ["version", "engine", "engine_because", "pin", "app", "probes"] {
        assert!(line[field].as_str().is_some_and(|text| !text.is_empty()), "{field} in {line}");
    }
}

#[test]
fn human_lines_have_no_colour_off_a_terminal() {
    let ended = Launch::example("native")
        .args(["--log-format", "auto", "--host", "192.0.2.1"])
        .run_to_end()
        .unwrap();
    assert_eq!(ended.code, 1);
    assert!(ended.log[0].contains("ERROR --host 192.0.2.1 is no address of this host"));
    assert!(!ended.log[0].contains('\u{1b}'));
}
