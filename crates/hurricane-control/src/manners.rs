//! How probes and webhooks behave where Django-Hurricane 1.6.2 behaved otherwise.
//!
//! Made once, as a constant, and handed on with [`VerdictLimits`](crate::VerdictLimits).

/// What a probe is asked and told beside its verdict, and what webhooks tell.
#[derive(Debug, PartialEq, Eq)]
pub struct Manners {
    /// Whether probes take HEAD.
    pub(crate) takes_head: bool,
    /// Whether caches are told to keep no answer.
    pub(crate) forbids_caching: bool,
    /// Whether a probe on a port of its own has its checks run, and waits for them.
    pub asks_checks: bool,
    /// Whether another result of a check is logged.
    pub(crate) logs_checks: bool,
    /// Whether the queue's length counts connections too, as asyncio's tasks did.
    pub(crate) counts_tasks: bool,
    /// Whether changes of probes are told although nobody has asked one.
    pub(crate) looks_unasked: bool,
    /// Whether webhooks tell why a probe fails.
    pub(crate) says_why: bool,
    /// Whether webhooks tell also of a start that takes long, of drain and shutdown.
    pub(crate) tells_more: bool,
}

impl Manners {
    /// Ours.
    pub const OURS: Self = Self {
        takes_head: true,
        forbids_caching: true,
        asks_checks: false,
        logs_checks: true,
        counts_tasks: false,
        looks_unasked: true,
        says_why: true,
        tells_more: true,
    };

    /// Those of Django-Hurricane 1.6.2.
    pub const LEGACY: Self = Self {
        takes_head: false,
        forbids_caching: false,
        asks_checks: true,
        logs_checks: false,
        counts_tasks: true,
        looks_unasked: false,
        says_why: false,
        tells_more: false,
    };
}
