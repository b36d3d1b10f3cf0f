//! `--pin auto|on|off`: which CPU each worker is pinned to.
//!
//! Under the kubelet's default CPU manager every pod sees all of the node's CPUs; if each pinned
//! its worker 0 to the first of them, they would all sit on it. So `auto` pins in two cases only:
//!
//! - The CPUs are ours: the cpuset is a proper subset of the node's CPUs. A limit or request below
//!   the cpuset's size says that others are meant to run there too (the pool that the static CPU
//!   manager leaves to pods without exclusive CPUs is such a subset), and so does a pod that has
//!   neither: then they are not ours.
//! - The workers cover all visible CPUs, so that none is favoured.
//!
//! In both cases more workers than CPUs must spread evenly: three workers pinned to two CPUs
//! would be worse off than three that the scheduler moves.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

use crate::affinity::CpuSet;
use crate::survey::Survey;

/// Whether workers are pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PinMode {
    /// When the CPUs are ours.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// A word that is no [`PinMode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected auto, on or off")]
pub struct PinModeError;

impl FromStr for PinMode {
    type Err = PinModeError;

    fn from_str(word: &str) -> Result<Self, PinModeError> {
        match word {
            "auto" => Ok(Self::Auto),
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err(PinModeError),
        }
    }
}

impl fmt::Display for PinMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        })
    }
}

/// Which CPU each worker is pinned to, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinPlan {
    /// Ascending; empty if nothing is pinned.
    cpus: Vec<usize>,
    /// A phrase for the start line, such as `pinned to CPUs 4-5, which are ours`.
    pub reason: String,
}

impl PinPlan {
    /// The CPU of worker `worker`, in turn over the CPUs; `None` leaves it to the scheduler.
    pub fn cpu(&self, worker: usize) -> Option<usize> {
        let turn = worker.checked_rem(self.cpus.len())?;
        self.cpus.get(turn).copied()
    }

    /// Whether workers are pinned.
    pub fn is_pinned(&self) -> bool {
        !self.cpus.is_empty()
    }
}

/// Decides where `workers` workers are pinned.
pub fn pin_plan(mode: PinMode, survey: &Survey, workers: NonZeroUsize) -> PinPlan {
    let visible = survey.visible();
    let cpus = visible.pinnable();
    let unpinned =
        |reason: &str| PinPlan { cpus: Vec::new(), reason: format!("not pinned, {reason}") };
    let pinned = |reason: &str| {
        let noun = if visible.len() == 1 { "CPU" } else { "CPUs" };
        let reason = format!("pinned to {noun} {visible}, {reason}");
        PinPlan { cpus: cpus.clone(), reason }
    };
    if mode == PinMode::Off {
        return unpinned("as asked");
    }
    if cpus.is_empty() || cpus.len() < visible.len() {
        return unpinned("the CPUs cannot be named");
    }
    if mode == PinMode::On {
        return pinned("as asked");
    }
    let workers = workers.get();
    if workers > cpus.len() && !workers.is_multiple_of(cpus.len()) {
        return unpinned(&format!("{workers} workers do not spread evenly over CPUs {visible}"));
    }
    if cpus_are_ours(survey, &visible) {
        return pinned("which are ours");
    }
    if workers >= cpus.len() {
        return pinned("all that we can see");
    }
    unpinned(&format!("other processes may run on CPUs {visible} too"))
}

fn cpus_are_ours(survey: &Survey, visible: &CpuSet) -> bool {
    let (Some(cpuset), Some(online)) = (&survey.cpuset, &survey.online) else { return false };
    let meant_for_us = match survey.limit().or(survey.request.as_ref()) {
        Some(bound) => bound.cpus.covers(cpuset.cpus.len()),
        None => !survey.kubernetes,
    };
    meant_for_us && cpuset.cpus == *visible && cpuset.cpus.is_proper_subset(online)
}
