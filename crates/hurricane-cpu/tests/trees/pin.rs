//! `--pin auto|on|off` on file trees, one rule a test.

use crate::fixture::Tree;
use hurricane_cpu::PinPlan;

/// A v2 container whose cpuset and affinity mask are `cpuset`, of CPUs 0 to 7.
fn within(cpuset: &str) -> Tree {
    Tree::v2("/").file("/sys/fs/cgroup/cpuset.cpus.effective", cpuset).affinity(cpuset)
}

#[track_caller]
fn expect(plan: &PinPlan, cpus: &[Option<usize>], reason: &str) {
    let planned: Vec<_> = (0..cpus.len()).map(|worker| plan.cpu(worker)).collect();
    assert_eq!((planned.as_slice(), plan.reason.as_str()), (cpus, reason));
    assert_eq!(plan.is_pinned(), cpus.iter().any(Option::is_some));
}

#[test]
fn off_never_pins() {
    expect(&within("2-3").pin("off", 2), &[None, None], "not pinned, as asked");
}

#[test]
fn on_pins_in_turn_over_the_mask() {
    expect(
        &Tree::v2("/").affinity("1,4,6").pin("on", 4),
        &[Some(1), Some(4), Some(6), Some(1)],
        "pinned to CPUs 1,4,6, as asked",
    );
}

#[test]
fn auto_does_not_pin_where_all_pods_see_all_cpus() {
    expect(
        &within("0-7").in_kubernetes().pin("auto", 2),
        &[None, None],
        "not pinned, other processes may run on CPUs 0-7 too",
    );
}

#[test]
fn auto_pins_when_the_workers_cover_all_visible_cpus() {
    let all: Vec<_> = (0..8).map(Some).collect();
    expect(&within("0-7").pin("auto", 8), &all, "pinned to CPUs 0-7, all that we can see");
    expect(
        &Tree::v2("/").affinity("5").pin("auto", 1),
        &[Some(5)],
        "pinned to CPU 5, all that we can see",
    );
}

#[test]
fn auto_pins_within_a_cpuset_of_our_own() {
    let tree = within("2-5");
    expect(&tree.pin("auto", 2), &[Some(2), Some(3)], "pinned to CPUs 2-5, which are ours");
}

#[test]
fn auto_pins_to_the_exclusive_cpus_of_a_guaranteed_pod() {
    let reason = "pinned to CPUs 2-3, which are ours";
    let with_quota = within("2-3").file("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    expect(&with_quota.in_kubernetes().pin("auto", 1), &[Some(2)], reason);
    // The kubelet may drop the quota of exclusive CPUs; the weight still tells of them.
    let with_weight = within("2-3").file("/sys/fs/cgroup/cpu.weight", "79\n");
    expect(&with_weight.in_kubernetes().pin("auto", 1), &[Some(2)], reason);
}

#[test]
fn auto_does_not_pin_in_the_pool_that_pods_share() {
    let reason = "not pinned, other processes may run on CPUs 2-7 too";
    let limited = within("2-7").file("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    expect(&limited.in_kubernetes().pin("auto", 2), &[None, None], reason);
    let weighted = within("2-7").file("/sys/fs/cgroup/cpu.weight", "20\n");
    expect(&weighted.in_kubernetes().pin("auto", 1), &[None], reason);
    expect(&within("2-7").in_kubernetes().pin("auto", 1), &[None], reason);
}

#[test]
fn auto_does_not_pin_workers_that_do_not_spread_evenly() {
    expect(
        &within("2-3").pin("auto", 3),
        &[None, None, None],
        "not pinned, 3 workers do not spread evenly over CPUs 2-3",
    );
    assert_eq!(within("2-3").pin("auto", 4).cpu(3), Some(3));
}

#[test]
fn nothing_is_pinned_where_no_cpu_is_known_or_a_cpu_cannot_be_named() {
    for affinity in ["", "1020-1027"] {
        expect(
            &Tree::v2("/").affinity(affinity).pin("on", 1),
            &[None],
            "not pinned, the CPUs cannot be named",
        );
    }
}

#[test]
fn the_online_cpus_are_counted_where_sysfs_is_not_mounted() {
    let tree = within("0-1")
        .file("/sys/devices/system/cpu/online", "")
        .file("/proc/stat", "cpu  1 2 3\ncpu0 1 2 3\ncpu1 1 2 3\ncpu2 1 2 3\nintr 5\n");
    assert_eq!(tree.survey().online.map(|cpus| cpus.to_string()).as_deref(), Some("0-2"));
    assert!(tree.pin("auto", 1).is_pinned());
}
