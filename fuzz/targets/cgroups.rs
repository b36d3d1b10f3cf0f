//! Whatever the kernel's files and the downward API's variables say, there is a worker count that
//! fits the CPUs, a plan that pins to CPUs that can be seen, and no panic.
//!
//! An input is a tree in one text: a line `=/path` begins each file, `=NAME` a variable.
#![no_main]

use std::collections::BTreeMap;
use std::path::PathBuf;

use hurricane_cpu::{
    CpuSet, MilliCpus, PinMode, Root, Survey, memory_limit, memory_used, out_of_memory_kills,
    pin_plan, throttling, worker_count,
};

/// So that what stands in the other files is read even where these two make no sense.
const PLACES: [(&str, &str); 2] = [
    ("/proc/self/cgroup", "3:cpuset:/pod\n2:cpu,memory:/pod\n0::/pod/box\n"),
    (
        "/proc/self/mountinfo",
        "1 0 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n\
         2 1 0:2 / /sys/fs/cgroup/v1 rw - cgroup cgroup rw,cpu,memory,cpuset\n",
    ),
];

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let mut files = BTreeMap::new();
    let mut variables = BTreeMap::new();
    for section in input.split(|byte| *byte == b'=') {
        let end = section.iter().position(|byte| *byte == b'\n').unwrap_or(section.len());
        let (name, content) = section.split_at(end);
        let (name, content) = (name.trim_ascii(), content.get(1..).unwrap_or_default());
        let Ok(name) = std::str::from_utf8(name) else { continue };
        let text = String::from_utf8_lossy(content).into_owned();
        if name.starts_with('/') {
            files.insert(PathBuf::from(name), content.to_vec());
        } else if !name.is_empty() {
            let _ = text.parse::<MilliCpus>();
            if let Some(cpus) = CpuSet::parse(&text) {
                assert_eq!(CpuSet::parse(&cpus.to_string()), Some(cpus));
            }
            variables.insert(name.to_owned(), text);
        }
    }
    survey(Root::of_files(files.clone()), &variables);
    for (path, content) in PLACES {
        files.insert(path.into(), content.into());
    }
    survey(Root::of_files(files), &variables);
});

fn survey(root: Root, variables: &BTreeMap<String, String>) {
    let affinity: CpuSet = (0..4).collect();
    let survey = Survey::take(&root, affinity, |name| variables.get(name).cloned());
    let count = worker_count(&survey);
    let (visible, workers) = (survey.visible(), count.workers.get());
    assert!(workers <= visible.len().max(1), "{count:?}");
    for mode in [PinMode::Auto, PinMode::On] {
        let plan = pin_plan(mode, &survey, count.workers);
        let pinned: Vec<_> = (0..workers).filter_map(|worker| plan.cpu(worker)).collect();
        assert!(pinned.iter().all(|cpu| visible.contains(*cpu)), "{pinned:?} of {visible}");
    }
    let again = survey.clone().after(&survey);
    assert!(again.limits.len() <= survey.limits.len());
    let _ =
        (memory_limit(&root), memory_used(&root), out_of_memory_kills(&root), throttling(&root));
}
