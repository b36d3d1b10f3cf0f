//! What `--compat` decides, all of it, in one place.
//!
//! Whatever was changed on purpose is a choice with a name here, in [`Dialect`] or in [`Manners`].
//! They are made once, when flags are settled, and handed on as data: nothing below `config` asks
//! which version counts. What has to be known before flags are settled, or is decided in Python, is
//! in `python/hurricane/legacy.py`.

use std::num::NonZeroUsize;

use hurricane_control::{ATTEMPTS_MAX, Manners};
use hurricane_cpu::{CpuSet, Survey, worker_count};
use hurricane_http::Dialect;

use crate::cli::Args;
use crate::exit::Exit;
use crate::values::{Compat, WORKERS_MAX, Workers};

/// How a server behaves where there is more than one way.
#[derive(Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// How requests are taken and answers sent.
    pub(crate) dialect: &'static Dialect,
    /// How probes and webhooks behave.
    pub(crate) manners: &'static Manners,
    /// Whether a failing probe says no more than a word.
    pub(crate) is_bare: bool,
    /// Whether paths of probes are regular expressions, and that of metrics is taken as it stands.
    pub(crate) has_patterns: bool,
    /// Whether requests without an identifier are given one.
    pub(crate) identifies: bool,
    /// Whether a webhook's URL is logged with its path and query.
    pub(crate) shows_webhook_url: bool,
    /// How often a webhook is tried.
    pub(crate) webhook_attempts_max: u32,
    /// Whether probes on the application's port count for `--max-lifetime`.
    pub(crate) counts_probes: bool,
    /// Whether nothing counts for it without metrics.
    pub(crate) counts_by_metrics: bool,
    /// Whether there is one worker, and `--workers` is the number of its threads.
    pub(crate) is_one_process: bool,
    /// Whether connections are refused until the server serves.
    pub(crate) opens_late: bool,
    /// Whether the server ends when changed code cannot be loaded (`--autoreload`).
    pub(crate) ends_without_code: bool,
    /// When a command before the start has failed.
    pub(crate) preparation_failed: Exit,
    /// When the broker cannot be reached, or is lost.
    pub(crate) disconnected: Exit,
    /// Whether text files say that they are UTF-8.
    pub(crate) names_charset: bool,
}

const OURS: Behaviour = Behaviour {
    dialect: &Dialect::OURS,
    manners: &Manners::OURS,
    is_bare: false,
    has_patterns: false,
    identifies: true,
    shows_webhook_url: false,
    webhook_attempts_max: ATTEMPTS_MAX,
    counts_probes: false,
    counts_by_metrics: false,
    is_one_process: false,
    opens_late: false,
    ends_without_code: false,
    preparation_failed: Exit::PreparationFailed,
    disconnected: Exit::Disconnected,
    names_charset: true,
};

/// That of Django-Hurricane 1.6.2, but for what was a danger, a hang or a loss.
const LEGACY: Behaviour = Behaviour {
    dialect: &Dialect::LEGACY,
    manners: &Manners::LEGACY,
    is_bare: true,
    has_patterns: true,
    identifies: false,
    shows_webhook_url: true,
    webhook_attempts_max: 1,
    counts_probes: true,
    counts_by_metrics: true,
    is_one_process: true,
    opens_late: true,
    ends_without_code: true,
    preparation_failed: Exit::Clean,
    disconnected: Exit::Clean,
    names_charset: false,
};

/// As `--threads` says.
const THREADS_DEFAULT: usize = 4;
/// Of Python's pools.
const THREADS_MAX: usize = 32;
const THREADS_BESIDE_CPUS: usize = 4;

impl Behaviour {
    /// How many workers there are, and why.
    pub(crate) fn workers(&self, args: &Args, survey: &Survey) -> (NonZeroUsize, String) {
        match args.workers {
            _ if self.is_one_process => (NonZeroUsize::MIN, "--compat".to_owned()),
            Workers::Count(count) => (count, "--workers".to_owned()),
            Workers::Auto => {
                let counted = worker_count(survey);
                (counted.workers.min(WORKERS_MAX), counted.reason)
            }
        }
    }

    /// Threads of a worker. Of one that is the whole server there are as many as Python's pools
    /// have, unless something else is said.
    pub(crate) fn threads(&self, args: &Args, survey: &Survey) -> usize {
        match args.workers {
            _ if !self.is_one_process => args.threads,
            Workers::Count(count) => count.get(),
            Workers::Auto if args.threads != THREADS_DEFAULT => args.threads,
            Workers::Auto => {
                let online = survey.online.as_ref().map_or(0, CpuSet::len);
                (online.max(survey.affinity.len()) + THREADS_BESIDE_CPUS).min(THREADS_MAX)
            }
        }
    }
}

impl Compat {
    /// What it decides.
    pub fn behaviour(self) -> &'static Behaviour {
        match self {
            Self::Off => &OURS,
            Self::V1_6 => &LEGACY,
        }
    }
}
