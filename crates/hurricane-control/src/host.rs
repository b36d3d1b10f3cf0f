//! What the cgroup says of CPU and memory, read every few seconds so that no scrape reads files.

use hurricane_cpu::{Root, memory_limit, memory_used, throttling};
use hurricane_scoreboard::{HostReading, ThrottlingReading};

/// Everything that metrics tell of the cgroup.
pub(crate) fn read(root: &Root) -> HostReading {
    HostReading {
        throttling: throttling(root).map(|throttling| ThrottlingReading {
            periods: throttling.periods,
            throttled_periods: throttling.throttled_periods,
            time: throttling.time,
        }),
        memory_used: memory_used(root),
        memory_max: memory_limit(root).map(|limit| limit.bytes),
    }
}
