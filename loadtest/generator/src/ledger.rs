//! What was sent and answered, and when the next request is due.
//!
//! Latencies count from when a request was due. In an open loop that is its place in the schedule,
//! so a server that stops for a second is charged for every request that it kept from being sent
//! (coordinated omission). A closed loop has no schedule: there the histogram is corrected after
//! the run, as if each connection had meant to send once in the mean time between its requests.

use std::time::{Duration, Instant};

use anyhow::bail;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::plan::Plan;
use crate::response::Response;

/// A server that fails this often is broken, and its numbers mean nothing.
const ERRORS_MAX: u64 = 1_000;

/// How long responses are awaited after the last request was sent.
const GRACE: Duration = Duration::from_secs(5);

const LATENCY_MAX: Duration = Duration::from_secs(3600);

/// What a connection that has nothing to do is to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// Send requests that were due then.
    Send(Instant),
    /// Nothing before then.
    Wait(Instant),
    /// Nothing any more.
    Never,
}

pub(crate) struct Ledger {
    plan: &'static Plan,
    start: Instant,
    end: Instant,
    /// Requests that were sent, or are about to be.
    issued: u64,
    settled: u64,
    responses: u64,
    body_bytes: u64,
    errors: u64,
    first_error: Option<String>,
    /// Nanoseconds since a request was due.
    latencies: Histogram<u64>,
    /// Nanoseconds since it was sent.
    services: Histogram<u64>,
}

impl Ledger {
    pub(crate) fn open(plan: &'static Plan, start: Instant) -> anyhow::Result<Self> {
        let empty = Histogram::new_with_bounds(128, u64::try_from(LATENCY_MAX.as_nanos())?, 3)?;
        Ok(Self {
            plan,
            start,
            end: start + plan.duration,
            issued: 0,
            settled: 0,
            responses: 0,
            body_bytes: 0,
            errors: 0,
            first_error: None,
            latencies: empty.clone(),
            services: empty,
        })
    }

    /// Gives out the next batch of requests. Whoever gets it settles it, answered or failed.
    pub(crate) fn next(&mut self, now: Instant) -> Next {
        let batch = u64::from(self.plan.pipeline);
        if self.issued + batch > self.plan.requests_max {
            return Next::Never;
        }
        let due = match self.plan.interval {
            Some(interval) => self.start + interval.mul_f64(as_float(self.issued)),
            None => now,
        };
        if now >= self.end || due >= self.end {
            return Next::Never;
        }
        if due > now {
            return Next::Wait(due);
        }
        self.issued += batch;
        Next::Send(due)
    }

    pub(crate) fn answered(
        &mut self,
        response: &Response,
        due: Instant,
        sent: Instant,
        now: Instant,
    ) {
        self.settled += 1;
        if response.status != 200 {
            return self.note(format!("status {}", response.status));
        }
        self.responses += 1;
        self.body_bytes += response.body_bytes;
        self.latencies.saturating_record(nanos(now - due));
        self.services.saturating_record(nanos(now - sent));
    }

    /// Requests that will not be answered.
    pub(crate) fn failed(&mut self, requests: u32, cause: impl Into<String>) {
        self.settled += u64::from(requests);
        self.note(cause.into());
    }

    fn note(&mut self, cause: String) {
        self.errors += 1;
        self.first_error.get_or_insert(cause);
    }

    /// Fails when the server keeps failing.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.errors >= ERRORS_MAX {
            bail!("{} requests failed, the first with: {:?}", self.errors, self.first_error);
        }
        Ok(())
    }

    pub(crate) fn under_way(&self) -> u64 {
        self.issued - self.settled
    }

    /// Whether nothing more is sent.
    pub(crate) fn has_ended(&self, now: Instant) -> bool {
        now >= self.end
    }

    /// When even requests under way are given up.
    pub(crate) fn last_call(&self) -> Instant {
        self.end + GRACE
    }

    pub(crate) fn json(mut self, now: Instant) -> anyhow::Result<Value> {
        let under_way = self.under_way();
        if under_way > 0 {
            self.errors += under_way - 1;
            self.note(format!("{under_way} responses did not arrive"));
        }
        let unsent = self.charge_unsent();
        let elapsed = now - self.start;
        if self.plan.interval.is_none() && self.responses > 0 {
            let at_once = self.plan.connections as u64 * u64::from(self.plan.pipeline);
            let turn = elapsed.mul_f64(as_float(at_once) / as_float(self.responses));
            self.latencies = self.services.clone_correct(nanos(turn));
        }
        Ok(json!({
            "requests": self.responses,
            "errors": self.errors,
            "first_error": self.first_error,
            "unsent": unsent,
            "body_bytes": self.body_bytes,
            "seconds": elapsed.as_secs_f64(),
            "latency_us": quantiles(&self.latencies),
            "service_us": quantiles(&self.services),
        }))
    }

    /// Requests that were due and for which no connection was free until the end have waited at
    /// least until then.
    fn charge_unsent(&mut self) -> u64 {
        let mut unsent = 0;
        while let (Some(interval), true) =
            (self.plan.interval, self.issued < self.plan.requests_max)
        {
            let due = self.start + interval.mul_f64(as_float(self.issued));
            if due >= self.end {
                break;
            }
            self.issued += 1;
            unsent += 1;
            self.latencies.saturating_record(nanos(self.end - due));
        }
        unsent
    }
}

