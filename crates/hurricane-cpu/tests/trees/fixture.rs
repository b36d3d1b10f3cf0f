//! A file tree that stands for `/`, built from literals.

use std::collections::HashMap;
use std::fs;

use hurricane_cpu::{CpuSet, PinPlan, Root, Survey, WorkerCount, pin_plan, worker_count};
use tempfile::TempDir;

pub(crate) const V2_MOUNT: &str = "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";
pub(crate) const V1_MOUNTS: &str = "\
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n\
35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

/// A machine with CPUs 0 to 7, all online, ours, and without any limit.
pub(crate) struct Tree {
    directory: TempDir,
    affinity: CpuSet,
    variables: HashMap<String, String>,
}

impl Tree {
    /// `cgroup` and `mountinfo` are the files of `/proc/self`.
    pub(crate) fn new(cgroup: &str, mountinfo: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let affinity = (0..8).collect();
        Self { directory, affinity, variables: HashMap::new() }
            .file("/proc/self/cgroup", cgroup)
            .file("/proc/self/mountinfo", mountinfo)
            .file("/sys/devices/system/cpu/online", "0-7\n")
    }

    /// A v2 host that shows us in `cgroup`.
    pub(crate) fn v2(cgroup: &str) -> Self {
        Self::new(&format!("0::{cgroup}\n"), V2_MOUNT)
    }

    /// A v1 host that shows us in `cgroup`.
    pub(crate) fn v1(cgroup: &str) -> Self {
        let own = format!("4:memory:{cgroup}\n3:cpuset:{cgroup}\n2:cpu,cpuacct:{cgroup}\n");
        Self::new(&own, V1_MOUNTS)
    }

    pub(crate) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.directory.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().expect("a file has a parent")).expect("directories");
        fs::write(path, content).expect("a fixture file");
        self
    }

    /// The same machine with neither `proc` nor `sys`.
    pub(crate) fn without_files(self) -> Self {
        for top in ["proc", "sys"] {
            fs::remove_dir_all(self.directory.path().join(top)).expect("the tree is removed");
        }
        self
    }

    /// A v1 quota in the `cpu,cpuacct` hierarchy.
    pub(crate) fn quota_v1(self, cgroup: &str, quota_us: &str) -> Self {
        let directory = format!("/sys/fs/cgroup/cpu,cpuacct{cgroup}");
        self.file(&format!("{directory}/cpu.cfs_quota_us"), quota_us)
            .file(&format!("{directory}/cpu.cfs_period_us"), "100000\n")
    }

    pub(crate) fn affinity(mut self, list: &str) -> Self {
        self.affinity = CpuSet::parse(list).expect("a CPU list");
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn in_kubernetes(self) -> Self {
        self.variable("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    }

    pub(crate) fn root(&self) -> Root {
        Root::new(self.directory.path())
    }

    pub(crate) fn survey(&self) -> Survey {
        Survey::take(&self.root(), self.affinity.clone(), |name| self.variables.get(name).cloned())
    }

    pub(crate) fn count(&self) -> WorkerCount {
        worker_count(&self.survey())
    }

    /// Holds when `--workers auto` gives this many workers for this reason.
    #[track_caller]
    pub(crate) fn expect(self, workers: usize, reason: &str) {
        let count = self.count();
        assert_eq!((count.workers.get(), count.reason.as_str()), (workers, reason));
    }

    pub(crate) fn pin(&self, mode: &str, workers: usize) -> PinPlan {
        let workers = workers.try_into().expect("at least one worker");
        pin_plan(mode.parse().expect("a mode"), &self.survey(), workers)
    }
}
