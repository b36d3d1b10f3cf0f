//! How often a CPU quota stood in our way: the sign that there are more workers than the quota
//! can feed, or that a limit which we cannot see is tighter than the one that we counted with.

use std::time::Duration;

use crate::cgroup::Cgroups;
use crate::mount::Level;
use crate::root::Root;
use crate::version::CgroupVersion;

/// Counters since the cgroups were made; they only grow, except when a process is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Throttling {
    /// Periods in which our cgroup or a visible ancestor wanted to run under a quota.
    pub periods: u64,
    /// Those of them in which the quota was used up.
    pub throttled_periods: u64,
    /// How long our cgroup has been held back. Where the kernel has `cpu.stat.local` this counts
    /// the quotas of all ancestors, also of those that we cannot see; else it is the sum over the
    /// visible ones.
    pub time: Duration,
}

/// Reads the throttling counters; `None` where no cgroup has them.
pub fn throttling(root: &Root) -> Option<Throttling> {
    let cgroups = Cgroups::locate(root);
    let mut total: Option<Throttling> = None;
    let mut local = None;
    for (version, level) in cgroups.levels("cpu") {
        if level.own && local.is_none() {
            local = throttled_time(&cgroups, version, &level, "cpu.stat.local");
        }
        let counter = |name| counter(&cgroups, &level, "cpu.stat", name);
        let Some(throttled) = counter("nr_throttled") else { continue };
        let total = total.get_or_insert_default();
        total.periods = total.periods.saturating_add(counter("nr_periods").unwrap_or(0));
        total.throttled_periods = total.throttled_periods.saturating_add(throttled);
        let time = throttled_time(&cgroups, version, &level, "cpu.stat").unwrap_or_default();
        total.time = total.time.saturating_add(time);
    }
    match (total, local) {
        (total, Some(time)) => Some(Throttling { time, ..total.unwrap_or_default() }),
        (total, None) => total,
    }
}

/// v1 counts nanoseconds, v2 microseconds.
fn throttled_time(
    cgroups: &Cgroups<'_>,
    version: CgroupVersion,
    level: &Level,
    file: &str,
) -> Option<Duration> {
    match version {
        CgroupVersion::V1 => {
            counter(cgroups, level, file, "throttled_time").map(Duration::from_nanos)
        }
        CgroupVersion::V2 => {
            counter(cgroups, level, file, "throttled_usec").map(Duration::from_micros)
        }
    }
}

/// A line `name number` of a flat keyed file.
fn counter(cgroups: &Cgroups<'_>, level: &Level, file: &str, name: &str) -> Option<u64> {
    cgroups.text(level, file)?.lines().find_map(|line| {
        let (key, number) = line.split_once(' ')?;
        (key == name).then(|| number.trim().parse().ok())?
    })
}
