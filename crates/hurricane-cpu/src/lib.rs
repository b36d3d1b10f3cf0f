//! How many CPUs and how much memory this process may use, and which CPU a worker is pinned to.
//!
//! A [`Survey`] reads once what limits us: the affinity mask, the cpuset, the CPU quota of our
//! cgroup and of every ancestor that we can see (v1, v2, hybrid), and what Kubernetes says through
//! the downward API. [`worker_count`] and [`pin_plan`] are pure functions over it.
//! [`memory_limit`], [`memory_used`] and [`throttling`] read their cgroup files in the same way.
//!
//! Limits change under a running pod, so everything may be read again at any time; the only
//! state is the file tree below a [`Root`].
//!
//! Invariants:
//! - No file content, variable or missing file makes anything here fail or panic: what cannot be
//!   understood limits nothing, and a variable that cannot be understood is named in
//!   [`Survey::remarks`].
//! - A worker count is at least one, and at most the number of CPUs that we can see.
//! - The survey is taken on a thread that is not pinned, before the first worker pins itself or
//!   on a thread that never does: a thread inherits its creator's affinity mask, and the survey
//!   of a pinned thread sees one CPU.

#![forbid(unsafe_code)]

mod affinity;
mod bound;
mod cgroup;
mod memory;
mod mount;
mod pin;
mod quantity;
mod request;
mod root;
mod survey;
mod throttling;
mod version;
mod workers;

pub use affinity::{CpuSet, PinError, affinity_mask, pin_current_thread};
pub use bound::{Bound, Origin};
pub use cgroup::CgroupCpus;
pub use memory::{MemoryLimit, memory_limit, memory_used, out_of_memory_kills};
pub use pin::{PinMode, PinModeError, PinPlan, pin_plan};
pub use quantity::{MilliCpus, QuantityError};
pub use root::Root;
pub use survey::{Survey, VARIABLES};
pub use throttling::{Throttling, throttling};
pub use version::CgroupVersion;
pub use workers::{WorkerCount, worker_count};
