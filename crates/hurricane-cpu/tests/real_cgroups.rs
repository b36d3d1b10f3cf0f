//! The counts that a process gets in real cgroups: where we are root and v1 controllers can be
//! written, cgroups are made, this test binary is started again inside them, and they are removed.
//!
//! Elsewhere each test says on standard error that it was skipped, and why.

#![expect(clippy::print_stdout, reason = "the child answers on its standard output")]

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use hurricane_cpu::{Root, Survey, affinity_mask, memory_limit, throttling, worker_count};

const CHILD: &str = "HURRICANE_CPU_TEST_CHILD";

/// Runs alone in the child of another test; does nothing otherwise.
#[test]
fn a_child_answers_what_it_sees() {
    let Ok(role) = std::env::var(CHILD) else { return };
    if role == "burn" {
        let start = std::time::Instant::now();
        while start.elapsed() < std::time::Duration::from_millis(300) {}
    }
    let survey = Survey::of_this_process();
    let count = worker_count(&survey);
    let memory = memory_limit(&Root::host()).map_or(0, |limit| limit.bytes);
    let throttled = throttling(&Root::host()).unwrap_or_default();
    let slowed = if throttled.time.is_zero() { "free" } else { "throttled" };
    println!(
        "\nanswer {} | {} | {} | {memory} | {slowed}",
        count.workers, count.reason, survey.affinity
    );
}

#[test]
fn a_real_quota_is_the_worker_count() {
    let Some(cgroup) = Cgroup::new("cpu", "quota") else { return };
    for (quota_us, reason) in [("150000", "CPU limit 1.5 of"), ("50000", "CPU limit 0.5 of")] {
        cgroup.set("cpu.cfs_quota_us", quota_us);
        let answer = ask_child(&cgroup.entry());
        assert_eq!(answer.workers, 1);
        assert!(answer.reason.starts_with(reason), "{}", answer.reason);
        assert!(answer.reason.contains(&cgroup.name), "{}", answer.reason);
    }
    let cpus = affinity_mask().len();
    if cpus > 1 {
        cgroup.set("cpu.cfs_quota_us", "200000");
        assert_eq!(ask_child(&cgroup.entry()).workers, 2);
    }
    cgroup.set("cpu.cfs_quota_us", "-1");
    assert_eq!(ask_child(&cgroup.entry()).workers, cpus);
}

#[test]
fn a_real_ancestors_quota_is_the_worker_count() {
    let Some(parent) = Cgroup::new("cpu", "parent") else { return };
    parent.set("cpu.cfs_quota_us", "100000");
    let child = parent.child("leaf");
    let answer = ask_child(&child.entry());
    assert_eq!(answer.workers, 1);
    assert!(answer.reason.contains(&format!("{} (v1)", parent.name)), "{}", answer.reason);
}

#[test]
fn a_real_cpuset_is_the_worker_count_and_the_mask() {
    let Some(cgroup) = Cgroup::new("cpuset", "cpuset") else { return };
    let last = affinity_mask().iter().last().expect("a CPU to run on");
    let memory_nodes = fs::read_to_string(cgroup.mount.join("cpuset.mems")).expect("the nodes");
    cgroup.set("cpuset.mems", memory_nodes.trim());
    cgroup.set("cpuset.cpus", &last.to_string());
    let answer = ask_child(&cgroup.entry());
    assert_eq!((answer.workers, answer.mask), (1, last.to_string()));
}

#[test]
fn a_real_affinity_mask_is_the_worker_count() {
    let last = affinity_mask().iter().last().expect("a CPU to run on").to_string();
    let Some(answer) = try_child(&format!("taskset -p -c {last} $$ >/dev/null")) else {
        return skipped("taskset cannot be run");
    };
    assert_eq!((answer.workers, answer.mask), (1, last));
}

#[test]
fn a_real_memory_limit_is_seen() {
    let Some(cgroup) = Cgroup::new("memory", "memory") else { return };
    let bytes = 512 << 20;
    cgroup.set("memory.limit_in_bytes", &bytes.to_string());
    assert_eq!(ask_child(&cgroup.entry()).memory_bytes, bytes);
}

#[test]
fn a_container_on_v1_sees_its_own_quota_at_the_mounts_root() {
    let Some(cgroup) = Cgroup::new("cpu", "container") else { return };
    cgroup.set("cpu.cfs_quota_us", "100000");
    let (own, mount) = (cgroup.directory.display(), cgroup.mount.display());
    let entry = format!("{} && mount --bind {own} {mount}", cgroup.entry());
    let Some(answer) = try_in_namespace("--mount", &entry) else {
        return skipped("no mount namespace can be made");
    };
    assert_eq!(answer.workers, 1);
    assert!(answer.reason.contains(&format!("{} (v1)", cgroup.name)), "{}", answer.reason);
}

