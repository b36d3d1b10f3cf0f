//! `--workers auto` on file trees of every shape, one rule a test.

use hurricane_cpu::{Survey, worker_count};

use crate::fixture::{Tree, V1_MOUNTS, V2_MOUNT};

const POD: &str = "/kubepods.slice/pod1/abc";

#[test]
fn without_any_limit_every_visible_cpu_gets_a_worker() {
    Tree::v2("/").expect(8, "CPUs 0-7, all that are online, no CPU limit or request");
}

#[test]
fn without_a_cgroup_file_system_the_affinity_mask_counts() {
    Tree::new("0::/\n", "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n")
        .affinity("2-4")
        .expect(3, "CPUs 2-4, affinity mask, no CPU limit or request");
}

#[test]
fn without_any_file_the_affinity_mask_counts() {
    let tree = Tree::v2("/").affinity("1");
    tree.without_files().expect(1, "CPU 1, affinity mask, no CPU limit or request");
}

#[test]
fn without_an_affinity_mask_there_is_one_worker_and_a_remark() {
    let tree = Tree::v2("/").affinity("");
    assert_eq!(tree.survey().remarks, ["the affinity mask cannot be read"]);
    tree.expect(1, "one worker, as no CPU count can be read");
}

#[test]
fn a_quota_of_v2_is_rounded_down() {
    for (content, workers, limit) in
        [("200000 100000\n", 2, "2"), ("199999 100000\n", 1, "1.999"), ("150000\n", 1, "1.5")]
    {
        Tree::v2("/app")
            .file("/sys/fs/cgroup/app/cpu.max", content)
            .expect(workers, &format!("CPU limit {limit} of cgroup /app (v2)"));
    }
}

#[test]
fn a_quota_that_changes_is_followed_though_the_variable_stays() {
    let pod = |content: &str| {
        Tree::v2("/app")
            .file("/sys/fs/cgroup/app/cpu.max", content)
            .variable("HURRICANE_CPU_LIMIT_MILLIS", "1500")
            .survey()
    };
    let start = pod("150000 100000\n");
    let workers = |survey: Survey| worker_count(&survey.after(&start)).workers.get();
    assert_eq!(workers(pod("300000 100000\n")), 3);
    assert_eq!(workers(pod("100000 100000\n")), 1);
    // A limit of the pod, which the cgroup does not show.
    let hidden = pod("max 100000\n");
    let later = pod("300000 100000\n").after(&hidden);
    assert_eq!(worker_count(&later).workers.get(), 1);
}

#[test]
fn a_quota_below_one_cpu_gives_one_worker() {
    Tree::v2("/app")
        .file("/sys/fs/cgroup/app/cpu.max", "50000 100000\n")
        .expect(1, "CPU limit 0.5 of cgroup /app (v2), rounded up to one worker");
}

#[test]
fn a_quota_of_max_limits_nothing() {
    Tree::v2("/app")
        .file("/sys/fs/cgroup/app/cpu.max", "max 100000\n")
        .expect(8, "CPUs 0-7, all that are online, no CPU limit or request");
}

#[test]
fn a_quota_wider_than_the_machine_gives_way_to_its_cpus() {
    Tree::v2("/app")
        .file("/sys/fs/cgroup/app/cpu.max", "1600000 100000\n")
        .expect(8, "CPUs 0-7, all that are online");
}

#[test]
fn the_tightest_ancestor_of_v2_counts() {
    Tree::v2("/a/b/c")
        .file("/sys/fs/cgroup/a/b/c/cpu.max", "400000 100000\n")
        .file("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n")
        .file("/sys/fs/cgroup/a/cpu.max", "300000 100000\n")
        .expect(3, "CPU limit 3 of cgroup /a (v2)");
}

#[test]
fn a_siblings_quota_does_not_count() {
    Tree::v2("/a/b")
        .file("/sys/fs/cgroup/a/c/cpu.max", "100000 100000\n")
        .expect(8, "CPUs 0-7, all that are online, no CPU limit or request");
}

