//! `GET /status`: the whole picture as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use hurricane_scoreboard::{
    CheckReading, ConsumptionReading, Hindrance, HostReading, Monotonic, Phase, Replaced, Role,
    Scoreboard, Settled, SlotReading, WebhookReading, WorkerState,
};
use serde::Serialize;

use crate::verdict::{self, Snapshot, Verdict, VerdictLimits};

/// The picture at the snapshot's moment. Sums are over every slot of `board`, so that they
/// never fall when workers are retired.
pub(crate) fn render(
    snapshot: &Snapshot,
    limits: &VerdictLimits,
    server: &serde_json::Value,
    board: &Scoreboard,
) -> Vec<u8> {
    let slots = board.read_all().map(|(_, slot)| slot);
    let status = Status {
        phase: phase_name(snapshot.phase),
        waiting_for: Some(snapshot.awaited.as_str()).filter(|awaited| !awaited.is_empty()),
        uptime_seconds: snapshot.uptime().as_secs_f64(),
        startup_seconds: since(snapshot.startup_finished, snapshot.started)
            .map(|duration| duration.as_secs_f64()),
        probes: Probes {
            startup: Outcome::of(&verdict::startup(snapshot)),
            readiness: Outcome::of(&verdict::readiness(snapshot, limits)),
            liveness: Outcome::of(&verdict::liveness(snapshot, limits)),
        },
        interface: text_of(board.server().interface().get()),
        interface_reason: text_of(board.server().interface_reason().get()),
        workers_target: snapshot.workers.len(),
        workers_reason: board.server().workers_reason().get(),
        workers_limit: board.workers(),
        worker_memory_limit_bytes: Some(board.server().worker_memory_max()).filter(|max| *max > 0),
        restarts: snapshot.restarts,
        replaced: Replaced::ALL
            .map(|reason| (reason.as_str(), board.server().replaced(reason)))
            .into(),
        reloads: board.server().reloads(),
        reloads_failed: board.server().reloads_failed(),
        crash_loop: snapshot.crash_loop,
        totals: Totals::over(slots),
        workers: (snapshot.workers.iter().enumerate())
            .map(|(index, reading)| Worker::at(index, Role::Current, reading, snapshot.now, limits))
            .collect(),
        others: others(snapshot, limits, board),
        host: Host::of(&board.control().host()),
        webhooks: Webhooks::at(&board.control().webhooks(), snapshot.now),
        checks: snapshot.checks.iter().map(|check| Check::at(check, snapshot.now)).collect(),
        server,
    };
    // Numbers, strings and lists cannot fail to serialise.
    serde_json::to_vec(&status).unwrap_or_default()
}

fn text_of(cell: String) -> Option<String> {
    Some(cell).filter(|text| !text.is_empty())
}

#[derive(Serialize)]
struct Status<'a> {
    phase: &'static str,
    /// What the start waits for besides workers.
    waiting_for: Option<&'a str>,
    uptime_seconds: f64,
    startup_seconds: Option<f64>,
    probes: Probes,
    /// How the application is entered; null: there is one way only.
    interface: Option<String>,
    interface_reason: Option<String>,
    /// How many there should be.
    workers_target: usize,
    workers_reason: String,
    /// How many there may be while the server runs.
    workers_limit: usize,
    /// Null: no worker is replaced for its memory.
    worker_memory_limit_bytes: Option<u64>,
    /// Of workers that could not go on.
    restarts: u64,
    /// The same and all other replacements, by reason.
    replaced: BTreeMap<&'static str, u64>,
    reloads: u64,
    reloads_failed: u64,
    crash_loop: bool,
    totals: Totals,
    /// Those that probes are about.
    workers: Vec<Worker>,
    /// Successors that have not taken over yet, and workers that end what they run.
    others: Vec<Worker>,
    host: Host,
    webhooks: Webhooks,
    checks: Vec<Check<'a>>,
    server: &'a serde_json::Value,
}

#[derive(Serialize)]
struct Probes {
    startup: Outcome,
    readiness: Outcome,
    liveness: Outcome,
}

#[derive(Serialize)]
struct Outcome {
    status: u16,
    body: String,
}

impl Outcome {
    fn of(verdict: &Verdict) -> Self {
        Self { status: verdict.status(), body: verdict.body().into_owned() }
    }
}

