//! Puts the pieces together: listeners, scoreboard, workers, control process, supervisor.

mod children;

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use hurricane_control::{Check, ControlOptions, OwnWebhooks, PageOptions};
use hurricane_files::Mount;
use hurricane_http::{Answered, Application, Response};
use hurricane_scoreboard::{Engine, Scoreboard, ScoreboardError};
use hurricane_worker::{Logged, Reserved, WorkerOptions};
use serde_json::Value;

use self::children::{introduce, run_control, run_worker, wants_control};
use crate::access::{AccessLog, Line};
use crate::child::{Failure, with_causes};
use crate::config::{Config, ProbePort};
use crate::consumer::{self, Consumer};
use crate::development::{Development, Renewal};
use crate::examination::stacks::stack_signal;
use crate::exit::Exit;
use crate::file_args::LateMounts;
use crate::last_words::LastWords;
use crate::launch::{ChildRole, Forking, Launcher, Load, Preparation, Station, WorkerContext};
use crate::listener::activation::Passed;
use crate::listener::{ListenError, Listeners};
use crate::logging::Logging;
use crate::notify;
use crate::outlook::{
    Outlook, OutlookError, announce_outlook, announce_start, engine_outlook, log_start,
    note_entrance, status,
};
use crate::page::{self, ProjectPart, Scrape};
use crate::privileges::{Identity, PrivilegeError};
use crate::process;
use crate::reload::errand;
use crate::reload::handover::Received;
use crate::reload::program::Program;
use crate::signal::Signals;
use crate::supervisor::{ControlSeat, End, Seat, Supervisor};
use crate::usage::defaults;
use crate::values::AccessLogValue;