#[test]
fn in_a_cgroup_namespace_the_namespaces_root_counts() {
    Tree::v2("/")
        .file("/sys/fs/cgroup/cpu.max", "250000 100000\n")
        .expect(2, "CPU limit 2.5 of cgroup / (v2)");
}

#[test]
fn a_quota_of_v1_is_read_from_two_files() {
    Tree::v1("/app").quota_v1("/app", "350000\n").expect(3, "CPU limit 3.5 of cgroup /app (v1)");
}

#[test]
fn a_quota_of_minus_one_limits_nothing() {
    Tree::v1("/app")
        .quota_v1("/app", "-1\n")
        .expect(8, "CPUs 0-7, all that are online, no CPU limit or request");
}

#[test]
fn the_tightest_ancestor_of_v1_counts() {
    Tree::v1("/a/b")
        .quota_v1("/a/b", "-1\n")
        .quota_v1("/a", "200000\n")
        .quota_v1("", "-1\n")
        .expect(2, "CPU limit 2 of cgroup /a (v1)");
}

#[test]
fn a_container_on_v1_is_found_by_its_mounts_root() {
    let mountinfo = format!(
        "700 600 0:29 {POD} /sys/fs/cgroup/cpu,cpuacct ro master:9 - cgroup cgroup rw,cpu,cpuacct\n"
    );
    Tree::new(&format!("2:cpu,cpuacct:{POD}\n"), &mountinfo)
        .quota_v1("", "150000\n")
        .expect(1, &format!("CPU limit 1.5 of cgroup {POD} (v1)"));
}

#[test]
fn a_cgroup_inside_a_container_on_v1_has_the_container_as_ancestor() {
    let mountinfo = format!(
        "700 600 0:29 {POD} /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n"
    );
    Tree::new(&format!("2:cpu,cpuacct:{POD}/inner\n"), &mountinfo)
        .quota_v1("/inner", "-1\n")
        .quota_v1("", "200000\n")
        .expect(2, &format!("CPU limit 2 of cgroup {POD} (v1)"));
}

#[test]
fn mount_points_with_spaces_are_found() {
    Tree::new("0::/my app\n", "31 23 0:28 / /sys/fs/c\\040group rw - cgroup2 cgroup2 rw\n")
        .file("/sys/fs/c group/my app/cpu.max", "100000 100000\n")
        .expect(1, "CPU limit 1 of cgroup /my app (v2)");
}

#[test]
fn a_hybrid_host_keeps_its_cpu_controller_on_v1() {
    let mountinfo = format!(
        "{V1_MOUNTS}41 31 0:38 / /sys/fs/cgroup/unified rw shared:2 - cgroup2 cgroup2 rw\n"
    );
    Tree::new("3:cpuset:/\n2:cpu,cpuacct:/v1/app\n1:name=systemd:/x\n0::/x\n", &mountinfo)
        .quota_v1("/v1/app", "200000\n")
        .file("/sys/fs/cgroup/unified/x/cpu.stat", "usage_usec 5\n")
        .expect(2, "CPU limit 2 of cgroup /v1/app (v1)");
}