#[derive(Default, Serialize)]
struct Responses {
    #[serde(rename = "1xx")]
    informational: u64,
    #[serde(rename = "2xx")]
    successful: u64,
    #[serde(rename = "3xx")]
    redirection: u64,
    #[serde(rename = "4xx")]
    client_error: u64,
    #[serde(rename = "5xx")]
    server_error: u64,
}

impl From<[u64; 5]> for Responses {
    fn from(classes: [u64; 5]) -> Self {
        let [informational, successful, redirection, client_error, server_error] = classes;
        Self { informational, successful, redirection, client_error, server_error }
    }
}

#[derive(Serialize)]
struct Totals {
    queued: u64,
    running: u64,
    connections: u64,
    capacity: u64,
    requests: u64,
    responses: Responses,
    refused: u64,
    shed: u64,
    /// Lines of the access log that were dropped.
    unlogged: u64,
}

impl Totals {
    fn over(slots: impl Iterator<Item = SlotReading>) -> Self {
        let (mut queued, mut running, mut connections, mut capacity) = (0, 0, 0, 0);
        let (mut requests, mut classes) = (0, [0; 5]);
        let (mut refused, mut shed, mut unlogged) = (0, 0, 0);
        for slot in slots {
            queued += u64::from(slot.queued);
            running += u64::from(slot.running);
            connections += u64::from(slot.connections);
            if slot.state != WorkerState::Vacant {
                capacity += u64::from(slot.capacity);
            }
            requests += slot.requests;
            refused += slot.refused;
            shed += slot.shed;
            unlogged += slot.unlogged;
            for (sum, count) in classes.iter_mut().zip(slot.responses) {
                *sum += count;
            }
        }
        let responses = classes.into();
        Self {
            queued,
            running,
            connections,
            capacity,
            requests,
            responses,
            refused,
            shed,
            unlogged,
        }
    }
}

/// Workers beside those that probes are about.
fn others(snapshot: &Snapshot, limits: &VerdictLimits, board: &Scoreboard) -> Vec<Worker> {
    let others = board.read_all().filter_map(|(slot, reading)| {
        let worker = board.worker_of(slot);
        let judged = worker < snapshot.workers.len() && board.current(worker) == slot;
        (!judged && reading.state != WorkerState::Vacant).then(|| {
            let role = board.role(slot, &reading);
            Worker::at(worker, role, &reading, snapshot.now, limits)
        })
    });
    others.collect()
}

#[derive(Serialize)]
struct Worker {
    index: usize,
    role: &'static str,
    state: &'static str,
    pid: Option<i32>,
    generation: u32,
    age_seconds: Option<f64>,
    /// Null before the first heartbeat.
    heartbeat_age_ms: Option<u64>,
    /// Whether the loop has been silent for longer than the limit.
    silent: bool,
    queued: u32,
    running: u32,
    connections: u32,
    /// Application threads; 0: the application bounds itself.
    capacity: u32,
    oldest_request_age_ms: Option<u64>,
    stuck_seconds: f64,
    interpreter_wait_seconds: f64,
    /// What keeps it from going on, as soon as something seems to.
    hindrance: Option<&'static str>,
    engine: &'static str,
    /// The CPU that the loop is pinned to.
    pin: Option<usize>,
    /// Null before it was weighed.
    memory_bytes: Option<u64>,
    requests: u64,
    responses: Responses,
    refused: u64,
    shed: u64,
    /// Lines of the access log that were dropped.
    unlogged: u64,
    /// Null where requests are served.
    broker: Option<Broker>,
}

/// A consumer's broker, and the messages that came from it.
#[derive(Serialize)]
struct Broker {
    state: &'static str,
    since_seconds: Option<f64>,
    /// Its address, and what is wrong.
    remark: String,
    /// How often consuming has begun.
    begun: u64,
    messages: Messages,
}

#[derive(Serialize)]
struct Messages {
    received: u64,
    #[serde(flatten)]
    settled: BTreeMap<&'static str, u64>,
    ended: u64,
    ended_seconds: f64,
    failed: u64,
}

