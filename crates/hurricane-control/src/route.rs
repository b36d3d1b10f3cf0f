//! Which endpoint a request asks for, and the response that it gets.

use hurricane_http::{Head, Response, ResponseBody};
use hurricane_scoreboard::{Monotonic, Purpose, Scoreboard};

use crate::manners::Manners;
use crate::patterns::Patterns;
use crate::verdict::{self, Snapshot, Verdict, VerdictLimits, Wording};
use crate::{metrics, status};

/// Where the probes are. Paths are literal; a leading slash is added where it is missing, spaces
/// are ignored, and a request may end in one more slash.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the probes' names")]
pub struct ProbePaths {
    pub startup: String,
    pub readiness: String,
    pub liveness: String,
    pub status: String,
    pub server_metrics: String,
    /// `None`: there is no such page.
    pub metrics: Option<String>,
    /// Where the probes are patterns, and the path of `metrics` is taken as it stands.
    pub patterns: Option<Patterns>,
}

impl Default for ProbePaths {
    fn default() -> Self {
        Self {
            startup: "/startup".into(),
            readiness: "/ready".into(),
            liveness: "/alive".into(),
            status: "/status".into(),
            server_metrics: "/metrics/server".into(),
            metrics: Some("/metrics".into()),
            patterns: None,
        }
    }
}

/// The response to a probe request, or `None` when the path is not a probe's.
///
/// Takes microseconds and waits for nothing, so that a worker's loop may call it as well.
pub fn answer(
    head: &Head,
    paths: &ProbePaths,
    limits: &VerdictLimits,
    server: &serde_json::Value,
    board: &Scoreboard,
) -> Option<Response> {
    let endpoint = paths.find(head.path())?;
    if let Some(refusal) = refuse(head, limits.manners) {
        return Some(refusal);
    }
    let (snapshot, wording) = (Snapshot::take(board, Monotonic::now()), limits.wording);
    let response = match endpoint {
        Endpoint::Startup => respond(&verdict::startup(&snapshot), wording),
        Endpoint::Readiness => respond(&verdict::readiness(&snapshot, limits), wording),
        Endpoint::Liveness => respond(&verdict::liveness(&snapshot, limits), wording),
        Endpoint::ServerMetrics => metrics::respond(head, &snapshot, limits, server, board),
        Endpoint::Status => {
            let json = status::render(&snapshot, limits, server, board);
            Response { status: 200, headers: Vec::new(), body: ResponseBody::Full(json.into()) }
                .with_header("Content-Type", "application/json")
        }
    };
    Some(uncached(response, limits.manners))
}

/// The answer to a method that none of the endpoints has.
pub(crate) fn refuse(head: &Head, manners: &Manners) -> Option<Response> {
    let (is_taken, allowed) = match head.method() {
        method if manners.takes_head => {
            (matches!(method, "GET" | "HEAD" | "POST"), "GET, HEAD, POST")
        }
        method => (matches!(method, "GET" | "POST"), "GET, POST"),
    };
    (!is_taken).then(|| {
        let refusal = Response::text("method not allowed").with_status(405);
        uncached(refusal.with_header("Allow", allowed), manners)
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Startup,
    Readiness,
    Liveness,
    Status,
    ServerMetrics,
}

impl ProbePaths {
    /// Whether `path`, as sent, is that of the page that the control process alone can make.
    pub fn is_metrics(&self, path: &[u8]) -> bool {
        let is_there = |metrics: &String| match self.patterns {
            None => is_at(path, metrics),
            Some(_) => path == metrics.as_bytes(),
        };
        self.metrics.as_ref().is_some_and(is_there) && self.find(path).is_none()
    }

    /// Whose checks decide the answer at `path`.
    pub(crate) fn purpose(&self, path: &[u8]) -> Option<Purpose> {
        match self.find(path)? {
            Endpoint::Readiness => Some(Purpose::Readiness),
            Endpoint::Liveness => Some(Purpose::Liveness),
            Endpoint::Startup | Endpoint::Status | Endpoint::ServerMetrics => None,
        }
    }

    /// The endpoint at `path`. The probes come first should two paths be the same.
    fn find(&self, path: &[u8]) -> Option<Endpoint> {
        let probes = [Endpoint::Startup, Endpoint::Readiness, Endpoint::Liveness];
        if let Some(found) = self.patterns.as_ref().and_then(|patterns| patterns.find(path)) {
            return Some(probes[found]);
        }
        match path {
            path if is_at(path, &self.startup) => Some(Endpoint::Startup),
            path if is_at(path, &self.readiness) => Some(Endpoint::Readiness),
            path if is_at(path, &self.liveness) => Some(Endpoint::Liveness),
            path if is_at(path, &self.status) => Some(Endpoint::Status),
            path if is_at(path, &self.server_metrics) => Some(Endpoint::ServerMetrics),
            _ => None,
        }
    }
}

/// Whether `path`, as sent, is the `configured` one. Allocates nothing: a worker with integrated
/// probes asks it for every request.
fn is_at(path: &[u8], configured: &str) -> bool {
    let Some(path) = path.strip_prefix(b"/") else { return false };
    let path = if path.len() > 1 { path.strip_suffix(b"/").unwrap_or(path) } else { path };
    let wanted = configured.trim_matches(['/', ' ']).bytes().filter(|byte| *byte != b' ');
    path.iter().copied().eq(wanted)
}

fn respond(verdict: &Verdict, wording: Wording) -> Response {
    let response = if wording.is_bare {
        // Nothing in it comes from outside but what a check says while debugging.
        let body = verdict.bare_body(wording).into_owned();
        Response { status: 200, headers: Vec::new(), body: ResponseBody::Full(body.into()) }
            .with_header("Content-Type", "text/html; charset=UTF-8")
    } else {
        Response::text(verdict.body().into_owned())
    };
    response.with_status(verdict.status())
}

fn uncached(response: Response, manners: &Manners) -> Response {
    match manners.forbids_caching {
        true => response.with_header("Cache-Control", "no-store"),
        false => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_literal_with_an_optional_closing_slash() {
        let paths = ProbePaths { liveness: "al.ve".into(), ..ProbePaths::default() };
        for (path, endpoint) in [
            ("/startup", Some(Endpoint::Startup)),
            ("/ready", Some(Endpoint::Readiness)),
            ("/ready/", Some(Endpoint::Readiness)),
            ("/ready//", None),
            ("//ready", None),
            ("/readyx", None),
            ("/read", None),
            ("ready", None),
            ("/", None),
            ("", None),
            ("*", None),
            ("/al.ve", Some(Endpoint::Liveness)),
            ("/alXve", None),
            ("/status/", Some(Endpoint::Status)),
            ("/metrics/server", Some(Endpoint::ServerMetrics)),
            ("/metrics", None),
        ] {
            assert_eq!(paths.find(path.as_bytes()), endpoint, "{path}");
        }
    }

    #[test]
    fn configured_paths_are_tidied() {
        for (configured, path) in [
            ("ready", "/ready"),
            (" /ready ", "/ready"),
            ("//ready/", "/ready"),
            ("/health z/ready", "/healthz/ready"),
            ("/", "/"),
        ] {
            assert!(is_at(path.as_bytes(), configured), "{configured:?}");
        }
        assert!(!is_at(b"//", "/"));
    }
}
