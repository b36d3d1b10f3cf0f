//! Webhooks as a receiver sees them, sent by a control process that runs on a thread.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hurricane_control::{
    ATTEMPTS_MAX, ControlError, ControlOptions, DrainReadiness, Manners, OwnWebhooks, PageOptions,
    ProbePaths, VerdictLimits, WebhookKind, WebhookOptions, WebhookStatus, Wording, run,
    send_failed_start,
};
use hurricane_scoreboard::{Monotonic, Phase, Scoreboard, WorkerState};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

/// What a receiver does with a webhook.
#[derive(Clone, Copy, Debug)]
enum Reply {
    Status(u16),
    /// Closes without an answer.
    Hangup,
    /// Does not answer until the test ends.
    Silence,
}

/// A receiver with a script; when the script has ended it takes everything.
struct Receiving {
    url: String,
    webhooks: Receiver<Value>,
}

impl Receiving {
    fn start(script: &[Reply]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hooks?token=1", listener.local_addr().unwrap());
        let (told, webhooks) = mpsc::channel();
        let mut script: VecDeque<_> = script.to_vec().into();
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let webhook = read_webhook(&stream);
                let reply = script.pop_front().unwrap_or(Reply::Status(204));
                match reply {
                    Reply::Status(status) => answer(&stream, status),
                    Reply::Hangup => {}
                    Reply::Silence => silent.push(stream),
                }
                if told.send(webhook).is_err() {
                    return;
                }
            }
        });
        Self { url, webhooks }
    }

    fn next(&self) -> Value {
        self.webhooks.recv_timeout(PATIENCE).expect("a webhook comes")
    }

    /// Types and statuses of the next ones.
    fn next_kinds(&self, count: usize) -> Vec<String> {
        (0..count).map(|_| kind_of(&self.next())).collect()
    }
}

fn kind_of(webhook: &Value) -> String {
    format!("{} {}", webhook["type"].as_str().unwrap(), webhook["status"].as_str().unwrap())
}

fn read_webhook(stream: &TcpStream) -> Value {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "POST /hooks?token=1 HTTP/1.1\r\n");
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).unwrap();
        if line == "\r\n" {
            break;
        }
        let (name, value) = line.trim_end().split_once(": ").unwrap();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "content-type" => assert_eq!(value, "application/json"),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn answer(mut stream: &TcpStream, status: u16) {
    let answer = format!("HTTP/1.1 {status} Because\r\nContent-Length: 0\r\n\r\n");
    // The sender may have given up.
    let _ = stream.write_all(answer.as_bytes());
}

/// A control process without probes.
struct Control {
    board: Scoreboard,
    orders: UnixStream,
    thread: JoinHandle<Result<(), ControlError>>,
}

fn options(url: &str) -> WebhookOptions {
    let (url, podname) = (url.parse().unwrap(), "shop-1".to_owned());
    WebhookOptions { url, podname, version: Some("7".into()), attempts_max: ATTEMPTS_MAX }
}

impl Control {
    fn start(url: &str) -> Self {
        Self::with(Some(url), None)
    }

    fn with(url: Option<&str>, own: Option<OwnWebhooks>) -> Self {
        let board = Scoreboard::new(1).unwrap();
        board.server().set_started(Monotonic::now());
        board.server().set_workers_target(1);
        let slot = board.slot(0).unwrap();
        slot.begin(Monotonic::now());
        Self::on(url, own, board)
    }

    fn on(url: Option<&str>, own: Option<OwnWebhooks>, board: Scoreboard) -> Self {
        let (orders, theirs) = UnixStream::pair().unwrap();
        let options = ControlOptions {
            listeners: Vec::new(),
            paths: ProbePaths::default(),
            limits: VerdictLimits {
                manners: &Manners::OURS,
                heartbeat_timeout: Duration::from_secs(600),
                request_timeout: Duration::from_secs(600),
                req_queue_len: 10,
                drain_readiness: DrainReadiness::Serving,
                requests_max: None,
                wording: Wording::default(),
                tells_pace: true,
            },
            checks: Vec::new(),
            webhook: url.map(options),
            own_webhooks: own,
            page: PageOptions::default(),
            server: json!({}),
            logged: None,
        };
        let shared = board.clone();
        let thread = std::thread::spawn(move || run(options, shared, theirs));
        Self { board, orders, thread }
    }

