//! Everything that limits the CPUs of this process, read once.

use std::path::Path;

use crate::affinity::{CpuSet, affinity_mask};
use crate::bound::{Bound, Origin};
use crate::cgroup::{CgroupCpus, Cgroups};
use crate::quantity::MilliCpus;
use crate::request::request_behind;
use crate::root::Root;

/// The variables that are read, each with what it holds.
///
/// The downward API writes bare numbers: `resourceFieldRef` with `divisor: 1m` gives `1500` for
/// 1.5 CPUs, which belongs in a `…_MILLIS` variable. With the default divisor it rounds up to
/// whole CPUs. The others take a quantity as a manifest has it (`1500m`, `1.5`, `2`). Where both
/// are set the smaller counts.
pub const VARIABLES: [(&str, &str); 5] = [
    (LIMIT, "CPU limit as a quantity, such as 1500m"),
    (LIMIT_MILLIS, "CPU limit in thousandths: resourceFieldRef limits.cpu with divisor 1m"),
    (REQUEST, "CPU request as a quantity, such as 500m"),
    (REQUEST_MILLIS, "CPU request in thousandths: resourceFieldRef requests.cpu with divisor 1m"),
    (KUBERNETES, "set by Kubernetes in every container: the cgroup's weight is a CPU request"),
];

const LIMIT: &str = "HURRICANE_CPU_LIMIT";
const LIMIT_MILLIS: &str = "HURRICANE_CPU_LIMIT_MILLIS";
const REQUEST: &str = "HURRICANE_CPU_REQUEST";
const REQUEST_MILLIS: &str = "HURRICANE_CPU_REQUEST_MILLIS";
const KUBERNETES: &str = "KUBERNETES_SERVICE_HOST";

/// What limits the CPUs of this process, before anything is concluded from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// The node's CPUs that are online; `None` if sysfs cannot be read.
    pub online: Option<CpuSet>,
    /// The CPUs that the surveying thread may run on.
    pub affinity: CpuSet,
    /// The nearest cpuset, if one can be seen.
    pub cpuset: Option<CgroupCpus>,
    /// The quotas of our cgroup and of its visible ancestors, ours first, then the variable.
    pub limits: Vec<Bound>,
    /// What Kubernetes reserves for us.
    pub request: Option<Bound>,
    /// Whether a kubelet started us.
    pub kubernetes: bool,
    /// What was not understood, a sentence each, worth a line in the log.
    pub remarks: Vec<String>,
}

impl Survey {
    /// Reads what limits the calling thread's process now. See the crate's note on pinning.
    pub fn of_this_process() -> Self {
        Self::take(&Root::host(), affinity_mask(), |name| std::env::var(name).ok())
    }

    /// This survey as one of the process that `start` was taken of before.
    ///
    /// A limit from a variable that a quota said as well is left out: the quota follows when a
    /// running container is resized, the variable does not.
    #[must_use]
    pub fn after(mut self, start: &Self) -> Self {
        let is_quota = |bound: &&Bound| matches!(bound.origin, Origin::Quota { .. });
        let quotas: Vec<_> = start.limits.iter().filter(is_quota).map(|bound| bound.cpus).collect();
        let repeats = |bound: &Bound| {
            matches!(bound.origin, Origin::Variable(_)) && quotas.contains(&bound.cpus)
        };
        let repeated = start.limits.iter().find(|bound| repeats(bound)).map(|bound| &bound.origin);
        self.limits.retain(|bound| Some(&bound.origin) != repeated);
        self
    }

    /// Reads a file tree and an environment. `affinity` is [`affinity_mask`] of the process that
    /// the tree belongs to.
    pub fn take(root: &Root, affinity: CpuSet, variable: impl Fn(&str) -> Option<String>) -> Self {
        let cgroups = Cgroups::locate(root);
        let kubernetes =
            variable(KUBERNETES).is_some_and(|host| !host.is_empty()) || cgroups.below_kubepods();
        let mut remarks = Vec::new();
        if affinity.is_empty() {
            remarks.push("the affinity mask cannot be read".to_owned());
        }
        let online = online(root);
        let request = smaller(&variable, REQUEST, REQUEST_MILLIS, &mut remarks)
            .or_else(|| kubernetes.then(|| request_by_weight(&cgroups)).flatten());
        let mut limits = cgroups.quotas();
        if let Some(limit) = smaller(&variable, LIMIT, LIMIT_MILLIS, &mut remarks) {
            if limits.is_empty() && is_allocatable(&limit, request.as_ref(), online.as_ref()) {
                remarks.push(format!(
                    "{} CPUs {} are taken for the node's, which Kubernetes gives when there is no CPU limit",
                    limit.cpus, limit.origin
                ));
            } else {
                limits.push(limit);
            }
        }
        Self { online, affinity, cpuset: cgroups.cpuset(), limits, request, kubernetes, remarks }
    }

