//! Sets of CPUs, the affinity mask of the calling thread, and pinning it to one CPU.

use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;

use nix::sched::sched_getaffinity;
use nix::unistd::Pid;

use crate::root::Root;

/// CPU numbers from here on are refused; Linux is built for at most 8,192.
const CPUS_MAX: usize = 1 << 14;

/// The longest list that is read; every second CPU of `CPUS_MAX` needs less than 48 KiB.
const LIST_BYTES_MAX: usize = 64 << 10;

/// CPU numbers from here on do not fit the fixed-size mask that threads are pinned with.
const PINNABLE_CPUS_MAX: usize = 1024;

/// A set of CPUs by the numbers that the kernel gives them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuSet {
    /// Ascending, without duplicates.
    cpus: Vec<usize>,
}

impl CpuSet {
    /// Reads the kernel's list format, such as `0-3,7`; `None` if it is anything else.
    pub fn parse(list: &str) -> Option<Self> {
        let list = list.trim();
        if list.is_empty() {
            return Some(Self::default());
        }
        if list.len() > LIST_BYTES_MAX {
            return None;
        }
        let ranges: Option<Vec<_>> = list.split(',').map(parse_range).collect();
        let mut listed = vec![false; CPUS_MAX];
        for cpu in ranges?.into_iter().flatten() {
            listed[cpu] = true;
        }
        Some((0..CPUS_MAX).filter(|&cpu| listed[cpu]).collect())
    }

    /// How many CPUs are in the set.
    pub fn len(&self) -> usize {
        self.cpus.len()
    }

    /// Whether no CPU is in the set.
    pub fn is_empty(&self) -> bool {
        self.cpus.is_empty()
    }

    /// Whether this CPU is in the set.
    pub fn contains(&self, cpu: usize) -> bool {
        self.cpus.binary_search(&cpu).is_ok()
    }

    /// The CPUs, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.cpus.iter().copied()
    }

    /// The CPUs that are in both sets.
    pub fn intersection(&self, other: &Self) -> Self {
        self.iter().filter(|&cpu| other.contains(cpu)).collect()
    }

    /// Whether all of these are in `other`, and `other` has more.
    pub fn is_proper_subset(&self, other: &Self) -> bool {
        self.len() < other.len() && self.iter().all(|cpu| other.contains(cpu))
    }

    /// The CPUs that [`pin_current_thread`] can pin to.
    pub(crate) fn pinnable(&self) -> Vec<usize> {
        self.iter().filter(|&cpu| cpu < PINNABLE_CPUS_MAX).collect()
    }
}

impl FromIterator<usize> for CpuSet {
    fn from_iter<I: IntoIterator<Item = usize>>(cpus: I) -> Self {
        let mut cpus: Vec<usize> = cpus.into_iter().collect();
        cpus.sort_unstable();
        cpus.dedup();
        Self { cpus }
    }
}

/// The kernel's list format: `0-3,7`.
impl fmt::Display for CpuSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.cpus.chunk_by(|left, right| left + 1 == *right);
        for (index, run) in runs.enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match run {
                [only] => write!(formatter, "{comma}{only}")?,
                [first, .., last] => write!(formatter, "{comma}{first}-{last}")?,
                [] => {}
            }
        }
        Ok(())
    }
}

/// The CPUs that the calling thread may run on.
///
/// Threads inherit this mask, so read it before the first thread pins itself, or on a thread
/// that never does. `sched_getaffinity` fails where the kernel knows more CPUs than its
/// fixed-size mask; the list in `/proc` then says the same. Empty if neither can be had.
pub fn affinity_mask() -> CpuSet {
    match sched_getaffinity(Pid::from_raw(0)) {
        Ok(mask) => (0..nix::sched::CpuSet::count())
            .filter(|&cpu| mask.is_set(cpu).unwrap_or(false))
            .collect(),
        Err(_) => mask_from_proc(&Root::host()).unwrap_or_default(),
    }
}

/// Why a thread could not be pinned.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The mask that threads are pinned with ends before this CPU.
    #[error("CPU {cpu} is beyond the {PINNABLE_CPUS_MAX} CPUs that a thread can be pinned to")]
    BeyondMask {
        /// The CPU that was asked for.
        cpu: usize,
    },
    /// The CPU is offline or outside the cpuset, or a seccomp filter forbids pinning.
    #[error("the kernel refused to pin a thread to CPU {cpu}")]
    Refused {
        /// The CPU that was asked for.
        cpu: usize,
        /// What the kernel answered.
        source: io::Error,
    },
}

/// Lets the calling thread, and those that it will start, run on this CPU alone.
///
/// `cpu` is the kernel's number, as in a [`CpuSet`]. The kernel widens the mask again by itself
/// when the CPU leaves our cpuset.
pub fn pin_current_thread(cpu: usize) -> Result<(), PinError> {
    // core_affinity indexes a fixed-size mask and would panic beyond it.
    if cpu >= PINNABLE_CPUS_MAX {
        return Err(PinError::BeyondMask { cpu });
    }
    if core_affinity::set_for_current(core_affinity::CoreId { id: cpu }) {
        Ok(())
    } else {
        Err(PinError::Refused { cpu, source: io::Error::last_os_error() })
    }
}

fn mask_from_proc(root: &Root) -> Option<CpuSet> {
    let status = root.text(Path::new("/proc/thread-self/status"))?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    CpuSet::parse(list)
}

fn parse_range(range: &str) -> Option<RangeInclusive<usize>> {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last && last < CPUS_MAX).then_some(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_written_as_the_kernel_does() {
        for list in ["", "0", "0-3", "0-3,7", "1,3,5-6", "1023-1025"] {
            assert_eq!(CpuSet::parse(list).map(|cpus| cpus.to_string()).as_deref(), Some(list));
        }
        assert_eq!(
            CpuSet::parse("2,0-2, 1\n").map(|cpus| cpus.to_string()).as_deref(),
            Some("0-2")
        );
    }

    #[test]
    fn lists_that_no_kernel_writes_are_refused() {
        for list in ["a", "1-", "-1", "3-1", "0-18446744073709551615", "0,,1", "0-1-2", "16384"] {
            assert_eq!(CpuSet::parse(list), None, "{list}");
        }
    }

    #[test]
    fn a_set_is_no_proper_subset_of_itself() {
        let two = CpuSet::from_iter([0, 1]);
        assert!(!two.is_proper_subset(&two));
        assert!(two.is_proper_subset(&CpuSet::from_iter([0, 1, 2])));
        assert!(!two.is_proper_subset(&CpuSet::from_iter([1, 2, 3])));
    }

    #[test]
    fn a_pinned_thread_sees_one_cpu_and_the_others_keep_theirs() {
        let before = affinity_mask();
        let last = before.iter().last().expect("a CPU to run on");
        let pinned = std::thread::spawn(move || {
            pin_current_thread(last).expect("our own CPU can be pinned to");
            (affinity_mask(), mask_from_proc(&Root::host()))
        });
        let (mask, listed) = pinned.join().expect("the pinned thread ends well");
        assert_eq!(mask, CpuSet::from_iter([last]));
        assert_eq!(listed, Some(mask));
        assert_eq!(affinity_mask(), before);
    }

    #[test]
    fn a_cpu_that_is_not_there_is_refused_with_the_kernels_answer() {
        assert!(matches!(pin_current_thread(1023), Err(PinError::Refused { cpu: 1023, .. })));
        assert!(matches!(pin_current_thread(1024), Err(PinError::BeyondMask { cpu: 1024 })));
        assert!(matches!(pin_current_thread(usize::MAX), Err(PinError::BeyondMask { .. })));
    }
}