    fn serve(&self) {
        let slot = self.board.slot(0).unwrap();
        slot.beat(Monotonic::now());
        slot.set_state(WorkerState::Serving);
        self.board.server().set_startup_finished(Monotonic::now());
        self.board.server().set_phase(Phase::Serving);
    }

    fn stop(self) -> Duration {
        self.obey(*b"s")
    }

    fn obey(mut self, order: [u8; 1]) -> Duration {
        let began = Instant::now();
        self.orders.write_all(&order).unwrap();
        self.thread.join().unwrap().unwrap();
        began.elapsed()
    }
}

#[test]
fn a_life_is_told_in_order() {
    let receiver = Receiving::start(&[]);
    let control = Control::start(&receiver.url);
    control.serve();
    let first = receiver.next();
    assert_eq!(first["info"], "Startup webhook");
    assert_eq!((&first["podname"], &first["version"]), (&json!("shop-1"), &json!("7")));
    assert!(first["timestamp"].as_u64() > Some(1_700_000_000), "{first}");
    assert_eq!(first.get("traceback"), None);
    assert_eq!(receiver.next_kinds(2), ["liveness succeeded", "readiness succeeded"]);
    control.board.slot(0).unwrap().set_state(WorkerState::Vacant);
    let failed = receiver.next();
    assert_eq!(kind_of(&failed), "readiness failed");
    assert_eq!(failed["traceback"], "worker 0 is not running");
    control.board.server().set_phase(Phase::Draining);
    assert_eq!(receiver.next_kinds(1), ["drain succeeded"]);
    control.board.server().set_phase(Phase::Stopping);
    let webhooks = control.board.clone();
    control.stop();
    assert_eq!(receiver.next_kinds(1), ["shutdown succeeded"]);
    assert_eq!(webhooks.control().webhooks().delivered, 6);
}

#[test]
fn a_receiver_that_fails_gets_each_webhook_again_until_it_takes_it_in_order() {
    let failing = [Reply::Hangup, Reply::Status(503), Reply::Status(200), Reply::Status(429)];
    let receiver = Receiving::start(&failing);
    let control = Control::start(&receiver.url);
    control.serve();
    let startup = "startup succeeded";
    assert_eq!(
        receiver.next_kinds(6),
        [
            startup,
            startup,
            startup,
            "liveness succeeded",
            "liveness succeeded",
            "readiness succeeded"
        ]
    );
    let board = control.board.clone();
    control.stop();
    assert_eq!(board.control().webhooks().given_up, 0);
}

#[test]
fn what_the_receiver_refuses_for_good_is_sent_once() {
    let receiver = Receiving::start(&[Reply::Status(404), Reply::Status(301)]);
    let control = Control::start(&receiver.url);
    control.serve();
    assert_eq!(
        receiver.next_kinds(3),
        ["startup succeeded", "liveness succeeded", "readiness succeeded"]
    );
    let board = control.board.clone();
    control.stop();
    let reading = board.control().webhooks();
    assert_eq!((reading.given_up, reading.waiting), (2, 0));
}

#[test]
fn a_receiver_that_is_silent_holds_the_end_for_less_than_two_seconds() {
    let receiver = Receiving::start(&[Reply::Silence; 9]);
    let control = Control::start(&receiver.url);
    control.serve();
    assert_eq!(receiver.next_kinds(1), ["startup succeeded"]);
    let took = control.stop();
    assert!(took < Duration::from_millis(2500), "{took:?}");
}

#[test]
fn a_failed_start_is_told_with_its_reason_and_then_there_is_nothing_more_to_tell() {
    let receiver = Receiving::start(&[]);
    let control = Control::start(&receiver.url);
    control.board.server().failure().set("Traceback:\n  no such table");
    control.board.server().set_phase(Phase::Failed);
    control.stop();
    let failed = receiver.next();
    assert_eq!(kind_of(&failed), "startup failed");
    assert_eq!(failed["traceback"], "Traceback:\n  no such table");
    assert!(receiver.webhooks.try_recv().is_err());
}