#[test]
fn a_mount_from_above_our_cgroup_namespace_still_shows_its_root() {
    let Some(cgroup) = Cgroup::new("cpu", "namespace") else { return };
    // The mount shows the cgroup's parent, and the namespace begins at the cgroup itself.
    let inner = cgroup.child("inner");
    cgroup.set("cpu.cfs_quota_us", "100000");
    let (parent, mount) = (cgroup.directory.display(), cgroup.mount.display());
    let script = format!(
        "{} && mount --bind {parent} {mount} && exec unshare --cgroup \"$@\"",
        inner.entry()
    );
    let Some(answer) = try_in_namespace("--mount", &script) else {
        return skipped("no cgroup namespace can be made");
    };
    assert_eq!(answer.workers, 1, "{}", answer.reason);
}

#[test]
fn throttling_by_an_ancestor_that_cannot_be_seen_is_counted() {
    let Some(parent) = Cgroup::new("cpu", "hidden") else { return };
    parent.set("cpu.cfs_quota_us", "20000");
    let child = parent.child("leaf");
    if !child.directory.join("cpu.stat.local").exists() {
        return skipped("this kernel has no cpu.stat.local");
    }
    let (own, mount) = (child.directory.display(), child.mount.display());
    let entry = format!("export {CHILD}=burn; {} && mount --bind {own} {mount}", child.entry());
    let Some(answer) = try_in_namespace("--mount", &entry) else {
        return skipped("no mount namespace can be made");
    };
    assert!(answer.throttled);
    assert_eq!(answer.workers, affinity_mask().len(), "the limit itself stays hidden");
}

/// What the child saw.
struct Answer {
    workers: usize,
    reason: String,
    mask: String,
    memory_bytes: u64,
    throttled: bool,
}

#[track_caller]
fn ask_child(entry: &str) -> Answer {
    try_child(entry).expect("the child answers")
}

/// Starts this binary again after a line of shell that puts it where it is to look.
fn try_child(entry: &str) -> Option<Answer> {
    answer(Command::new("sh").args(["-c", &format!("{entry} && exec \"$@\""), "sh"]))
}

fn try_in_namespace(namespace: &str, entry: &str) -> Option<Answer> {
    let script = format!("{entry} && exec \"$@\"");
    answer(Command::new("unshare").args([namespace, "sh", "-c", &script, "sh"]))
}

fn answer(command: &mut Command) -> Option<Answer> {
    let output = command
        .arg(std::env::current_exe().expect("this binary has a path"))
        .args(["--exact", "a_child_answers_what_it_sees", "--nocapture"])
        .env(CHILD, "answer")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(line) = text.lines().find_map(|line| line.strip_prefix("answer ")) else {
        say(&String::from_utf8_lossy(&output.stderr));
        return None;
    };
    let fields: Vec<&str> = line.split(" | ").collect();
    let [workers, reason, mask, memory, throttled] = fields[..] else { return None };
    Some(Answer {
        workers: workers.parse().ok()?,
        reason: reason.to_owned(),
        mask: mask.to_owned(),
        memory_bytes: memory.parse().ok()?,
        throttled: throttled == "throttled",
    })
}

/// A cgroup directly below a controller's mount point, removed when it is dropped.
struct Cgroup {
    mount: PathBuf,
    name: String,
    directory: PathBuf,
}

impl Cgroup {
    /// Makes a cgroup of a v1 controller, or says why it cannot be had.
    fn new(controller: &str, purpose: &str) -> Option<Self> {
        let mount = Path::new("/sys/fs/cgroup").join(controller);
        if !mount.join("cgroup.procs").exists() {
            skipped(&format!("there is no v1 controller {controller}"));
            return None;
        }
        let name = format!("hurricane-cpu-test-{}-{purpose}", std::process::id());
        let directory = mount.join(&name);
        if let Err(error) = fs::create_dir(&directory) {
            skipped(&format!("no cgroup can be made: {error}"));
            return None;
        }
        Some(Self { mount, name, directory })
    }

    fn child(&self, name: &str) -> Self {
        let directory = self.directory.join(name);
        fs::create_dir(&directory).expect("a nested cgroup");
        Self { mount: self.mount.clone(), name: format!("{}/{name}", self.name), directory }
    }

    fn set(&self, file: &str, value: &str) {
        fs::write(self.directory.join(file), value).expect("a control file is written");
    }

    /// Shell that moves its process in.
    fn entry(&self) -> String {
        format!("echo $$ > {}/cgroup.procs", self.directory.display())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Its processes have been waited for, so it is empty.
        if let Err(error) = fs::remove_dir(&self.directory) {
            say(&format!("{} stays behind: {error}", self.directory.display()));
        }
    }
}

/// Says so past the test harness, which swallows what a passing test prints.
fn skipped(why: &str) {
    say(&format!("SKIPPED: {why}"));
}

fn say(sentence: &str) {
    // Nobody reads a closed standard error.
    let _ = writeln!(io::stderr(), "{sentence}");
}