    /// The CPUs that we can run on: the affinity mask within the cpuset.
    ///
    /// The kernel keeps the mask inside the cpuset; the two differ only for as long as a change
    /// of the cpuset is on its way, or when the mask cannot be read.
    pub fn visible(&self) -> CpuSet {
        let Some(cpuset) = &self.cpuset else { return self.affinity.clone() };
        let both = self.affinity.intersection(&cpuset.cpus);
        match (both.is_empty(), self.affinity.is_empty()) {
            (false, _) => both,
            (true, true) => cpuset.cpus.clone(),
            (true, false) => self.affinity.clone(),
        }
    }

    /// The tightest of the limits.
    pub fn limit(&self) -> Option<&Bound> {
        self.limits.iter().min_by_key(|limit| limit.cpus)
    }
}

/// The CPUs that are online; `/proc/stat` has a line for each where sysfs is not mounted.
fn online(root: &Root) -> Option<CpuSet> {
    let from_sysfs = || CpuSet::parse(&root.text(Path::new("/sys/devices/system/cpu/online"))?);
    let from_stat = || -> Option<CpuSet> {
        let stat = root.text(Path::new("/proc/stat"))?;
        let name = |line: &str| line.split(' ').next()?.strip_prefix("cpu")?.parse().ok();
        Some(stat.lines().filter_map(name).collect())
    };
    let known = |cpus: &CpuSet| !cpus.is_empty();
    from_sysfs().filter(known).or_else(|| from_stat().filter(known))
}

fn request_by_weight(cgroups: &Cgroups<'_>) -> Option<Bound> {
    let weight = cgroups.weight()?;
    let cpus = request_behind(&weight)?;
    let (cgroup, version, value) = (weight.cgroup, weight.version, weight.value);
    Some(Bound { cpus, origin: Origin::Weight { cgroup, version, value } })
}

/// Whether a limit from the downward API is none.
///
/// Without a limit `limits.cpu` is what the node can allocate: its CPUs less what is reserved for
/// the system. So is a number that close to the node's CPUs, while no cgroup has a quota and the
/// request is lower.
fn is_allocatable(limit: &Bound, request: Option<&Bound>, online: Option<&CpuSet>) -> bool {
    let (Some(request), Some(online)) = (request, online) else { return false };
    let node = online.len() as u64 * 1000;
    let reserved_max = (node / 8).max(1000);
    request.cpus < limit.cpus && limit.cpus.0 > node.saturating_sub(reserved_max)
}

/// The smaller of a quantity and a number of thousandths.
fn smaller(
    variable: &impl Fn(&str) -> Option<String>,
    quantity: &'static str,
    millis: &'static str,
    remarks: &mut Vec<String>,
) -> Option<Bound> {
    let quantity = read(variable, quantity, remarks, |text| {
        text.parse().map_err(|error| format!("is not a Kubernetes quantity ({error})"))
    });
    let millis = read(variable, millis, remarks, |text| {
        let number = text.parse().map(MilliCpus);
        number.map_err(|_| "is not a number of thousandths of a CPU (divisor: 1m)".to_owned())
    });
    [quantity, millis].into_iter().flatten().min_by_key(|bound| bound.cpus)
}

/// A variable that is set; an empty one and zero are the downward API's way to say "not set".
fn read(
    variable: &impl Fn(&str) -> Option<String>,
    name: &'static str,
    remarks: &mut Vec<String>,
    parse: impl Fn(&str) -> Result<MilliCpus, String>,
) -> Option<Bound> {
    let text = variable(name)?;
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    match parse(text) {
        Ok(MilliCpus(0)) => None,
        Ok(cpus) => Some(Bound { cpus, origin: Origin::Variable(name) }),
        Err(cause) => {
            remarks.push(format!("{name}={} {cause}; it is ignored", text.escape_debug()));
            None
        }
    }
}