#[test]
fn a_control_process_that_takes_over_repeats_nothing() {
    let receiver = Receiving::start(&[]);
    let control = Control::start(&receiver.url);
    control.serve();
    receiver.next_kinds(3);
    let board = control.board.clone();
    let delivered = |count: u64| {
        let deadline = Instant::now() + PATIENCE;
        while board.control().webhooks().delivered < count {
            assert!(Instant::now() < deadline, "{:?}", board.control().webhooks());
            std::thread::yield_now();
        }
    };
    delivered(3);
    // It is killed, as far as its successor can see: nothing more is told.
    let successor = Control::on(Some(&receiver.url), None, board.clone());
    board.slot(0).unwrap().set_state(WorkerState::Vacant);
    assert_eq!(receiver.next_kinds(2), ["readiness failed", "readiness failed"], "one of each");
    drop((control, successor));
}

#[test]
fn a_process_that_ends_says_why_itself() {
    let receiver = Receiving::start(&[Reply::Status(500)]);
    send_failed_start(&options(&receiver.url), "port 80 is taken");
    for _ in 0..2 {
        let failed = receiver.next();
        assert_eq!(
            (kind_of(&failed).as_str(), &failed["traceback"]),
            ("startup failed", &json!("port 80 is taken"))
        );
    }
    let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let began = Instant::now();
    send_failed_start(&options(&format!("http://{refused}")), "port 80 is taken");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

/// Webhooks of a project that pass on what they are told.
fn own(replaced: &[WebhookKind]) -> (OwnWebhooks, Receiver<String>) {
    let (say, said) = mpsc::channel();
    let tell = move |kind: WebhookKind, status: WebhookStatus, why: Option<&str>| {
        let why = why.map_or(String::new(), |why| format!(": {why}"));
        let _ = say.send(format!("{} {}{why}", kind.as_str(), status.as_str()));
    };
    (OwnWebhooks { replaced: replaced.to_vec(), tell: Arc::new(tell) }, said)
}

fn heard(said: &Receiver<String>, count: usize) -> Vec<String> {
    (0..count).map(|_| said.recv_timeout(PATIENCE).unwrap()).collect()
}

#[test]
fn a_projects_own_webhooks_are_told_everything_and_take_over_what_they_replace() {
    let receiver = Receiving::start(&[]);
    let (own, said) = own(&[WebhookKind::Liveness]);
    let control = Control::with(Some(&receiver.url), Some(own));
    control.serve();
    let healthy = ["startup succeeded", "liveness succeeded", "readiness succeeded"];
    assert_eq!(heard(&said, 3), healthy);
    assert_eq!(receiver.next_kinds(2), ["startup succeeded", "readiness succeeded"]);
    control.board.slot(0).unwrap().set_state(WorkerState::Vacant);
    assert_eq!(heard(&said, 1), ["readiness failed: worker 0 is not running"]);
    assert_eq!(receiver.next_kinds(1), ["readiness failed"]);
    control.board.server().set_phase(Phase::Stopping);
    control.stop();
    assert_eq!(heard(&said, 2), ["drain succeeded", "shutdown succeeded"]);
}

#[test]
fn without_a_receiver_a_successor_knows_what_the_projects_own_webhooks_were_told() {
    let (first, said) = own(&[]);
    let control = Control::with(None, Some(first));
    control.serve();
    heard(&said, 3);
    let board = control.board.clone();
    let deadline = Instant::now() + PATIENCE;
    while board.control().told(WebhookKind::Readiness).is_none() {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    control.obey(*b"r");
    let (second, repeated) = own(&[]);
    let successor = Control::on(None, Some(second), board.clone());
    board.slot(0).unwrap().set_state(WorkerState::Vacant);
    assert_eq!(heard(&repeated, 1), ["readiness failed: worker 0 is not running"]);
    drop(successor);
}

#[test]
fn a_projects_own_webhook_that_hangs_holds_the_end_for_less_than_two_seconds() {
    let (entered, inside) = mpsc::channel();
    let (release, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let tell = move |_: WebhookKind, _: WebhookStatus, _: Option<&str>| {
        let _ = entered.send(());
        let _ = gate.lock().unwrap().recv();
    };
    let own = OwnWebhooks { replaced: Vec::new(), tell: Arc::new(tell) };
    let control = Control::with(None, Some(own));
    control.serve();
    inside.recv_timeout(PATIENCE).unwrap();
    let took = control.stop();
    assert!(took < Duration::from_millis(2500), "{took:?}");
    drop(release);
}
