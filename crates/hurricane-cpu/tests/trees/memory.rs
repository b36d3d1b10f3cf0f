//! Memory limits and throttling counters on file trees, one rule a test.

use std::time::Duration;

use crate::fixture::Tree;
use hurricane_cpu::{
    MemoryLimit, Throttling, memory_limit, memory_used, out_of_memory_kills, throttling,
};

const MEMORY_V1: &str = "/sys/fs/cgroup/memory";
const UNLIMITED_V1: &str = "9223372036854771712\n";

#[track_caller]
fn expect(tree: &Tree, bytes: u64, kills: bool, reason: &str) {
    let reason = reason.to_owned();
    assert_eq!(memory_limit(&tree.root()), Some(MemoryLimit { bytes, kills, reason }));
}

#[test]
fn memory_without_a_limit_has_none() {
    assert_eq!(memory_limit(&Tree::v2("/").root()), None);
    let max = Tree::v2("/").file("/sys/fs/cgroup/memory.max", "max\n");
    assert_eq!(memory_limit(&max.root()), None);
    let v1 = Tree::v1("/").file(&format!("{MEMORY_V1}/memory.limit_in_bytes"), UNLIMITED_V1);
    assert_eq!(memory_limit(&v1.root()), None);
}

#[test]
fn the_tightest_memory_limit_of_v2_counts() {
    let tree = Tree::v2("/a/b")
        .file("/sys/fs/cgroup/a/b/memory.max", "max\n")
        .file("/sys/fs/cgroup/a/memory.max", "4096\n");
    expect(&tree, 4096, true, "memory.max of cgroup /a (v2)");
    let tree = tree.file("/sys/fs/cgroup/a/b/memory.high", "2048\n");
    expect(&tree, 2048, false, "memory.high of cgroup /a/b (v2)");
    let tree = tree.file("/sys/fs/cgroup/a/b/memory.max", "2048\n");
    expect(&tree, 2048, true, "memory.max of cgroup /a/b (v2)");
}

#[test]
fn the_tightest_memory_limit_of_v1_counts() {
    let tree = Tree::v1("/a/b")
        .file(&format!("{MEMORY_V1}/a/b/memory.limit_in_bytes"), UNLIMITED_V1)
        .file(&format!("{MEMORY_V1}/a/memory.limit_in_bytes"), "4096\n");
    expect(&tree, 4096, true, "memory.limit_in_bytes of cgroup /a (v1)");
}

#[test]
fn an_ancestor_of_v1_that_leaves_its_children_alone_limits_nothing() {
    let tree = Tree::v1("/a/b")
        .file(&format!("{MEMORY_V1}/a/memory.use_hierarchy"), "0\n")
        .file(&format!("{MEMORY_V1}/a/memory.limit_in_bytes"), "4096\n");
    assert_eq!(memory_limit(&tree.root()), None);
}

#[test]
fn who_was_killed_for_want_of_memory_is_counted() {
    let events = "low 0\nhigh 0\nmax 9\noom 4\noom_kill 3\noom_group_kill 0\n";
    let tree = Tree::v2("/a/b")
        .file("/sys/fs/cgroup/a/b/memory.events", events)
        .file("/sys/fs/cgroup/a/memory.events", "oom_kill 8\n");
    assert_eq!(out_of_memory_kills(&tree.root()), Some(3));
    let control = "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n";
    let tree = Tree::v1("/a").file(&format!("{MEMORY_V1}/a/memory.oom_control"), control);
    assert_eq!(out_of_memory_kills(&tree.root()), Some(2));
    assert_eq!(out_of_memory_kills(&Tree::v2("/").root()), None);
}

#[test]
fn memory_stat_of_v1_tells_of_a_limit_that_a_container_cannot_see() {
    let tree = Tree::new(
        "4:memory:/pod/box\n",
        "35 31 0:32 /pod/box /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
    )
    .file(&format!("{MEMORY_V1}/memory.limit_in_bytes"), UNLIMITED_V1)
    .file(&format!("{MEMORY_V1}/memory.stat"), "cache 0\nhierarchical_memory_limit 8192\n");
    expect(&tree, 8192, true, "hierarchical_memory_limit of cgroup /pod/box (v1)");
}

#[test]
fn the_memory_in_use_is_that_of_our_own_cgroup() {
    assert_eq!(memory_used(&Tree::v2("/").root()), None);
    let v2 = Tree::v2("/a/b")
        .file("/sys/fs/cgroup/a/b/memory.current", "4096\n")
        .file("/sys/fs/cgroup/a/memory.current", "8192\n");
    assert_eq!(memory_used(&v2.root()), Some(4096));
    let v1 = Tree::v1("/a").file(&format!("{MEMORY_V1}/a/memory.usage_in_bytes"), "12288\n");
    assert_eq!(memory_used(&v1.root()), Some(12288));
}

#[test]
fn without_counters_there_is_no_throttling() {
    assert_eq!(throttling(&Tree::v2("/").root()), None);
    let root = Tree::v2("/").file("/sys/fs/cgroup/cpu.stat", "usage_usec 7\nuser_usec 5\n");
    assert_eq!(throttling(&root.root()), None);
}

#[test]
fn throttling_adds_up_over_the_visible_levels() {
    let stat = "usage_usec 9\nnr_periods 10\nnr_throttled 4\nthrottled_usec 2500\n";
    let tree = Tree::v2("/a/b")
        .file("/sys/fs/cgroup/a/b/cpu.stat", stat)
        .file("/sys/fs/cgroup/a/cpu.stat", stat);
    let time = Duration::from_millis(5);
    let expected = Throttling { periods: 20, throttled_periods: 8, time };
    assert_eq!(throttling(&tree.root()), Some(expected));
}

#[test]
fn throttling_of_v1_is_in_nanoseconds() {
    let stat = "nr_periods 11\nnr_throttled 9\nthrottled_time 809191382\n";
    let tree = Tree::v1("/a").file("/sys/fs/cgroup/cpu,cpuacct/a/cpu.stat", stat);
    let time = Duration::from_nanos(809_191_382);
    let expected = Throttling { periods: 11, throttled_periods: 9, time };
    assert_eq!(throttling(&tree.root()), Some(expected));
}

#[test]
fn the_local_counter_tells_of_ancestors_that_cannot_be_seen() {
    let tree = Tree::v2("/")
        .file("/sys/fs/cgroup/cpu.stat", "nr_periods 0\nnr_throttled 0\nthrottled_usec 0\n")
        .file("/sys/fs/cgroup/cpu.stat.local", "throttled_usec 1000000\n");
    let time = Duration::from_secs(1);
    let expected = Throttling { time, ..Throttling::default() };
    assert_eq!(throttling(&tree.root()), Some(expected));
}
