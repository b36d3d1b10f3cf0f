//! The server's own metrics for Prometheus, read from the scoreboard when they are asked for.
//!
//! Written as OpenMetrics by `prometheus-client`; for scrapers that do not ask for that, the same
//! lines become text of version 0.0.4, which differs in how comments name a counter.
//!
//! Invariants:
//! - No label has values from outside: the number of lines depends on this file alone.
//! - Nothing is waited for and no file is read: what the cgroup says was read by `host`.

mod messages;

use std::fmt::{self, Write};

use hurricane_http::{Head, Refusal, Response};
use hurricane_scoreboard::{
    HostReading, Monotonic, REFUSALS_MAX, Replaced, Role, Scoreboard, SlotReading, WebhookReading,
    WorkerState,
};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, EncodeMetric,
};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Registry, Unit};
use serde_json::Value;

use crate::verdict::{self, Snapshot, VerdictLimits};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
pub(crate) const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// A label's text from the configuration is cut to this.
const LABEL_CHARS_MAX: usize = 200;

/// The response to a scrape.
pub(crate) fn respond(
    head: &Head,
    snapshot: &Snapshot,
    limits: &VerdictLimits,
    server: &Value,
    board: &Scoreboard,
) -> Response {
    let is_open = wants_open_metrics(head.header("accept").unwrap_or_default());
    let text = open_metrics(snapshot, limits, server, board);
    let (text, media_type) = if is_open { (text, OPEN_METRICS) } else { (as_text(&text), TEXT) };
    let mut response = Response::text(text);
    response.headers.clear();
    response.with_header("Content-Type", media_type)
}

/// The same in text of version 0.0.4.
pub(crate) fn text(
    snapshot: &Snapshot,
    limits: &VerdictLimits,
    server: &Value,
    board: &Scoreboard,
) -> String {
    as_text(&open_metrics(snapshot, limits, server, board))
}

fn open_metrics(
    snapshot: &Snapshot,
    limits: &VerdictLimits,
    server: &Value,
    board: &Scoreboard,
) -> String {
    let mut text = String::with_capacity(24 * 1024);
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape::take(snapshot, limits, server, board)));
    // Writing into memory cannot fail.
    let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
    text
}

/// Whether a scraper prefers OpenMetrics to text.
fn wants_open_metrics(accept: &[u8]) -> bool {
    let accept = String::from_utf8_lossy(accept).to_ascii_lowercase();
    let best = |media_type: &str| {
        accept
            .split(',')
            .filter_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                (parts.next()? == media_type).then(|| {
                    let quality = parts.find_map(|part| part.strip_prefix("q="));
                    quality.and_then(|quality| quality.parse().ok()).unwrap_or(1.0)
                })
            })
            .fold(0.0, f32::max)
    };
    let open = best("application/openmetrics-text");
    open > 0.0 && open >= best("text/plain")
}