/// How long a process that ends may still write lines about answers.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum StartError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    #[error(transparent)]
    Scoreboard(#[from] ScoreboardError),
    #[error(transparent)]
    Outlook(#[from] OutlookError),
    #[error("signals cannot be received")]
    Signals(#[source] nix::Error),
    #[error("what the server's process had before cannot be taken over")]
    Handover(#[source] io::Error),
}

/// A server, ready to run.
pub struct Server {
    config: Config,
    checks: Vec<Check>,
    own_webhooks: Box<CollectWebhooks>,
    project: ProjectPart,
    program: Option<Program>,
    access: AccessLog,
    late_mounts: Option<LateMounts>,
    development: Option<Development>,
    entrance: Option<Entrance>,
}

/// Finds the webhooks that a project has written itself.
type CollectWebhooks = dyn Fn() -> Option<OwnWebhooks>;

/// Tells how the application is entered, and why so, once it is loaded.
pub type Entrance = Box<dyn Fn() -> Option<(&'static str, String)>>;

impl Server {
    /// A server of this configuration, without checks.
    pub fn new(config: Config) -> Self {
        Self {
            access: AccessLog::new(&config, false),
            config,
            checks: Vec::new(),
            own_webhooks: Box::new(|| None),
            project: ProjectPart::default(),
            program: None,
            late_mounts: None,
            development: None,
            entrance: None,
        }
    }

    /// Tells news to webhooks of the service's own as well, which `collect` finds in the process
    /// that answers probes. Only for [`Server::run_forked`].
    #[must_use]
    pub fn own_webhooks(self, collect: impl Fn() -> Option<OwnWebhooks> + 'static) -> Self {
        Self { own_webhooks: Box::new(collect), ..self }
    }

    /// Hands lines about answers over to whoever takes them out of this log again.
    #[must_use]
    pub fn access_log(self, access: AccessLog) -> Self {
        Self { access, ..self }
    }

    /// Runs this program anew on SIGHUP, to load code that has changed. Only for
    /// [`Server::run_forked`]: what a service has compiled in changes with its restart.
    #[must_use]
    pub fn reload_as(self, program: Option<Program>) -> Self {
        Self { program, ..self }
    }

    /// Serves the files of these mounts too; each worker asks as it starts.
    #[must_use]
    pub fn mount(self, mounts: impl Fn() -> Vec<Mount> + Send + Sync + 'static) -> Self {
        Self { late_mounts: Some(Arc::new(mounts)), ..self }
    }

    /// Loads code that changes by itself. Only for [`Server::run_forked`].
    #[must_use]
    pub fn develop(self, development: Option<Development>) -> Self {
        Self { development, ..self }
    }

    /// The start line and `/status` say how the application is entered.
    #[must_use]
    pub fn entered_by(self, entrance: Entrance) -> Self {
        Self { entrance: Some(entrance), ..self }
    }

    /// What the service adds to the metrics of requests.
    #[must_use]
    pub fn project_metrics(self, project: ProjectPart) -> Self {
        Self { project, ..self }
    }

    /// Registers a check for [`Server::run`].
    #[must_use]
    pub fn check(mut self, check: Check) -> Self {
        self.checks.push(check);
        self
    }

    /// Serves until a signal ends it; each worker is a thread that calls an application of its
    /// own, made by `make`. A worker that panics is replaced.
    pub fn run<A: Application>(
        self,
        make: impl Fn(WorkerContext) -> A + Send + Sync + 'static,
    ) -> Exit {
        let (checks, late_mounts, project) = (self.checks, self.late_mounts, self.project);
        if self.config.access_log == AccessLogValue::Python {
            tracing::warn!("--access-log python needs a Python application; use native");
        }
        let mut config = self.config;
        // Threads share the descriptors of one process.
        let in_all = &mut config.limits.connections_in_all_max;
        *in_all = config.connections_fit.min(*in_all);
        start(config, Renewal::default(), (None, self.access), None, |parts| {
            let parts = Parts { late_mounts, ..parts.clone() }.with(&project);
            let control = parts.clone();
            let control = move |station| run_control(&control, checks.clone(), None, station);
            Launcher::Threads(Arc::new(move |role, station| match role {
                ChildRole::Worker { worker, slot } => {
                    run_worker(&parts, (worker, slot), station, &make)
                }
                ChildRole::Control => control(station),
                // Nobody asks for it: threads cannot be ended by a signal to stop.
                ChildRole::Preparation | ChildRole::Collection => Ok(()),
            }))
        })
    }

    /// Serves until a signal ends it; each worker is a process forked from this one, which must
    /// have one thread. `preparation` comes before the first worker. `checks` is called once in the
    /// process that answers probes, besides the checks registered here.
    pub fn run_forked<A: Application>(
        self,
        forking: Forking,
        preparation: Option<Preparation>,
        checks: impl Fn() -> Vec<Check> + 'static,
        make: impl Fn(WorkerContext) -> A + 'static,
    ) -> Exit {
        let work = move |parts: &Parts, seat, station| run_worker(parts, seat, station, &make);
        self.run_processes(forking, preparation, checks, work)
    }

    /// Consumes messages until a signal ends it, or the broker is lost and `config.consumer` does
    /// not want it back. The consumer is a process forked from this one, made by `make` in it.
    pub fn run_consumer(
        self,
        forking: Forking,
        checks: impl Fn() -> Vec<Check> + 'static,
        make: impl Fn(WorkerContext) -> Consumer + 'static,
    ) -> Exit {
        self.run_processes(forking, None, checks, move |parts: &Parts, seat, station| {
            consumer::run(introduce(parts, seat, station.stacks), &station.orders, &make)
        })
    }

    fn run_processes(
        self,
        forking: Forking,
        preparation: Option<Preparation>,
        checks: impl Fn() -> Vec<Check> + 'static,
        live: impl Fn(&Parts, (usize, usize), Station) -> Result<(), Failure> + 'static,
    ) -> Exit {
        let (registered, own_webhooks) = (self.checks, self.own_webhooks);
        let project = self.project;
        let (prepare, load) = preparation.map(|it| (it.run, it.load)).unzip();
        let (outline, collect) = self.development.map(|it| (it.outline, it.collect)).unzip();
        let renewal = Renewal { program: self.program, outline };
        let late_mounts = self.late_mounts;
        start(self.config, renewal, (load, self.access), self.entrance.as_ref(), |parts| {
            let parts = Parts { late_mounts, ..parts.clone() }.with(&project);
            let work = move |role, station| match role {
                ChildRole::Worker { worker, slot } => live(&parts, (worker, slot), station),
                ChildRole::Control => {
                    let checks = [registered.clone(), checks()].concat();
                    run_control(&parts, checks, own_webhooks(), station)
                }
                ChildRole::Preparation => prepare
                    .as_ref()
                    .map_or(Ok(()), |prepare| prepare(&parts.board).map_err(Failure::Other)),
                ChildRole::Collection => {
                    collect.as_ref().map_or(Ok(()), |collect| collect().map_err(Failure::Other))
                }
            };
            Launcher::Processes(forking, Box::new(work))
        })
    }
}

/// What every child is given.
#[derive(Clone)]
struct Parts {
    config: Arc<Config>,
    board: Scoreboard,
    /// Whether all workers accept from the same socket.
    shares_listener: bool,
    /// Static part of `/status`.
    status: Value,
    access: AccessLog,
    late_mounts: Option<LateMounts>,
    /// What `/metrics` is made of.
    page: PageOptions,
}

impl Parts {
    fn new(
        config: Config,
        board: Scoreboard,
        outlook: &Outlook,
        listeners: &Listeners,
        access: AccessLog,
    ) -> Self {
        let status = status(&config, outlook, listeners.addresses());
        let page = page::page(&config, listeners.addresses());
        let (shares_listener, config) = (listeners.is_shared(), Arc::new(config));
        Self { config, board, shares_listener, status, access, late_mounts: None, page }
    }
}

impl Parts {
    fn with(mut self, project: &ProjectPart) -> Self {
        project.add_to(&mut self.page);
        self
    }

    fn scrape(&self) -> Option<Scrape> {
        let (config, status) = (Arc::clone(&self.config), self.status.clone());
        page::scrape(config, self.page.clone(), status, self.board.clone())
    }
}

fn start(
    mut config: Config,
    renewal: Renewal,
    (load, access): (Option<Load>, AccessLog),
    entrance: Option<&Entrance>,
    launcher: impl FnOnce(&Parts) -> Launcher,
) -> Exit {
    let is_reload = errand::is_trial() || errand::is_succession();
    let last_words = if is_reload { LastWords::of_reload(&config) } else { LastWords::of(&config) };
    // Found out first: it is the last thing that may fail in a reload.
    let outlook = match engine_outlook(&config) {
        Ok(outlook) => outlook,
        Err(error) => return failed(&error.into(), &last_words),
    };
    if let Some(exit) = errand::end_trial() {
        return exit;
    }
    let received = errand::succeed();
    if let Some(received) = &received {
        received.handover.stay_in(&mut config);
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let ended = match received {
        Some(received) => go_on(config, &outlook, renewal, entrance, (received, access), launcher),
        None => supervise(config, &outlook, renewal, (load, access), entrance, launcher),
    };
    end(ended, &last_words)
}

fn end(ended: Result<End, StartError>, last_words: &LastWords) -> Exit {
    let End { exit, reason } = match ended {
        Ok(end) => end,
        Err(error) => return failed(&error, last_words),
    };
    tracing::info!(code = exit.code(), "server ended");
    if exit != Exit::Clean {
        last_words.of_a_server(&reason);
    }
    exit
}

fn failed(error: &StartError, last_words: &LastWords) -> Exit {
    let sentence = with_causes(error);
    tracing::error!("{sentence}");
    errand::said(&sentence);
    last_words.of_a_start(&sentence);
    Exit::Failed
}

fn supervise(
    config: Config,
    outlook: &Outlook,
    renewal: Renewal,
    (load, access): (Option<Load>, AccessLog),
    entrance: Option<&Entrance>,
    launcher: impl FnOnce(&Parts) -> Launcher,
) -> Result<End, StartError> {
    process::raise_open_files();
    let signals = Signals::take().map_err(StartError::Signals)?;
    let identity = Identity::wanted(&config)?;
    let passed = Passed::take().map_err(ListenError::from)?;
    let (mut listeners, bound) = Listeners::bind(&config, passed)?;
    if let Some(identity) = &identity {
        identity.assume(&mut listeners, &bound)?;
    }
    if listeners.without_ipv6 {
        tracing::warn!("this host has no IPv6; listening on 0.0.0.0 only");
    }
    let board = Scoreboard::new(config.workers_max.get())?;
    let addresses = listeners.addresses();
    let parts = Parts::new(config, board, outlook, &listeners, access);
    let config = &*parts.config;
    announce_outlook(config, addresses);
    let launcher = launcher(&parts);
    let seats = match config.consumer {
        None => bound.workers.into_iter().map(|listener| Seat::new(Some(listener))).collect(),
        Some(_) => vec![Seat::new(None)],
    };
    let control = ControlSeat::new(wants_control(config), bound.probe);
    notify::status(if load.is_some() { "preparing" } else { "starting workers" });
    let on_ready = |board: &Scoreboard| {
        note_entrance(board, entrance);
        announce_start(config, addresses.0, board);
        log_start(config, outlook, addresses, board);
        notify::ready(&match config.consumer {
            None => format!("{} workers serve {}", config.workers, addresses.0),
            Some(_) => "consuming".to_owned(),
        });
    };
    let mut supervisor = Supervisor::new(
        config,
        &parts.board,
        &launcher,
        &listeners,
        &on_ready,
        signals,
        (seats, control, load),
    );
    supervisor.reload_as(renewal.program, renewal.outline);
    Ok(supervisor.run())
}

/// Serves on with the children of an earlier image of this process.
fn go_on(
    config: Config,
    outlook: &Outlook,
    renewal: Renewal,
    entrance: Option<&Entrance>,
    (received, access): (Received, AccessLog),
    launcher: impl FnOnce(&Parts) -> Launcher,
) -> Result<End, StartError> {
    let signals = Signals::take_over(&received.handover.blocked).map_err(StartError::Signals)?;
    let board = received.board()?;
    note_entrance(&board, entrance);
    let listeners = Listeners::adopt(&config, &received.handover.listening);
    Passed::forget();
    let parts = Parts::new(config, board, outlook, &listeners, access);
    let launcher = launcher(&parts);
    let seats = Seat::all_of(&received).map_err(StartError::Handover)?;
    let control = ControlSeat::of(&received).map_err(StartError::Handover)?;
    let mut supervisor = Supervisor::new(
        &parts.config,
        &parts.board,
        &launcher,
        &listeners,
        &|_| (),
        signals,
        (seats, control, None),
    );
    supervisor.reload_as(renewal.program, renewal.outline);
    let ended = match launcher {
        Launcher::Nothing => supervisor.keep(received),
        _ => supervisor.succeed(received),
    };
    ended.map_err(StartError::Handover)
}

/// Serves on with the workers that a reload has left in this process, without an application: see
/// [`errand`].
pub fn keep() -> Exit {
    let Some((received, program)) = errand::keep() else { return Exit::Failed };
    let config = defaults().and_then(|args| Config::of_this_process(&args));
    let mut config = match config {
        Ok(config) => config,
        Err(refusal) => return refusal.report(),
    };
    received.handover.kept.give_to(&mut config);
    received.handover.stay_in(&mut config);
    Logging::new(config.log_format, config.log_level).install();
    let outlook = Outlook { engine: Engine::Unknown, reason: String::new() };
    let last_words = LastWords::of_reload(&config);
    let renewal = Renewal { program: Some(program), outline: None };
    let received = (received, AccessLog::default());
    let ended = go_on(config, &outlook, renewal, None, received, |_| Launcher::Nothing);
    end(ended, &last_words)
}
