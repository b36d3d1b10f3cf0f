//! What our cgroups say about CPUs: quotas, cpuset and weight, of v1, v2 and both at once.
//!
//! A hybrid host has its controllers on v1 while a `0::` line exists, so both versions are always
//! asked: a controller is in one of them only, and the other has no such file.

use std::path::Path;

use crate::affinity::CpuSet;
use crate::bound::{Bound, Origin};
use crate::mount::{Level, Membership, Mount, levels, parse_memberships, parse_mounts};
use crate::quantity::MilliCpus;
use crate::root::Root;
use crate::version::CgroupVersion;

/// The period that `cpu.max` has when it names none.
const PERIOD_DEFAULT_US: u64 = 100_000;

/// The CPUs that the nearest cgroup with a cpuset leaves to us; its ancestors' are in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupCpus {
    /// The CPUs.
    pub cpus: CpuSet,
    /// The cgroup that has the cpuset.
    pub cgroup: String,
    /// The interface it was read from.
    pub version: CgroupVersion,
}

/// How our cgroup is weighed against its siblings, in the unit of its interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Weight {
    pub(crate) value: u64,
    pub(crate) version: CgroupVersion,
    pub(crate) cgroup: String,
}

/// Our place in the cgroup hierarchies, as it is now.
#[derive(Debug)]
pub(crate) struct Cgroups<'a> {
    root: &'a Root,
    memberships: Vec<Membership>,
    mounts: Vec<Mount>,
}

impl<'a> Cgroups<'a> {
    pub(crate) fn locate(root: &'a Root) -> Self {
        let file = |path: &str| root.bytes(Path::new(path)).unwrap_or_default();
        Self {
            root,
            memberships: parse_memberships(&file("/proc/self/cgroup")),
            mounts: parse_mounts(&file("/proc/self/mountinfo")),
        }
    }

    /// The CPU quotas of our cgroup and of every ancestor that can be seen, ours first.
    pub(crate) fn quotas(&self) -> Vec<Bound> {
        let mut quotas = Vec::new();
        for (version, level) in self.levels("cpu") {
            let millis = match version {
                CgroupVersion::V1 => self.quota_v1(&level),
                CgroupVersion::V2 => self.quota_v2(&level),
            };
            quotas.extend(millis.map(|cpus| Bound {
                cpus,
                origin: Origin::Quota { cgroup: level.cgroup.display().to_string(), version },
            }));
        }
        quotas
    }

    /// The CPUs of the nearest cpuset.
    pub(crate) fn cpuset(&self) -> Option<CgroupCpus> {
        self.levels("cpuset").into_iter().find_map(|(version, level)| {
            let files: &[&str] = match version {
                CgroupVersion::V1 => &["cpuset.effective_cpus", "cpuset.cpus"],
                CgroupVersion::V2 => &["cpuset.cpus.effective"],
            };
            let cpus = files
                .iter()
                .filter_map(|file| CpuSet::parse(&self.text(&level, file)?))
                .find(|cpus| !cpus.is_empty())?;
            Some(CgroupCpus { cpus, cgroup: level.cgroup.display().to_string(), version })
        })
    }

    /// The weight of the nearest cgroup that has one.
    pub(crate) fn weight(&self) -> Option<Weight> {
        self.levels("cpu").into_iter().find_map(|(version, level)| {
            let file = match version {
                CgroupVersion::V1 => "cpu.shares",
                CgroupVersion::V2 => "cpu.weight",
            };
            let value = self.text(&level, file)?.parse().ok()?;
            Some(Weight { value, version, cgroup: level.cgroup.display().to_string() })
        })
    }

    /// Whether the path of any of our cgroups is one that a kubelet makes.
    pub(crate) fn below_kubepods(&self) -> bool {
        self.memberships.iter().any(|own| {
            own.cgroup
                .components()
                .any(|part| part.as_os_str().to_string_lossy().starts_with("kubepods"))
        })
    }

    /// Our cgroup and its visible ancestors for one controller, on v1 and then on v2.
    pub(crate) fn levels(&self, controller: &str) -> Vec<(CgroupVersion, Level)> {
        let v1 = levels(&self.memberships, &self.mounts, Some(controller));
        let v2 = levels(&self.memberships, &self.mounts, None);
        let v1 = v1.into_iter().map(|level| (CgroupVersion::V1, level));
        v1.chain(v2.into_iter().map(|level| (CgroupVersion::V2, level))).collect()
    }

    /// A control file's content, without the white space around it.
    pub(crate) fn text(&self, level: &Level, file: &str) -> Option<String> {
        self.root.text(&level.directory.join(file))
    }

    /// `cpu.max` is `<quota µs|max> [period µs]`.
    fn quota_v2(&self, level: &Level) -> Option<MilliCpus> {
        let content = self.text(level, "cpu.max")?;
        let mut fields = content.split_ascii_whitespace();
        let quota_us = fields.next()?.parse().ok()?;
        let period_us = match fields.next() {
            Some(period) => period.parse().ok()?,
            None => PERIOD_DEFAULT_US,
        };
        ratio(quota_us, period_us)
    }

    /// A quota of -1 µs is none.
    fn quota_v1(&self, level: &Level) -> Option<MilliCpus> {
        let quota_us = self.text(level, "cpu.cfs_quota_us")?.parse().ok()?;
        let period_us = self.text(level, "cpu.cfs_period_us")?.parse().ok()?;
        ratio(quota_us, period_us)
    }
}

fn ratio(quota_us: u64, period_us: u64) -> Option<MilliCpus> {
    let milli = (u128::from(quota_us) * 1000).checked_div(u128::from(period_us))?;
    (quota_us > 0).then(|| MilliCpus(u64::try_from(milli).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_a_share_of_its_period() {
        assert_eq!(ratio(150_000, 100_000), Some(MilliCpus(1500)));
        assert_eq!(ratio(10_000, 5_000), Some(MilliCpus(2000)));
        assert_eq!(ratio(1_000, 1_000_000), Some(MilliCpus(1)));
        assert_eq!(ratio(u64::MAX, 1), Some(MilliCpus(u64::MAX)));
    }

    #[test]
    fn a_quota_or_period_of_zero_limits_nothing() {
        assert_eq!(ratio(0, 100_000), None);
        assert_eq!(ratio(100_000, 0), None);
    }
}