/// OpenMetrics as text 0.0.4: comments name a counter with its suffix, and there is neither a unit
/// nor an end.
fn as_text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = "";
    for line in open_metrics.lines() {
        if line.starts_with("# HELP ") {
            help = line.strip_prefix("# HELP ").unwrap_or_default();
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let suffix = if kind == "counter" { "_total" } else { "" };
            let about = help.strip_prefix(name).unwrap_or_default();
            let _ = write!(text, "# HELP {name}{suffix}{about}\n# TYPE {name}{suffix} {kind}\n");
        } else if !line.starts_with("# UNIT ") && line != "# EOF" {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// What a scrape tells.
#[derive(Debug)]
struct Scrape {
    now: Monotonic,
    uptime_seconds: f64,
    workers_target: usize,
    workers_max: usize,
    crash_loop: bool,
    /// Those that are judged.
    workers: Vec<SlotReading>,
    /// Every slot that has ever had a worker.
    slots: Vec<(Role, SlotReading)>,
    replaced: [u64; Replaced::ALL.len()],
    refusals: [u64; REFUSALS_MAX],
    /// By name: whether the probe succeeds.
    probes: [(&'static str, bool); 3],
    worker_memory_max: u64,
    webhooks: WebhookReading,
    host: HostReading,
    build: [(&'static str, String); 2],
    engine: [(&'static str, String); 2],
}

impl Scrape {
    fn take(
        snapshot: &Snapshot,
        limits: &VerdictLimits,
        server: &Value,
        board: &Scoreboard,
    ) -> Self {
        let text = |field: &str| {
            let text = server[field].as_str().unwrap_or_default();
            text.chars().take(LABEL_CHARS_MAX).collect::<String>()
        };
        Self {
            now: snapshot.now,
            uptime_seconds: snapshot.uptime().as_secs_f64(),
            workers_target: snapshot.workers.len(),
            workers_max: board.workers(),
            crash_loop: snapshot.crash_loop,
            workers: snapshot.workers.clone(),
            slots: board.read_all().map(|(i, slot)| (board.role(i, &slot), slot)).collect(),
            refusals: board.read_refusals(),
            replaced: Replaced::ALL.map(|reason| board.server().replaced(reason)),
            probes: [
                ("startup", verdict::startup(snapshot).passes()),
                ("readiness", verdict::readiness(snapshot, limits).passes()),
                ("liveness", verdict::liveness(snapshot, limits).passes()),
            ],
            worker_memory_max: board.server().worker_memory_max(),
            webhooks: board.control().webhooks(),
            host: board.control().host(),
            build: [("version", text("version")), ("application", text("application_version"))],
            engine: [("engine", text("engine")), ("reason", text("engine_reason"))],
        }
    }

    fn sum(&self, of: impl Fn(&SlotReading) -> u64) -> u64 {
        self.slots.iter().map(|(_, slot)| of(slot)).sum()
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = Families(encoder);
        self.server(&mut families)?;
        self.workers(&mut families)?;
        self.memory(&mut families)?;
        self.requests(&mut families)?;
        self.messages(&mut families)?;
        self.host(&mut families)?;
        self.webhooks(&mut families)
    }
}

impl Scrape {
    fn server(&self, families: &mut Families<'_>) -> fmt::Result {
        families.gauges(
            "hurricane_build_info",
            "Version of the server, and of the application where it is set.",
            [(&self.build[..], 1_u32)],
        )?;
        families.gauges(
            "hurricane_engine_info",
            "How the workers talk to the kernel, and why.",
            [(&self.engine[..], 1_u32)],
        )?;
        families.gauge(
            "hurricane_uptime",
            "Time since the server began to start.",
            Some(Unit::Seconds),
            self.uptime_seconds,
        )?;
        families.gauges(
            "hurricane_probe_success",
            "Whether the probe succeeds now.",
            self.probes.map(|(probe, passes)| ([("probe", probe)], u32::from(passes))),
        )
    }

    fn workers(&self, families: &mut Families<'_>) -> fmt::Result {
        let count = |role: Role, state: WorkerState| {
            let is_it = |(of, slot): &&(Role, SlotReading)| *of == role && slot.state == state;
            self.slots.iter().filter(is_it).count()
        };
        families.gauge(
            "hurricane_workers_target",
            "How many workers there should be.",
            None,
            self.workers_target,
        )?;
        families.gauge(
            "hurricane_workers_limit",
            "How many workers there may be while the server runs.",
            None,
            self.workers_max,
        )?;
        let roles = [Role::Current, Role::Successor, Role::Leaving];
        let states = [
            WorkerState::Starting,
            WorkerState::Serving,
            WorkerState::Draining,
            WorkerState::Stopping,
        ];
        families.gauges(
            "hurricane_workers",
            "Workers by state and role; successors start beside those that they replace.",
            roles.into_iter().flat_map(|role| {
                states.map(|state| {
                    let labels = [("state", state.as_str()), ("role", role.as_str())];
                    (labels, count(role, state))
                })
            }),
        )?;
        families.counters(
            "hurricane_worker_restarts",
            "Workers that were replaced, by reason.",
            Replaced::ALL
                .into_iter()
                .zip(self.replaced)
                .map(|(reason, count)| ([("reason", reason.as_str())], count)),
        )?;
        families.gauge(
            "hurricane_worker_crash_loop",
            "Whether workers die as fast as they are replaced.",
            None,
            u32::from(self.crash_loop),
        )?;
        let silences = self.workers.iter().map(|worker| worker.silence(self.now).as_secs_f64());
        families.gauge(
            "hurricane_worker_heartbeat_age",
            "Time since the heartbeat of the worker whose loop has been silent for longest.",
            Some(Unit::Seconds),
            silences.fold(0.0, f64::max),
        )
    }

    fn memory(&self, families: &mut Families<'_>) -> fmt::Result {
        let largest = self.slots.iter().map(|(_, slot)| slot.memory_bytes).max().unwrap_or(0);
        if self.worker_memory_max > 0 {
            families.gauge(
                "hurricane_worker_memory_max",
                "Memory of the largest worker.",
                Some(Unit::Bytes),
                largest,
            )?;
            families.gauge(
                "hurricane_worker_memory_limit",
                "Memory above which a worker is replaced.",
                Some(Unit::Bytes),
                self.worker_memory_max,
            )?;
        }
        Ok(())
    }

    fn requests(&self, families: &mut Families<'_>) -> fmt::Result {
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        families.counters(
            "hurricane_requests",
            "Requests that were answered, by class of status code; probes are not among them.",
            classes
                .into_iter()
                .enumerate()
                .map(|(index, class)| ([("class", class)], self.sum(|slot| slot.responses[index]))),
        )?;
        families.counter(
            "hurricane_requests_refused",
            "Requests that were refused before the application saw them.",
            None,
            self.sum(|slot| slot.refused),
        )?;
        families.counter(
            "hurricane_requests_shed",
            "Requests and connections that were answered 503 because a limit was reached.",
            None,
            self.sum(|slot| slot.shed),
        )?;
        families.counters(
            "hurricane_http_refused_requests",
            "What was refused, shed or cut, by rule.",
            Refusal::all().zip(self.refusals).map(|(why, count)| ([("rule", why.name())], count)),
        )?;
        families.counter(
            "hurricane_access_log_dropped",
            "Lines of the access log that were dropped because nobody took them in time.",
            None,
            self.sum(|slot| slot.unlogged),
        )?;
        let (queued, running) =
            (self.sum(|slot| slot.queued.into()), self.sum(|slot| slot.running.into()));
        families.gauge(
            "hurricane_requests_in_flight",
            "Requests that wait or run.",
            None,
            queued + running,
        )?;
        families.gauge("hurricane_queue_length", "Requests that wait.", None, queued)?;
        let threads = self.sum(|slot| match slot.state {
            WorkerState::Vacant => 0,
            _ => slot.capacity.into(),
        });
        families.gauge("hurricane_worker_threads", "Application threads.", None, threads)?;
        if threads > 0 {
            families.gauge(
                "hurricane_worker_busy_ratio",
                "Application threads that run a request, of all.",
                None,
                (running.min(threads) as f64) / (threads as f64),
            )?;
        }
        families.gauge(
            "hurricane_connections",
            "Open connections.",
            None,
            self.sum(|slot| slot.connections.into()),
        )
    }

    fn host(&self, families: &mut Families<'_>) -> fmt::Result {
        if let Some(throttling) = self.host.throttling {
            families.counter(
                "hurricane_cpu_periods",
                "Periods in which the cgroup wanted to run under a CPU quota.",
                None,
                throttling.periods,
            )?;
            families.counter(
                "hurricane_cpu_throttled_periods",
                "Those periods in which the CPU quota was used up.",
                None,
                throttling.throttled_periods,
            )?;
            families.counter(
                "hurricane_cpu_throttled",
                "Time for which a CPU quota has held the cgroup back.",
                Some(Unit::Seconds),
                throttling.time.as_secs_f64(),
            )?;
        }
        if let Some(bytes) = self.host.memory_used {
            families.gauge(
                "hurricane_memory_used",
                "Memory of the cgroup as the kernel counts it, with its page cache.",
                Some(Unit::Bytes),
                bytes,
            )?;
        }
        if let Some(bytes) = self.host.memory_max {
            families.gauge(
                "hurricane_memory_limit",
                "The tightest memory limit of the cgroup and its ancestors.",
                Some(Unit::Bytes),
                bytes,
            )?;
        }
        Ok(())
    }

    fn webhooks(&self, families: &mut Families<'_>) -> fmt::Result {
        let WebhookReading { delivered, given_up, waiting, .. } = self.webhooks;
        families.counters(
            "hurricane_webhooks",
            "Webhooks by how they ended.",
            [([("result", "delivered")], delivered), ([("result", "given_up")], given_up)],
        )?;
        families.gauge("hurricane_webhooks_waiting", "Webhooks still to be sent.", None, waiting)
    }
}

/// Writes families.
struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    fn gauge<N: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        value: N,
    ) -> fmt::Result {
        self.single((name, help, unit), &ConstGauge::new(value))
    }

    fn counter<N: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        value: N,
    ) -> fmt::Result {
        self.single((name, help, unit), &ConstCounter::new(value))
    }

    fn single(
        &mut self,
        (name, help, unit): (&str, &str, Option<Unit>),
        metric: &impl EncodeMetric,
    ) -> fmt::Result {
        let kind = metric.metric_type();
        metric.encode(self.0.encode_descriptor(name, help, unit.as_ref(), kind)?)
    }

    fn gauges<L: EncodeLabelSet, N: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, N)>,
    ) -> fmt::Result {
        let samples = samples.into_iter().map(|(labels, value)| (labels, ConstGauge::new(value)));
        self.family((name, help), ConstGauge::<N>::TYPE, samples)
    }

    fn counters<L: EncodeLabelSet, N: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, N)>,
    ) -> fmt::Result {
        let samples = samples.into_iter().map(|(labels, value)| (labels, ConstCounter::new(value)));
        self.family((name, help), ConstCounter::<N>::TYPE, samples)
    }

    fn family<L: EncodeLabelSet>(
        &mut self,
        (name, help): (&str, &str),
        kind: MetricType,
        samples: impl Iterator<Item = (L, impl EncodeMetric)>,
    ) -> fmt::Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, metric) in samples {
            metric.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hurricane_http::{Limits, ResponseBody};
    use hurricane_scoreboard::{BrokerState, Phase, Settled, ThrottlingReading};
    use serde_json::json;
    use std::time::{Duration, Instant};

    const LIMITS: VerdictLimits = VerdictLimits::OF_TESTS;

    fn at(millis: u64) -> Monotonic {
        Monotonic::from_nanos(millis * 1_000_000)
    }

    fn serving(workers: usize) -> Scoreboard {
        let board = Scoreboard::new(workers).unwrap();
        board.server().set_started(at(1_000));
        board.server().set_startup_finished(at(1_500));
        board.server().set_phase(Phase::Serving);
        board.server().set_workers_target(workers);
        for worker in 0..workers {
            let slot = board.slot(worker).unwrap();
            slot.begin(at(1_000));
            slot.set_capacity(4);
            slot.beat(at(9_500));
            slot.set_state(WorkerState::Serving);
        }
        board
    }

    fn scrape(board: &Scoreboard, accept: &str) -> (String, String) {
        let request =
            format!("GET /metrics/server HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\r\n");
        let (head, _) = Head::parse(request.as_bytes(), &Limits::default()).unwrap().unwrap();
        let snapshot = Snapshot::take(board, at(10_000));
        let server =
            json!({"version": "1.2.3", "engine": "epoll", "engine_reason": "a \"profile\""});
        let response = respond(&head, &snapshot, &LIMITS, &server, board);
        let ResponseBody::Full(body) = response.body else { panic!("no body") };
        let (_, media_type) = &response.headers[0];
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (text(media_type), text(&body))
    }

    fn assert_lines(text: &str, expected: &[&str]) {
        for line in expected {
            assert!(text.lines().any(|found| found == *line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn messages_are_told_of_a_consumer_only() {
        let board = serving(1);
        assert!(!scrape(&board, "").1.contains("messages"));
        let consumption = board.slot(0).unwrap().consumption();
        consumption.set_consumer();
        consumption.set_broker(BrokerState::Consuming, "", at(2_000));
        consumption.received();
        consumption.settled(Settled::Requeued);
        consumption.ended(Duration::from_millis(250), true);
        let text = scrape(&board, "").1;
        for line in [
            "hurricane_consumers_consuming 1",
            "hurricane_consumer_connections_total 1",
            "hurricane_messages_received_total 1",
            "hurricane_messages_settled_total{how=\"acked\"} 0",
            "hurricane_messages_settled_total{how=\"requeued\"} 1",
            "hurricane_messages_failed_total 1",
            "hurricane_messages_ended_total 1",
            "hurricane_messages_run_seconds_total 0.25",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }

    #[test]
    fn both_slots_of_a_worker_count() {
        let board = serving(2);
        let (first, second) = (board.slot(0).unwrap(), board.slot(2).unwrap());
        first.answered(200);
        first.answered(503);
        first.shed(Refusal::QUEUE_FULL.index());
        first.refused(Refusal::SLOW_HEAD.index());
        first.connection_opened();
        first.request_began(at(9_000));
        first.retire();
        second.begin(at(9_000));
        second.set_capacity(4);
        second.beat(at(9_900));
        second.set_state(WorkerState::Serving);
        second.answered(204);
        board.set_current(2);
        board.server().add_replaced(Replaced::Memory);
        let (media_type, text) = scrape(&board, "*/*");
        assert_eq!(media_type, TEXT);
        assert_lines(
            &text,
            &[
                "hurricane_build_info{version=\"1.2.3\",application=\"\"} 1",
                "hurricane_engine_info{engine=\"epoll\",reason=\"a \\\"profile\\\"\"} 1",
                "hurricane_uptime_seconds 9.0",
                "hurricane_probe_success{probe=\"readiness\"} 1",
                "hurricane_workers_target 2",
                "hurricane_workers{state=\"serving\",role=\"current\"} 2",
                "hurricane_workers{state=\"serving\",role=\"leaving\"} 1",
                "hurricane_worker_restarts_total{reason=\"memory\"} 1",
                "hurricane_worker_heartbeat_age_seconds 0.5",
                "hurricane_requests_total{class=\"2xx\"} 2",
                "hurricane_requests_total{class=\"5xx\"} 1",
                "hurricane_requests_shed_total 1",
                "hurricane_http_refused_requests_total{rule=\"queue_full\"} 1",
                "hurricane_http_refused_requests_total{rule=\"slow_head\"} 1",
                "hurricane_http_refused_requests_total{rule=\"bare_line_feed\"} 0",
                "hurricane_requests_in_flight 1",
                "hurricane_worker_threads 12",
                "hurricane_connections 1",
            ],
        );
        assert!(!text.contains("hurricane_memory"), "nothing is known of the host");
    }

    #[test]
    fn comments_name_counters_as_each_format_wants() {
        let board = serving(1);
        board.control().set_host(&HostReading {
            throttling: Some(ThrottlingReading {
                periods: 10,
                throttled_periods: 3,
                time: Duration::from_millis(1_500),
            }),
            memory_used: Some(1 << 20),
            memory_max: Some(1 << 30),
        });
        let (_, text) = scrape(&board, "text/plain");
        assert_lines(
            &text,
            &[
                "# TYPE hurricane_requests_total counter",
                "# TYPE hurricane_cpu_throttled_seconds_total counter",
                "hurricane_cpu_throttled_seconds_total 1.5",
                "hurricane_cpu_throttled_periods_total 3",
                "# HELP hurricane_memory_used_bytes Memory of the cgroup as the kernel counts \
                 it, with its page cache.",
                "hurricane_memory_limit_bytes 1073741824",
            ],
        );
        assert!(!text.contains("# EOF") && !text.contains("# UNIT"), "{text}");
        let asked = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3,*/*;q=0.1";
        let (media_type, text) = scrape(&board, asked);
        assert_eq!(media_type, OPEN_METRICS);
        assert!(text.ends_with("# EOF\n"));
        assert_lines(
            &text,
            &[
                "# TYPE hurricane_requests counter",
                "# UNIT hurricane_cpu_throttled_seconds seconds",
                "hurricane_cpu_throttled_seconds_total 1.5",
            ],
        );
    }

    #[test]
    fn a_scraper_gets_what_it_prefers() {
        for (accept, expected) in [
            ("", false),
            ("*/*", false),
            ("text/plain; version=0.0.4", false),
            ("application/openmetrics-text", true),
            ("Application/OpenMetrics-Text; version=1.0.0, text/plain;q=0.5", true),
            ("application/openmetrics-text;q=0.2, text/plain;q=0.5", false),
            ("application/openmetrics-text;q=0", false),
        ] {
            assert_eq!(wants_open_metrics(accept.as_bytes()), expected, "{accept}");
        }
    }

    #[test]
    fn every_family_has_help_and_type_and_names_its_unit() {
        let (_, text) = scrape(&serving(1), "");
        let mut families = 0;
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let (name, kind) = line.split_once(' ').unwrap();
            assert!(text.contains(&format!("# HELP {name} ")), "{name}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            families += 1;
        }
        assert!(families >= 18, "{families}");
    }

    #[test]
    fn every_refusal_has_a_counter() {
        assert!(Refusal::all().count() <= REFUSALS_MAX);
    }

    #[test]
    fn a_scrape_of_many_workers_takes_little_time_and_room() {
        let board = serving(64);
        let (_, few) = scrape(&serving(1), "");
        // The best of some: a shared machine may take the CPU away at any time.
        let best = (0..50)
            .map(|_| {
                let began = Instant::now();
                let (_, text) = scrape(&board, "");
                assert!(text.len() < few.len() + 200, "lines do not grow with workers");
                began.elapsed()
            })
            .min();
        assert!(best < Some(Duration::from_millis(5)), "{best:?}");
    }
}