#[test]
fn a_hybrid_host_may_have_its_cpu_controller_on_v2() {
    let mountinfo =
        format!("{V1_MOUNTS}41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    Tree::new("3:cpuset:/\n0::/x\n", &mountinfo)
        .file("/sys/fs/cgroup/unified/x/cpu.max", "300000 100000\n")
        .expect(3, "CPU limit 3 of cgroup /x (v2)");
}

#[test]
fn a_cpuset_of_v2_counts() {
    Tree::v2("/app")
        .file("/sys/fs/cgroup/app/cpuset.cpus.effective", "2-3\n")
        .affinity("2-3")
        .expect(2, "CPUs 2-3, cpuset of cgroup /app (v2), no CPU limit or request");
}

#[test]
fn a_cpuset_of_an_ancestor_counts_where_ours_has_none() {
    Tree::v2("/a/b")
        .file("/sys/fs/cgroup/a/cpuset.cpus.effective", "4\n")
        .expect(1, "CPU 4, cpuset of cgroup /a (v2), no CPU limit or request");
}

#[test]
fn a_cpuset_of_v1_counts_with_and_without_its_effective_file() {
    let reason = "CPUs 0,5, cpuset of cgroup /app (v1), no CPU limit or request";
    let tree = || Tree::v1("/app").file("/sys/fs/cgroup/cpuset/app/cpuset.cpus", "0,5\n");
    tree().expect(2, reason);
    tree().file("/sys/fs/cgroup/cpuset/app/cpuset.effective_cpus", "\n").expect(2, reason);
    Tree::v1("/app")
        .file("/sys/fs/cgroup/cpuset/app/cpuset.cpus", "0-7\n")
        .file("/sys/fs/cgroup/cpuset/app/cpuset.effective_cpus", "0,5\n")
        .expect(2, reason);
}

#[test]
fn an_affinity_mask_within_the_cpuset_counts() {
    Tree::v2("/app")
        .file("/sys/fs/cgroup/app/cpuset.cpus.effective", "0-3\n")
        .affinity("1,2")
        .expect(2, "CPUs 1-2, affinity mask, no CPU limit or request");
}

#[test]
fn the_smallest_of_quota_cpuset_and_affinity_counts() {
    let tree = |quota: &str, cpuset: &str, affinity: &str| {
        Tree::v2("/app")
            .file("/sys/fs/cgroup/app/cpu.max", quota)
            .file("/sys/fs/cgroup/app/cpuset.cpus.effective", cpuset)
            .affinity(affinity)
    };
    tree("100000 100000", "0-1", "0-1").expect(1, "CPU limit 1 of cgroup /app (v2)");
    tree("300000 100000", "0-1", "0-7").expect(2, "CPUs 0-1, cpuset of cgroup /app (v2)");
    tree("300000 100000", "0-3", "3").expect(1, "CPU 3, affinity mask");
}

#[test]
fn the_limit_variable_tells_of_a_limit_that_cgroups_hide() {
    let tree = || Tree::v2("/").file("/sys/fs/cgroup/cpu.max", "max 100000\n");
    tree()
        .variable("HURRICANE_CPU_LIMIT", "1500m")
        .expect(1, "CPU limit 1.5 from HURRICANE_CPU_LIMIT");
    tree()
        .variable("HURRICANE_CPU_LIMIT_MILLIS", "2500")
        .expect(2, "CPU limit 2.5 from HURRICANE_CPU_LIMIT_MILLIS");
}

#[test]
fn the_limit_variable_counts_only_when_it_is_tighter() {
    let tree = || Tree::v2("/").file("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    tree().variable("HURRICANE_CPU_LIMIT", "1").expect(1, "CPU limit 1 from HURRICANE_CPU_LIMIT");
    tree().variable("HURRICANE_CPU_LIMIT", "6").expect(2, "CPU limit 2 of cgroup / (v2)");
    tree().variable("HURRICANE_CPU_LIMIT", "2").expect(2, "CPU limit 2 of cgroup / (v2)");
}

#[test]
fn of_a_quantity_and_thousandths_the_smaller_counts() {
    // The default divisor rounds 2.5 up to 3.
    Tree::v2("/")
        .variable("HURRICANE_CPU_LIMIT", "3")
        .variable("HURRICANE_CPU_LIMIT_MILLIS", "2500")
        .expect(2, "CPU limit 2.5 from HURRICANE_CPU_LIMIT_MILLIS");
}

#[test]
fn a_variable_that_is_no_quantity_is_ignored_with_a_remark() {
    let tree = Tree::v2("/")
        .variable("HURRICANE_CPU_LIMIT", "tcp://10.0.0.1:80")
        .variable("HURRICANE_CPU_REQUEST_MILLIS", "500m");
    assert_eq!(
        tree.survey().remarks,
        [
            "HURRICANE_CPU_REQUEST_MILLIS=500m is not a number of thousandths of a CPU \
             (divisor: 1m); it is ignored",
            "HURRICANE_CPU_LIMIT=tcp://10.0.0.1:80 is not a Kubernetes quantity (it does not \
             begin with a number); it is ignored",
        ]
    );
    tree.expect(8, "CPUs 0-7, all that are online, no CPU limit or request");
}

#[test]
fn an_empty_variable_and_zero_are_not_set() {
    let tree = Tree::v2("/")
        .variable("HURRICANE_CPU_LIMIT", " ")
        .variable("HURRICANE_CPU_REQUEST_MILLIS", "0");
    assert!(tree.survey().remarks.is_empty());
    tree.expect(8, "CPUs 0-7, all that are online, no CPU limit or request");
}

#[test]
fn without_a_limit_the_request_variable_counts() {
    Tree::v2("/")
        .variable("HURRICANE_CPU_REQUEST", "2500m")
        .expect(2, "CPU request 2.5 from HURRICANE_CPU_REQUEST");
    Tree::v2("/")
        .variable("HURRICANE_CPU_REQUEST_MILLIS", "500")
        .expect(1, "CPU request 0.5 from HURRICANE_CPU_REQUEST_MILLIS, rounded up to one worker");
}

#[test]
fn with_a_limit_the_request_does_not_count() {
    Tree::v2("/")
        .file("/sys/fs/cgroup/cpu.max", "400000 100000\n")
        .variable("HURRICANE_CPU_REQUEST", "1")
        .expect(4, "CPU limit 4 of cgroup / (v2)");
}

#[test]
fn a_request_wider_than_the_machine_gives_way_to_its_cpus() {
    Tree::v2("/")
        .variable("HURRICANE_CPU_REQUEST", "16")
        .expect(8, "CPUs 0-7, all that are online");
}

#[test]
fn the_nodes_allocatable_cpus_are_no_limit() {
    // What limits.cpu gives in a container without a CPU limit, on a node with 8 CPUs.
    let tree = Tree::v2("/")
        .file("/sys/fs/cgroup/cpu.max", "max 100000\n")
        .variable("HURRICANE_CPU_LIMIT_MILLIS", "7910")
        .variable("HURRICANE_CPU_REQUEST_MILLIS", "500");
    assert_eq!(tree.survey().remarks.len(), 1);
    tree.expect(1, "CPU request 0.5 from HURRICANE_CPU_REQUEST_MILLIS, rounded up to one worker");
}

#[test]
fn a_limit_variable_near_the_nodes_cpus_counts_where_no_request_is_known() {
    Tree::v2("/")
        .variable("HURRICANE_CPU_LIMIT_MILLIS", "7910")
        .expect(7, "CPU limit 7.91 from HURRICANE_CPU_LIMIT_MILLIS");
}

#[test]
fn in_kubernetes_the_weight_is_the_request() {
    for (weight, request) in [("79", 2), ("174", 2), ("157", 4), ("303", 4)] {
        Tree::v2("/")
            .in_kubernetes()
            .file("/sys/fs/cgroup/cpu.weight", format!("{weight}\n"))
            .expect(
                request,
                &format!("CPU request {request} behind cpu.weight {weight} of cgroup / (v2)"),
            );
    }
    Tree::v1(POD)
        .file(&format!("/sys/fs/cgroup/cpu,cpuacct{POD}/cpu.shares"), "3072\n")
        .expect(3, &format!("CPU request 3 behind cpu.shares 3072 of cgroup {POD} (v1)"));
}

#[test]
fn in_kubernetes_the_default_weight_is_a_request_of_one_cpu() {
    Tree::v2("/")
        .in_kubernetes()
        .file("/sys/fs/cgroup/cpu.weight", "100\n")
        .expect(1, "CPU request 1 behind cpu.weight 100 of cgroup / (v2)");
    Tree::v1("/")
        .in_kubernetes()
        .file("/sys/fs/cgroup/cpu,cpuacct/cpu.shares", "1024\n")
        .expect(1, "CPU request 1 behind cpu.shares 1024 of cgroup / (v1)");
}

#[test]
fn in_kubernetes_the_least_weight_is_no_request() {
    Tree::v2("/")
        .in_kubernetes()
        .file("/sys/fs/cgroup/cpu.weight", "1\n")
        .expect(8, "CPUs 0-7, all that are online, no CPU limit or request");
}

#[test]
fn outside_kubernetes_a_weight_says_nothing() {
    for weight in ["1\n", "39\n", "100\n", "10000\n"] {
        Tree::v2("/system.slice/app.service")
            .file("/sys/fs/cgroup/system.slice/app.service/cpu.weight", weight)
            .expect(8, "CPUs 0-7, all that are online, no CPU limit or request");
    }
    Tree::v1("/docker/abc")
        .file("/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.shares", "1024\n")
        .expect(8, "CPUs 0-7, all that are online, no CPU limit or request");
}

#[test]
fn the_request_variable_is_believed_before_the_weight() {
    Tree::v2("/")
        .in_kubernetes()
        .file("/sys/fs/cgroup/cpu.weight", "79\n")
        .variable("HURRICANE_CPU_REQUEST_MILLIS", "3000")
        .expect(3, "CPU request 3 from HURRICANE_CPU_REQUEST_MILLIS");
}

#[test]
fn a_limit_that_changes_is_seen_by_the_next_survey() {
    let mut tree = Tree::v2("/");
    for (quota, workers) in [("50000", 1), ("300000", 3), ("max", 8), ("250000", 2)] {
        tree = tree.file("/sys/fs/cgroup/cpu.max", format!("{quota} 100000\n"));
        assert_eq!(tree.count().workers.get(), workers);
    }
}

#[test]
fn no_file_content_makes_a_survey_panic() {
    let files = [
        "/proc/self/cgroup",
        "/proc/self/mountinfo",
        "/proc/stat",
        "/sys/devices/system/cpu/online",
        "/sys/fs/cgroup/app/cpu.max",
        "/sys/fs/cgroup/app/cpu.weight",
        "/sys/fs/cgroup/app/cpu.stat",
        "/sys/fs/cgroup/app/cpu.stat.local",
        "/sys/fs/cgroup/app/cpuset.cpus.effective",
        "/sys/fs/cgroup/app/memory.max",
        "/sys/fs/cgroup/app/memory.high",
    ];
    let own = "1:cpu,cpuacct:/../a\n0::/app\n".as_bytes();
    let seeds = [own, V2_MOUNT.as_bytes(), V1_MOUNTS.as_bytes(), b"100000 100000", b"0-3,7", b""];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut tree = Tree::v2("/app").in_kubernetes();
    for _ in 0..3000 {
        let file = files[random.below(files.len())];
        let mut content = seeds[random.below(seeds.len())].to_vec();
        for _ in 0..random.below(6) {
            let at = random.below(content.len() + 1);
            let byte = *random.pick(b"\0\n \\/:,.-+0179acgmx\x80\xff");
            match random.below(3) {
                0 => content.insert(at, byte),
                1 => content.truncate(at),
                _ => content.splice(at..at, b"18446744073709551616".iter().copied()).for_each(drop),
            }
        }
        let text = String::from_utf8_lossy(&content).into_owned();
        tree = tree.file(file, &content).variable("HURRICANE_CPU_LIMIT", &text);
        let workers = tree.count().workers.get();
        assert!((1..=8).contains(&workers), "{workers} workers");
        let plan = tree.pin(["auto", "on", "off"][random.below(3)], workers);
        assert!(plan.cpu(random.below(9)).is_none_or(|cpu| cpu < 8));
        let _ = hurricane_cpu::memory_limit(&tree.root());
        let _ = hurricane_cpu::throttling(&tree.root());
    }
}

/// xorshift: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
