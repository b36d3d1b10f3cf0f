//! Who is told why the server ends, besides the log: Kubernetes' termination log, and a webhook
//! where nothing was started that could tell it.

use hurricane_control::{WebhookOptions, send_failed_start};

use crate::cli::Args;
use crate::config::{Config, webhook};
use crate::reload::errand;
use crate::termination::TerminationLog;

/// Who is told.
pub(crate) struct LastWords {
    termination_log: TerminationLog,
    webhook: Option<WebhookOptions>,
}

impl LastWords {
    pub(crate) fn of(config: &Config) -> Self {
        let (termination_log, webhook) = (config.termination_log.clone(), config.webhook.clone());
        Self { termination_log, webhook }
    }

    /// A reload that fails is no start that fails.
    pub(crate) fn of_reload(config: &Config) -> Self {
        Self { webhook: None, ..Self::of(config) }
    }

    /// Why a server ends whose control process has told the webhook.
    pub(crate) fn of_a_server(&self, reason: &str) {
        self.termination_log.write(reason);
    }

    /// Why nothing was started. Takes as long as the webhook does: seconds at most.
    pub(crate) fn of_a_start(&self, reason: &str) {
        self.termination_log.write(reason);
        if let Some(webhook) = &self.webhook {
            send_failed_start(webhook, reason);
        }
    }
}

/// Last words of a process that ends before it serves, because what is to be served cannot be
/// loaded. New code that does not load ends no server: then nobody is told.
pub fn last_words(args: &Args, reason: &str) {
    if errand::is_done() {
        let termination_log = TerminationLog::at(args.termination_log.clone());
        LastWords { termination_log, webhook: webhook(args) }.of_a_start(reason);
    }
}