impl Broker {
    fn at(reading: &ConsumptionReading, now: Monotonic) -> Self {
        Self {
            state: reading.broker.as_str(),
            since_seconds: since(now, reading.since).map(|since| since.as_secs_f64()),
            remark: reading.remark.clone(),
            begun: reading.begun,
            messages: Messages {
                received: reading.received,
                settled: Settled::ALL
                    .map(|how| (how.as_str(), reading.settled[how as usize]))
                    .into(),
                ended: reading.ended,
                ended_seconds: reading.ended_for.as_secs_f64(),
                failed: reading.failed,
            },
        }
    }
}

impl Worker {
    fn at(
        index: usize,
        role: Role,
        reading: &SlotReading,
        now: Monotonic,
        limits: &VerdictLimits,
    ) -> Self {
        let vacant = reading.state == WorkerState::Vacant;
        Self {
            index,
            role: role.as_str(),
            state: reading.state.as_str(),
            pid: Some(reading.pid).filter(|pid| *pid > 0 && !vacant),
            generation: reading.generation,
            age_seconds: since(now, reading.started).map(|age| age.as_secs_f64()),
            heartbeat_age_ms: since(now, reading.heartbeat).map(millis),
            silent: vacant || reading.silence(now) > limits.heartbeat_timeout,
            queued: reading.queued,
            running: reading.running,
            connections: reading.connections,
            capacity: reading.capacity,
            oldest_request_age_ms: since(now, reading.oldest).map(millis),
            stuck_seconds: reading.stuck_for(now).as_secs_f64(),
            interpreter_wait_seconds: reading.interpreter_wait_for(now).as_secs_f64(),
            hindrance: reading.hindrance.map(Hindrance::as_str),
            engine: reading.engine.as_str(),
            pin: reading.pin,
            memory_bytes: Some(reading.memory_bytes).filter(|bytes| *bytes > 0),
            requests: reading.requests,
            responses: reading.responses.into(),
            refused: reading.refused,
            shed: reading.shed,
            unlogged: reading.unlogged,
            broker: reading.consumption.as_ref().map(|reading| Broker::at(reading, now)),
        }
    }
}

/// What the cgroup says; null where it says nothing.
#[derive(Serialize)]
struct Host {
    memory_used_bytes: Option<u64>,
    memory_limit_bytes: Option<u64>,
    cpu_throttled_periods: Option<u64>,
    cpu_throttled_seconds: Option<f64>,
}

impl Host {
    fn of(reading: &HostReading) -> Self {
        Self {
            memory_used_bytes: reading.memory_used,
            memory_limit_bytes: reading.memory_max,
            cpu_throttled_periods: reading.throttling.map(|cpu| cpu.throttled_periods),
            cpu_throttled_seconds: reading.throttling.map(|cpu| cpu.time.as_secs_f64()),
        }
    }
}

#[derive(Serialize)]
struct Webhooks {
    delivered: u64,
    given_up: u64,
    waiting: u32,
    last: Option<LastWebhook>,
}

#[derive(Serialize)]
struct LastWebhook {
    #[serde(rename = "type")]
    kind: &'static str,
    status: &'static str,
    delivered: bool,
    /// The receiver's status code; null: it did not answer.
    answer: Option<u16>,
    age_seconds: f64,
}

impl Webhooks {
    fn at(reading: &WebhookReading, now: Monotonic) -> Self {
        let last = reading.last.map(|last| LastWebhook {
            kind: last.kind.as_str(),
            status: last.status.as_str(),
            delivered: last.is_delivered(),
            answer: last.answer,
            age_seconds: now.since(last.at).as_secs_f64(),
        });
        let WebhookReading { delivered, given_up, waiting, .. } = *reading;
        Self { delivered, given_up, waiting, last }
    }
}

#[derive(Serialize)]
struct Check<'a> {
    name: &'a str,
    purpose: &'static str,
    status: &'static str,
    message: &'a str,
    /// Null while pending.
    age_ms: Option<u64>,
    duration_ms: u64,
    stale_after_ms: u64,
}

impl<'a> Check<'a> {
    fn at(reading: &'a CheckReading, now: Monotonic) -> Self {
        Self {
            name: &reading.name,
            purpose: reading.purpose.as_str(),
            status: reading.status.as_str(),
            message: &reading.message,
            age_ms: since(now, reading.finished).map(millis),
            duration_ms: millis(reading.duration),
            stale_after_ms: millis(reading.stale_after),
        }
    }
}