fn quantiles(histogram: &Histogram<u64>) -> Value {
    let micros = |nanos: u64| Duration::from_nanos(nanos).as_secs_f64() * 1e6;
    let at = |share| micros(histogram.value_at_quantile(share));
    json!({
        "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999),
        "max": micros(histogram.max()),
    })
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "counts of a load test are far below 2^52")]
fn as_float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Slow;

    const MS: Duration = Duration::from_millis(1);

    /// One connection, ten seconds.
    fn plan(rate: Option<f64>) -> &'static Plan {
        Box::leak(Box::new(Plan {
            address: ([127, 0, 0, 1], 1).into(),
            request: Vec::new(),
            batch: Vec::new(),
            connections: 1,
            pipeline: 1,
            churn: false,
            interval: rate.map(|rate| Duration::from_secs_f64(1.0 / rate)),
            duration: Duration::from_secs(10),
            requests_max: u64::MAX,
            read_rate: None,
            slow: Slow { clients: 0, duration: MS },
        }))
    }

    fn answer() -> Response {
        Response { status: 200, body_bytes: 5, closes: false }
    }

    /// One request after the other, each answered as late as is said.
    fn closed_loop(services: impl IntoIterator<Item = Duration>) -> Value {
        let mut now = Instant::now();
        let mut ledger = Ledger::open(plan(None), now).unwrap();
        for service in services {
            let Next::Send(due) = ledger.next(now) else { break };
            now += service;
            ledger.answered(&answer(), due, due, now);
        }
        ledger.json(now).unwrap()
    }

    fn micros(outcome: &Value, histogram: &str, quantile: &str) -> f64 {
        outcome[histogram][quantile].as_f64().unwrap()
    }

    #[track_caller]
    fn assert_near(value: f64, expected: f64) {
        assert!((value - expected).abs() <= expected * 0.01, "{value} is not near {expected}");
    }

    #[test]
    fn an_open_loop_sends_when_requests_are_due() {
        let start = Instant::now();
        let mut ledger = Ledger::open(plan(Some(100.0)), start).unwrap();
        assert_eq!(ledger.next(start), Next::Send(start));
        assert_eq!(ledger.next(start), Next::Wait(start + 10 * MS));
        assert_eq!(ledger.next(start + 35 * MS), Next::Send(start + 10 * MS));
        assert_eq!(ledger.next(start + 35 * MS), Next::Send(start + 20 * MS));
        assert_eq!(ledger.next(start + Duration::from_secs(10)), Next::Never);
    }

    #[test]
    fn an_open_loop_counts_from_when_a_request_was_due() {
        let start = Instant::now();
        let mut ledger = Ledger::open(plan(Some(100.0)), start).unwrap();
        for _ in 0..2 {
            let Next::Send(due) = ledger.next(start + 40 * MS) else { panic!("nothing is due") };
            ledger.answered(&answer(), due, start + 40 * MS, start + 50 * MS);
        }
        let outcome = ledger.json(start + Duration::from_secs(10)).unwrap();
        assert_near(micros(&outcome, "service_us", "max"), 10_000.0);
        // The first of those that could not be sent until the end was due 20 ms after the start.
        assert_near(micros(&outcome, "latency_us", "max"), 9_980_000.0);
        assert_eq!(outcome["unsent"], 998);
    }

    #[test]
    fn a_closed_loop_is_charged_for_the_requests_that_a_pause_kept_back() {
        let quick = std::iter::repeat_n(MS, 900);
        let outcome = closed_loop(quick.chain([100 * MS]));
        assert_eq!(outcome["requests"], 901);
        // One in 901 was slow, as measured; but for 100 of 1,000 ms nobody was answered.
        assert_near(micros(&outcome, "service_us", "p99"), 1_000.0);
        assert!(micros(&outcome, "latency_us", "p99") > 80_000.0, "{outcome}");
        assert!(micros(&outcome, "latency_us", "p50") < 1_100.0, "{outcome}");
    }

    #[test]
    fn an_even_closed_loop_needs_no_correction() {
        let outcome = closed_loop(std::iter::repeat_n(MS, 1_000));
        assert_near(micros(&outcome, "latency_us", "p999"), 1_000.0);
        assert_near(micros(&outcome, "latency_us", "max"), 1_000.0);
    }

    #[test]
    fn what_does_not_arrive_is_an_error() {
        let start = Instant::now();
        let mut ledger = Ledger::open(plan(None), start).unwrap();
        for _ in 0..3 {
            ledger.next(start);
        }
        ledger.failed(1, "closed by the server");
        let outcome = ledger.json(start + MS).unwrap();
        assert_eq!((&outcome["errors"], &outcome["requests"]), (&json!(3), &json!(0)));
        assert_eq!(outcome["first_error"], "closed by the server");
    }

    #[test]
    fn no_more_is_sent_than_was_asked_for() {
        let start = Instant::now();
        let mut ledger = Ledger::open(plan(None), start).unwrap();
        ledger.plan = Box::leak(Box::new(Plan { requests_max: 2, ..take(plan(None)) }));
        assert_eq!(ledger.next(start), Next::Send(start));
        assert_eq!(ledger.next(start), Next::Send(start));
        assert_eq!(ledger.next(start), Next::Never);
    }

    fn take(plan: &Plan) -> Plan {
        Plan {
            request: Vec::new(),
            batch: Vec::new(),
            slow: Slow { clients: 0, duration: MS },
            ..*plan
        }
    }
}
