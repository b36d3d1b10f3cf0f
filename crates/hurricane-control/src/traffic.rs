//! The metrics of requests as Django-Hurricane 1.6.2 names them: text of version 0.0.4.
//!
//! Dashboards and autoscalers are built on these names, types, labels and buckets, so they are
//! written here as they were and not as one would choose them today.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hurricane_scoreboard::{
    Monotonic, PathId, SIZE_BOUNDS, Scoreboard, TIME_BOUNDS_NS, TrafficReading,
};

use crate::manners::Manners;
use crate::verdict::queue::queue_len;

/// Bounds of the sizes' buckets where they are the defaults, which are made for seconds: each with
/// the number of our own buckets that lie below it.
const SIZES_AS_SECONDS: [(&str, usize); 15] = [
    ("0.005", 1),
    ("0.01", 1),
    ("0.025", 1),
    ("0.05", 1),
    ("0.075", 1),
    ("0.1", 1),
    ("0.25", 1),
    ("0.5", 1),
    ("0.75", 1),
    ("1.0", 2),
    ("2.5", 3),
    ("5.0", 4),
    ("7.5", 5),
    ("10.0", 6),
    ("+Inf", SIZE_BOUNDS.len() + 1),
];

/// What the page says of the server and no request changes.
#[derive(Clone, Debug)]
pub struct TrafficInfo {
    /// Labels of `hurricane_info` besides the time of the start, which is known later.
    pub labels: Vec<(String, String)>,
    /// Whether sizes have buckets for bytes.
    pub byte_buckets: bool,
    /// How the queue is counted.
    pub manners: &'static Manners,
}

impl Default for TrafficInfo {
    fn default() -> Self {
        Self { labels: Vec::new(), byte_buckets: false, manners: &Manners::OURS }
    }
}

/// Every family.
pub(crate) fn render(board: &Scoreboard, info: &TrafficInfo) -> String {
    let (sums, mut page) = (board.read_traffic(), Page(String::with_capacity(8 * 1024)));
    let slots = || board.read_all().map(|(_, slot)| slot);
    let created = started_at(board);
    let requests: u64 = slots().map(|slot| slot.requests).sum();
    let help = "Defines request counter metric with corresponding metric code.";
    page.family("request_counter_total", "counter", help);
    page.sample("request_counter_total", "", requests as f64);
    page.created("request_counter", help, created);
    page.family(
        "response_time_average",
        "gauge",
        "Defines response time average metric with corresponding metric code.",
    );
    let average = sums.time.as_secs_f64() * 1000.0 / sums.answers().max(1) as f64;
    page.sample("response_time_average", "", average);
    page.family(
        "request_queue_length",
        "gauge",
        "Defines request queue length metric with corresponding metric code.",
    );
    let slots: Vec<_> = slots().collect();
    page.sample("request_queue_length", "", queue_len(slots.iter(), info.manners) as f64);
    page.times(&sums, created);
    page.sizes(&sums, info.byte_buckets, created);
    page.paths(&sums, board, created);
    page.info(board, info);
    page.0
}

/// When the server began to start, since 1970.
fn started_at(board: &Scoreboard) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Monotonic::now().since(board.server().started()))
}

struct Page(String);