/// Time between two moments that have both been.
fn since(later: Monotonic, earlier: Monotonic) -> Option<Duration> {
    (!later.is_never() && !earlier.is_never()).then(|| later.since(earlier))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Preparing => "preparing",
        Phase::Starting => "starting",
        Phase::Serving => "serving",
        Phase::Draining => "draining",
        Phase::Stopping => "stopping",
        Phase::Failed => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hurricane_scoreboard::{
        BrokerState, CheckStatus, Engine, Purpose, WebhookEnd, WebhookKind, WebhookStatus,
    };
    use serde_json::{Value, json};

    fn at(millis: u64) -> Monotonic {
        Monotonic::from_nanos(millis * 1_000_000)
    }

    fn render_at(board: &Scoreboard, now: Monotonic) -> Value {
        let limits = VerdictLimits::OF_TESTS;
        let snapshot = Snapshot::take(board, now);
        let json = render(&snapshot, &limits, &json!({"version": "1.2.3"}), board);
        serde_json::from_slice(&json).unwrap()
    }

    #[test]
    fn the_whole_picture_is_there() {
        let board = Scoreboard::new(2).unwrap();
        board.server().set_started(at(1_000));
        board.server().set_startup_finished(at(1_250));
        board.server().set_phase(Phase::Serving);
        board.server().set_workers_target(1);
        board.server().add_reload();
        let slot = board.slot(0).unwrap();
        slot.begin(at(1_000));
        slot.set_pid(77);
        slot.set_engine(Engine::IoUring);
        slot.set_pin(Some(0));
        slot.set_capacity(1);
        slot.set_state(WorkerState::Serving);
        slot.beat(at(9_980));
        slot.connection_opened();
        slot.request_queued();
        slot.request_began(at(9_000));
        slot.set_oldest(at(9_000));
        slot.answered(200);
        // A worker that was retired: its sums stay in the totals.
        board.slot(1).unwrap().begin(at(1_000));
        board.slot(1).unwrap().vacate();
        board.slot(1).unwrap().answered(503);
        board.slot(1).unwrap().shed(0);
        let check = board.check(0).unwrap();
        check.begin("db", Purpose::Readiness, Duration::from_secs(35));
        check.record(CheckStatus::Warned, "slow", at(9_500), Duration::from_millis(12));

        let status = render_at(&board, at(10_000));
        assert_eq!(status["phase"], "serving");
        assert_eq!(status["uptime_seconds"], 9.0);
        assert_eq!(status["startup_seconds"], 0.25);
        assert_eq!(status["probes"]["readiness"], json!({"status": 200, "body": ""}));
        assert_eq!((&status["restarts"], &status["reloads"]), (&json!(0), &json!(1)));
        assert_eq!(status["crash_loop"], false);
        assert_eq!(status["server"]["version"], "1.2.3");
        assert_eq!(status["totals"]["requests"], 2);
        assert_eq!(status["totals"]["shed"], 1);
        assert_eq!(status["totals"]["responses"]["5xx"], 1);
        assert_eq!(
            status["workers"],
            json!([{
                "index": 0, "role": "current", "state": "serving", "pid": 77, "generation": 1, "age_seconds": 9.0,
                "heartbeat_age_ms": 20, "silent": false, "queued": 1, "running": 1,
                "connections": 1, "capacity": 1, "oldest_request_age_ms": 1000,
                "stuck_seconds": 1.0, "interpreter_wait_seconds": 0.0, "hindrance": null, "engine": "io-uring",
                "pin": 0, "memory_bytes": null, "requests": 1,
                "responses": {"1xx": 0, "2xx": 1, "3xx": 0, "4xx": 0, "5xx": 0},
                "refused": 0, "shed": 0, "unlogged": 0, "broker": null,
            }])
        );
        assert_eq!(
            status["checks"],
            json!([{
                "name": "db", "purpose": "readiness", "status": "warned", "message": "slow",
                "age_ms": 500, "duration_ms": 12, "stale_after_ms": 35_000,
            }])
        );
    }

    #[test]
    fn successors_and_workers_that_leave_are_shown_beside_the_current_ones() {
        let board = Scoreboard::new(2).unwrap();
        board.server().set_workers_target(1);
        for (slot, pid) in [(0, 10), (1, 11), (2, 12)] {
            let slot = board.slot(slot).unwrap();
            slot.begin(at(1_000));
            slot.set_pid(pid);
            slot.beat(at(9_000));
            slot.set_state(WorkerState::Serving);
            slot.answered(200);
        }
        let seen = |status: &Value| {
            let others = status["others"].as_array().unwrap();
            let all = status["workers"].as_array().unwrap().iter().chain(others);
            let short = |it: &Value| {
                let pid = it["pid"].as_i64().unwrap();
                format!("{} {} {pid}", it["index"], it["role"].as_str().unwrap())
            };
            all.map(short).collect::<Vec<_>>()
        };
        // Worker 0 has a successor; worker 1 is one too many and has not been told yet.
        let status = render_at(&board, at(10_000));
        assert_eq!(seen(&status), ["0 current 10", "1 current 11", "0 successor 12"]);
        board.set_current(2);
        board.slot(0).unwrap().retire();
        board.slot(1).unwrap().retire();
        board.server().add_replaced(Replaced::Requests);
        let status = render_at(&board, at(10_000));
        assert_eq!(seen(&status), ["0 current 12", "0 leaving 10", "1 leaving 11"]);
        assert_eq!((&status["workers_target"], &status["workers_limit"]), (&json!(1), &json!(2)));
        assert_eq!(status["totals"]["requests"], 3, "sums are over all slots");
        assert_eq!(status["replaced"]["requests"], 1);
        assert_eq!(status["restarts"], 0);
    }

    #[test]
    fn a_consumer_shows_its_broker() {
        let board = Scoreboard::new(1).unwrap();
        board.server().set_workers_target(1);
        board.slot(0).unwrap().begin(at(1_000));
        let consumption = board.slot(0).unwrap().consumption();
        consumption.set_consumer();
        consumption.set_broker(BrokerState::Consuming, "broker:5672/", at(8_000));
        consumption.received();
        consumption.settled(Settled::Acked);
        consumption.ended(Duration::from_millis(1_500), false);
        assert_eq!(
            render_at(&board, at(10_000))["workers"][0]["broker"],
            json!({
                "state": "consuming", "since_seconds": 2.0, "remark": "broker:5672/", "begun": 1,
                "messages": {
                    "received": 1, "acked": 1, "rejected": 0, "requeued": 0,
                    "ended": 1, "ended_seconds": 1.5, "failed": 0,
                },
            })
        );
    }

    #[test]
    fn the_last_webhook_and_the_cgroup_are_shown() {
        let board = Scoreboard::new(1).unwrap();
        let status = render_at(&board, at(10_000));
        assert_eq!(status["webhooks"]["last"], Value::Null);
        assert_eq!(status["host"]["memory_limit_bytes"], Value::Null);
        board.control().webhook_ended(&WebhookEnd {
            kind: WebhookKind::Readiness,
            status: WebhookStatus::Failed,
            answer: Some(503),
            at: at(8_000),
        });
        let memory = HostReading { memory_max: Some(1 << 30), ..HostReading::default() };
        board.control().set_host(&memory);
        let status = render_at(&board, at(10_000));
        assert_eq!(
            status["webhooks"],
            json!({
                "delivered": 0, "given_up": 1, "waiting": 0,
                "last": {
                    "type": "readiness", "status": "failed", "delivered": false, "answer": 503,
                    "age_seconds": 2.0,
                },
            })
        );
        assert_eq!(status["host"]["memory_limit_bytes"], 1 << 30);
    }

    #[test]
    fn what_has_not_been_yet_is_null() {
        let board = Scoreboard::new(1).unwrap();
        board.server().set_workers_target(1);
        board.check(0).unwrap().begin("db", Purpose::Liveness, Duration::from_secs(1));
        let status = render_at(&board, at(10_000));
        assert_eq!(status["phase"], "starting");
        assert_eq!(status["waiting_for"], Value::Null);
        assert_eq!(status["startup_seconds"], Value::Null);
        assert_eq!(status["workers"][0]["state"], "vacant");
        for field in ["pid", "heartbeat_age_ms", "oldest_request_age_ms", "age_seconds", "pin"] {
            assert_eq!(status["workers"][0][field], Value::Null, "{field}");
        }
        assert_eq!(status["checks"][0]["age_ms"], Value::Null);
    }
}
