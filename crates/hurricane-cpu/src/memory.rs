//! The memory limit of our cgroup and of every ancestor that we can see, and whom it has cost its
//! life.
//!
//! On v2 that is `memory.max`, where the kernel kills, and `memory.high`, where it slows us down;
//! on v1 `memory.limit_in_bytes`, and the limit that `memory.stat` reports for all ancestors
//! together, also for those that a container cannot see.

use crate::cgroup::Cgroups;
use crate::mount::Level;
use crate::root::Root;
use crate::version::CgroupVersion;

/// v1 writes "no limit" as the largest multiple of the page size; no machine has half of it.
const UNLIMITED_BYTES: u64 = 1 << 62;

/// The tightest memory limit, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryLimit {
    /// How many bytes the cgroup's processes may have together.
    pub bytes: u64,
    /// Whether the kernel kills at this limit (`memory.high` only slows down).
    pub kills: bool,
    /// A phrase for the log, such as `memory.max of cgroup /kubepods/x (v2)`.
    pub reason: String,
}

/// The tightest memory limit that holds for us now; `None` if there is none.
pub fn memory_limit(root: &Root) -> Option<MemoryLimit> {
    let cgroups = Cgroups::locate(root);
    let mut limits = Vec::new();
    for (version, level) in cgroups.levels("memory") {
        match version {
            CgroupVersion::V1 => limits.extend(limits_v1(&cgroups, &level)),
            CgroupVersion::V2 => limits.extend(limits_v2(&cgroups, &level)),
        }
    }
    // Of two equal limits the one that kills counts.
    limits.into_iter().min_by_key(|limit| (limit.bytes, !limit.kills))
}

/// How many processes of our cgroup the kernel has killed for want of memory, whoever's limit it
/// was; `None` where that is not counted.
pub fn out_of_memory_kills(root: &Root) -> Option<u64> {
    let cgroups = Cgroups::locate(root);
    cgroups.levels("memory").into_iter().filter(|(_, level)| level.own).find_map(
        |(version, own)| {
            let file = match version {
                CgroupVersion::V1 => "memory.oom_control",
                CgroupVersion::V2 => "memory.events",
            };
            let text = cgroups.text(&own, file)?;
            let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "))?;
            count.trim().parse().ok()
        },
    )
}

/// What our own cgroup's processes have now, with its page cache; `None` where no file says it.
pub fn memory_used(root: &Root) -> Option<u64> {
    let cgroups = Cgroups::locate(root);
    let mut own = cgroups.levels("memory").into_iter().filter(|(_, level)| level.own);
    own.find_map(|(version, level)| {
        let file = match version {
            CgroupVersion::V1 => "memory.usage_in_bytes",
            CgroupVersion::V2 => "memory.current",
        };
        cgroups.text(&level, file)?.parse().ok()
    })
}

fn limits_v2(cgroups: &Cgroups<'_>, level: &Level) -> impl Iterator<Item = MemoryLimit> {
    [("memory.max", true), ("memory.high", false)].into_iter().filter_map(|(file, kills)| {
        let bytes = cgroups.text(level, file)?.parse().ok()?;
        Some(limit(bytes, kills, file, level, CgroupVersion::V2))
    })
}

fn limits_v1(cgroups: &Cgroups<'_>, level: &Level) -> impl Iterator<Item = MemoryLimit> {
    // Before Linux 5.11 a cgroup could leave its children alone.
    let holds = level.own || cgroups.text(level, "memory.use_hierarchy").as_deref() != Some("0");
    let direct = || -> Option<MemoryLimit> {
        let file = "memory.limit_in_bytes";
        let bytes = cgroups.text(level, file)?.parse().ok()?;
        Some(limit(bytes, true, file, level, CgroupVersion::V1))
    };
    let inherited = || -> Option<MemoryLimit> {
        let stat = cgroups.text(level, "memory.stat")?;
        let line = stat.lines().find_map(|line| line.strip_prefix("hierarchical_memory_limit "))?;
        let bytes = line.trim().parse().ok()?;
        Some(limit(bytes, true, "hierarchical_memory_limit", level, CgroupVersion::V1))
    };
    let limits = if holds { [direct(), inherited()] } else { [None, None] };
    limits.into_iter().flatten().filter(|limit| limit.bytes < UNLIMITED_BYTES)
}

fn limit(
    bytes: u64,
    kills: bool,
    file: &str,
    level: &Level,
    version: CgroupVersion,
) -> MemoryLimit {
    let reason = format!("{file} of cgroup {} ({version})", level.cgroup.display());
    MemoryLimit { bytes, kills, reason }
}