#[expect(clippy::cast_precision_loss, reason = "Prometheus has nothing but doubles")]
impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing into memory cannot fail, here and below.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// `labels` with its braces, or empty.
    fn sample(&mut self, name: &str, labels: &str, value: f64) {
        let _ = writeln!(self.0, "{name}{labels} {value:?}");
    }

    fn created(&mut self, name: &str, help: &str, created: Duration) {
        let name = format!("{name}_created");
        self.family(&name, "gauge", help);
        self.sample(&name, "", created.as_secs_f64());
    }

    /// `buckets`: upper bounds, and how many are below or at each.
    fn histogram(
        &mut self,
        (name, help): (&str, &str),
        buckets: impl Iterator<Item = (String, u64)>,
        sum: f64,
        created: Duration,
    ) {
        self.family(name, "histogram", help);
        let mut count = 0;
        for (bound, below) in buckets {
            count = below;
            self.sample(&format!("{name}_bucket"), &format!("{{le=\"{bound}\"}}"), below as f64);
        }
        self.sample(&format!("{name}_count"), "", count as f64);
        self.sample(&format!("{name}_sum"), "", sum);
        self.created(name, help, created);
    }

    fn times(&mut self, sums: &TrafficReading, created: Duration) {
        let bounds = TIME_BOUNDS_NS.iter().map(|nanos| format!("{:?}", *nanos as f64 / 1e9));
        let name = ("response_time_seconds", "The time to generate a response in seconds.");
        let buckets = bounds.chain(["+Inf".to_owned()]).zip(accumulated(&sums.times));
        self.histogram(name, buckets, sums.time.as_secs_f64(), created);
    }

    fn sizes(&mut self, sums: &TrafficReading, byte_buckets: bool, created: Duration) {
        let below: Vec<u64> = accumulated(&sums.sizes).collect();
        let of = |buckets: usize| below[buckets - 1];
        let name = ("response_size_bytes", "The response size in bytes.");
        let sum = sums.size_bytes as f64;
        if byte_buckets {
            // Those below are for the other bounds.
            let bounds = SIZE_BOUNDS.iter().enumerate().filter(|(_, bytes)| **bytes >= 256);
            let bounds = bounds.map(|(index, bytes)| (format!("{:?}", *bytes as f64), index + 1));
            let all = ("+Inf".to_owned(), SIZE_BOUNDS.len() + 1);
            let buckets = bounds.chain([all]).map(|(bound, buckets)| (bound, of(buckets)));
            self.histogram(name, buckets, sum, created);
        } else {
            let bounds = SIZES_AS_SECONDS.into_iter();
            let buckets = bounds.map(|(bound, buckets)| (bound.to_owned(), of(buckets)));
            self.histogram(name, buckets, sum, created);
        }
    }

    fn paths(&mut self, sums: &TrafficReading, board: &Scoreboard, started: Duration) {
        let other = ("<other>".to_owned(), "<other>".to_owned(), PathId::OTHER, started);
        let named = board.paths().read().into_iter();
        let named = named.map(|name| (name.method, name.path, name.id, name.created));
        let counted: Vec<_> = named
            .chain([other])
            .map(|(method, path, id, created)| {
                let (method, path) = (escaped(&method), escaped(&path));
                let labels = format!("{{method=\"{method}\",path=\"{path}\"}}");
                (labels, sums.by_path(id), created)
            })
            .filter(|(_, count, _)| *count > 0)
            .collect();
        let help = "The number of requests to a specific path.";
        self.family("path_requests_total", "counter", help);
        for (labels, count, _) in &counted {
            self.sample("path_requests_total", labels, *count as f64);
        }
        if !counted.is_empty() {
            self.family("path_requests_created", "gauge", help);
        }
        for (labels, _, created) in &counted {
            self.sample("path_requests_created", labels, created.as_secs_f64());
        }
    }

    fn info(&mut self, board: &Scoreboard, info: &TrafficInfo) {
        self.family("hurricane_info", "gauge", "Python package info of Hurricane");
        let (began, ended) = (board.server().started(), board.server().startup_finished());
        if ended.is_never() {
            return self.sample("hurricane_info", "", 1.0);
        }
        let startup = format!("{}", (ended.since(began).as_secs_f64() * 1e5).round() / 1e5);
        let startup = ("startup_time_seconds".to_owned(), startup);
        let mut labels: Vec<_> = info.labels.iter().chain([&startup]).collect();
        labels.sort();
        let labels: Vec<_> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        self.sample("hurricane_info", &format!("{{{}}}", labels.join(",")), 1.0);
    }
}

/// For each bucket how many are in it or in one before.
fn accumulated(buckets: &[u64]) -> impl Iterator<Item = u64> {
    buckets.iter().scan(0, |sum, count| {
        *sum += count;
        Some(*sum)
    })
}

