//! `--workers auto`: one worker per whole CPU that is ours.
//!
//! Rounded down: workers beyond a quota add no throughput but share its budget, and once it is
//! spent everything stands still until the next period (p99 57.6 ms with two workers on one CPU,
//! 16.4 ms with one). Below one CPU there is one worker.
//!
//! The rules, in order:
//! 1. The tightest limit: the quotas of our cgroup and of every visible ancestor, and the
//!    variable, which can tell of a limit that a cgroup namespace hides.
//! 2. Without a limit, the CPU request: the variable, else what our cgroup's weight says, but the
//!    weight only inside Kubernetes, where it comes from the request.
//! 3. Never more than the CPUs that we can see: the affinity mask within the cpuset.

use std::num::NonZeroUsize;

use crate::bound::Bound;
use crate::survey::Survey;

/// How many workers to run, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerCount {
    /// How many.
    pub workers: NonZeroUsize,
    /// A phrase for the start line, such as `CPU limit 1.5 of cgroup /kubepods/x (v2)`.
    pub reason: String,
}

/// How many workers `--workers auto` runs.
pub fn worker_count(survey: &Survey) -> WorkerCount {
    let visible = survey.visible().len();
    let limit = survey.limit().map(|bound| ("CPU limit", bound));
    let request = || survey.request.as_ref().map(|bound| ("CPU request", bound));
    let (workers, reason) = match limit.or_else(request) {
        Some((name, bound)) if bound.cpus.floor() <= visible => {
            (bound.cpus.floor(), bound_phrase(name, bound))
        }
        _ => (visible, visible_phrase(survey, limit.is_none() && survey.request.is_none())),
    };
    WorkerCount { workers: NonZeroUsize::new(workers).unwrap_or(NonZeroUsize::MIN), reason }
}

fn bound_phrase(name: &str, Bound { cpus, origin }: &Bound) -> String {
    let rounded = if cpus.floor() == 0 { ", rounded up to one worker" } else { "" };
    format!("{name} {cpus} {origin}{rounded}")
}

fn visible_phrase(survey: &Survey, unlimited: bool) -> String {
    let visible = survey.visible();
    if visible.is_empty() {
        return "one worker, as no CPU count can be read".to_owned();
    }
    let cause = match &survey.cpuset {
        _ if survey.online.as_ref() == Some(&visible) => "all that are online".to_owned(),
        Some(cpuset) if cpuset.cpus == visible => {
            format!("cpuset of cgroup {} ({})", cpuset.cgroup, cpuset.version)
        }
        _ => "affinity mask".to_owned(),
    };
    let noun = if visible.len() == 1 { "CPU" } else { "CPUs" };
    let unlimited = if unlimited { ", no CPU limit or request" } else { "" };
    format!("{noun} {visible}, {cause}{unlimited}")
}
