//! A number of CPUs, and who says it.

use std::fmt;

use crate::quantity::MilliCpus;
use crate::version::CgroupVersion;

/// A number of CPUs, and who says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// How much.
    pub cpus: MilliCpus,
    /// Who says it.
    pub origin: Origin,
}

/// Who says how many CPUs we may use. Displayed as the end of "CPU limit 1.5 …".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A cgroup's CPU quota.
    Quota {
        /// The cgroup.
        cgroup: String,
        /// The interface it was read from.
        version: CgroupVersion,
    },
    /// A cgroup's weight, from which a request was computed.
    Weight {
        /// The cgroup.
        cgroup: String,
        /// The interface it was read from.
        version: CgroupVersion,
        /// `cpu.shares` of v1, `cpu.weight` of v2.
        value: u64,
    },
    /// An environment variable.
    Variable(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quota { cgroup, version } => write!(formatter, "of cgroup {cgroup} ({version})"),
            Self::Weight { cgroup, version: CgroupVersion::V1, value } => {
                write!(formatter, "behind cpu.shares {value} of cgroup {cgroup} (v1)")
            }
            Self::Weight { cgroup, version: CgroupVersion::V2, value } => {
                write!(formatter, "behind cpu.weight {value} of cgroup {cgroup} (v2)")
            }
            Self::Variable(name) => write!(formatter, "from {name}"),
        }
    }
}