/// A label's value, which may be anything.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hurricane_scoreboard::Answer;

    fn page(board: &Scoreboard, byte_buckets: bool) -> String {
        let labels = vec![("version".to_owned(), "1.2.3".to_owned())];
        render(board, &TrafficInfo { labels, byte_buckets, manners: &Manners::OURS })
    }

    fn answer(board: &Scoreboard, slot: usize, millis: u64, bytes: u64, path: &str) {
        let path = board.paths().find("GET", path.as_bytes(), true);
        let answer = Answer { status: 200, took_ns: millis * 1_000_000, body_bytes: bytes, path };
        board.slot(slot).unwrap().count(&answer);
    }

    fn serving() -> Scoreboard {
        let board = Scoreboard::new(2).unwrap();
        board.server().set_started(Monotonic::now());
        for slot in 0..2 {
            board.slot(slot).unwrap().begin(Monotonic::now());
        }
        board
    }

    fn assert_lines(text: &str, expected: &[&str]) {
        for line in expected {
            assert!(text.lines().any(|found| found == *line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn sums_are_over_workers_and_files_have_no_time() {
        let board = serving();
        answer(&board, 0, 4, 1, "/a");
        answer(&board, 1, 20, 3, "/a");
        answer(&board, 1, 30_000, 5_000, "/\"quoted\"");
        board.slot(0).unwrap().answered(200);
        assert_lines(
            &page(&board, false),
            &[
                "# TYPE request_counter_total counter",
                "request_counter_total 4.0",
                "response_time_average 10008.0",
                "request_queue_length 0.0",
                "response_time_seconds_bucket{le=\"0.005\"} 1.0",
                "response_time_seconds_bucket{le=\"0.025\"} 2.0",
                "response_time_seconds_bucket{le=\"10.0\"} 2.0",
                "response_time_seconds_bucket{le=\"+Inf\"} 3.0",
                "response_time_seconds_count 3.0",
                "response_time_seconds_sum 30.024",
                "response_size_bytes_bucket{le=\"0.75\"} 0.0",
                "response_size_bytes_bucket{le=\"1.0\"} 1.0",
                "response_size_bytes_bucket{le=\"2.5\"} 1.0",
                "response_size_bytes_bucket{le=\"5.0\"} 2.0",
                "response_size_bytes_bucket{le=\"10.0\"} 2.0",
                "response_size_bytes_bucket{le=\"+Inf\"} 3.0",
                "response_size_bytes_sum 5004.0",
                "path_requests_total{method=\"GET\",path=\"/a\"} 2.0",
                "path_requests_total{method=\"GET\",path=\"/\\\"quoted\\\"\"} 1.0",
                "hurricane_info 1.0",
            ],
        );
    }

    #[test]
    fn sizes_may_have_buckets_for_bytes() {
        let board = serving();
        answer(&board, 0, 1, 200, "/");
        answer(&board, 0, 1, 1_000_000, "/");
        assert_lines(
            &page(&board, true),
            &[
                "response_size_bytes_bucket{le=\"256.0\"} 1.0",
                "response_size_bytes_bucket{le=\"262144.0\"} 1.0",
                "response_size_bytes_bucket{le=\"1048576.0\"} 2.0",
                "response_size_bytes_bucket{le=\"+Inf\"} 2.0",
            ],
        );
    }

    #[test]
    fn the_info_has_the_time_of_the_start_once_it_is_known() {
        let board = serving();
        let started = board.server().started().as_nanos();
        board.server().set_startup_finished(Monotonic::from_nanos(started + 123_456_789));
        assert_lines(
            &page(&board, false),
            &["hurricane_info{startup_time_seconds=\"0.12346\",version=\"1.2.3\"} 1.0"],
        );
    }

    #[test]
    fn without_a_request_the_families_are_those_of_the_predecessor() {
        let page = page(&serving(), false);
        let families = page.lines().filter(|line| line.starts_with("# TYPE ")).count();
        assert_eq!(families, 10, "{page}");
    }
}
