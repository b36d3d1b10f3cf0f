//! A debugger in a Django project's worker: its flags, and what they change of the server.
//!
//! A worker that stands at a breakpoint answers nothing and is well. So there is one worker, nobody
//! takes it for stuck, and it is not replaced for its age or its size.

use std::num::NonZeroUsize;
use std::time::Duration;

use clap::ArgAction;
use hurricane_cpu::pin_plan;

use crate::config::Config;
use crate::recycle::{Recycling, WorkerMemory};
use crate::values::{host, port, switch};

/// Who may debug the worker of a Django project.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct DebuggingArgs {
    /// Let debuggers attach to the server by debugpy (pip install django-hurricane[debug]); it
    /// serves with one worker, which may stand at a breakpoint for any time
    #[arg(long, env = "HURRICANE_DEBUGGER", value_name = "BOOLEAN",
          action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_value = "false",
          default_missing_value = "true", value_parser = switch)]
    pub debugger: bool,

    /// Address on which debuggers are awaited [default: 127.0.0.1, which kubectl port-forward
    /// reaches]; who can connect can run any code
    #[arg(long, env = "HURRICANE_DEBUGGER_HOST", value_name = "ADDRESS", value_parser = host)]
    pub debugger_host: Option<String>,

    /// Port on which debuggers are awaited
    #[arg(long, env = "HURRICANE_DEBUGGER_PORT", value_name = "PORT",
          default_value = "5678", value_parser = port)]
    pub debugger_port: u16,

    /// Host of a PyCharm debug server to connect to (pip install django-hurricane[pycharm]); the
    /// server has one worker then, as with --debugger
    #[arg(long, env = "HURRICANE_PYCHARM_HOST", value_name = "HOST", value_parser = host)]
    pub pycharm_host: Option<String>,

    /// Port of that debug server
    #[arg(long, env = "HURRICANE_PYCHARM_PORT", value_name = "PORT", value_parser = port)]
    pub pycharm_port: Option<u16>,
}

impl DebuggingArgs {
    /// The flag that asks for a debugger, if there is one.
    pub fn wanted(&self) -> Option<&'static str> {
        match self {
            Self { debugger: true, .. } => Some("--debugger"),
            Self { pycharm_host: Some(_), pycharm_port: Some(_), .. } => Some("--pycharm-host"),
            _ => None,
        }
    }

    /// Where debuggers are awaited: on every address only where nothing was to change.
    pub fn host(&self, is_legacy: bool) -> &str {
        let default = if is_legacy { "0.0.0.0" } else { "127.0.0.1" };
        self.debugger_host.as_deref().unwrap_or(default)
    }
}

impl Config {
    /// A server of one worker that stands at breakpoints; `flag` asks for it.
    #[must_use]
    pub fn for_debugger(mut self, flag: &str) -> Self {
        if !self.workers_follow && self.workers > NonZeroUsize::MIN {
            self.warnings.push(format!(
                "{flag} serves with one worker, so that its debugger sees every request; \
                 --workers {} is ignored",
                self.workers
            ));
        }
        self.workers = NonZeroUsize::MIN;
        flag.clone_into(&mut self.workers_reason);
        self.workers_follow = false;
        self.pin = pin_plan(self.pin_mode, &self.survey, self.workers);
        self.verdict.request_timeout = Duration::ZERO;
        self.recycling = Recycling {
            requests: None,
            lifetime: None,
            worker_memory: WorkerMemory::Off,
            server_memory: None,
        };
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Args, ProjectArgs};
    use clap::Parser;
    use hurricane_cpu::{Root, Survey};

    fn debugging(argv: &[&str]) -> DebuggingArgs {
        ProjectArgs::try_parse_from(std::iter::once(&"test").chain(argv)).unwrap().debugging
    }

    #[test]
    fn a_debugger_is_wanted_where_it_can_be_had() {
        assert_eq!(debugging(&[]).wanted(), None);
        assert_eq!(debugging(&["--debugger"]).wanted(), Some("--debugger"));
        assert_eq!(debugging(&["--debugger=false"]).wanted(), None);
        let pycharm = ["--pycharm-host", "ide", "--pycharm-port", "5"];
        assert_eq!(debugging(&pycharm).wanted(), Some("--pycharm-host"));
        assert_eq!(debugging(&pycharm[..2]).wanted(), None);
    }

    #[test]
    fn debuggers_are_awaited_on_this_host_alone_unless_that_is_asked_for() {
        assert_eq!(debugging(&[]).host(false), "127.0.0.1");
        assert_eq!(debugging(&[]).host(true), "0.0.0.0");
        assert_eq!(debugging(&["--debugger-host", "::1"]).host(true), "::1");
        assert_eq!(debugging(&[]).debugger_port, 5678);
    }

    #[test]
    fn a_debugged_server_has_one_worker_that_is_never_stuck_or_replaced() {
        let survey = Survey::take(&Root::host(), hurricane_cpu::affinity_mask(), |_| None);
        let resolved = |argv: &[&str]| {
            let args = Args::try_parse_from(std::iter::once(&"test").chain(argv)).unwrap();
            Config::resolve(&args, &survey).unwrap().for_debugger("--debugger")
        };
        let config = resolved(&["--workers", "3", "--max-worker-requests", "9"]);
        assert_eq!((config.workers.get(), config.workers_reason.as_str()), (1, "--debugger"));
        assert!(config.warnings.iter().any(|said| said.contains("--workers 3 is ignored")));
        assert_eq!(config.verdict.request_timeout, Duration::ZERO);
        assert_eq!(config.recycling.requests, None);
        assert!(!config.recycling.weighs());
        let config = resolved(&[]);
        assert!(!config.warnings.iter().any(|said| said.contains("is ignored")));
        assert!(!config.workers_follow);
    }
}
