//! What Python calls: `flags`, `serve`, `main`, and what surrounds them. From there on it is the
//! `hurricane` crate's server, with workers forked by Python's own `os.fork`.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::{Arc, OnceLock};

use hurricane::announcement::Announcement;
use hurricane::{
    AccessLog, Args, Asked, Config, DevelopmentArgs, Flag, Interface, Preparation, ProjectArgs,
    ProjectMetrics, ProjectPart, Refusal, Server, WorkerContext, errand,
};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::access::Scribe;
use crate::application::WsgiApplication;
use crate::django::entry::DjangoEntry;
use crate::forking::{exit, forking};
use crate::mounts::{FoundMounts, ProjectMounts};
use crate::preparation::{Load, Prepare};
use crate::settled::Settled;
use crate::{again, check, compress, debugging, development, given, logging, metrics, webhooks};

/// Describes every flag of `serve`, one dictionary each.
#[pyfunction]
pub(crate) fn flags(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    described(py, hurricane::flags())
}

/// The same of `consume`. See `_core.pyi`.
#[pyfunction]
pub(crate) fn consumer_flags(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    described(py, hurricane::consumer_flags())
}

fn described(py: Python<'_>, flags: Vec<Flag>) -> PyResult<Bound<'_, PyList>> {
    let described = PyList::empty(py);
    for flag in flags {
        let entry = PyDict::new(py);
        entry.set_item("name", format!("--{}", flag.name))?;
        entry.set_item("env", flag.env)?;
        entry.set_item("default", flag.default)?;
        entry.set_item("help", flag.help)?;
        entry.set_item("value_name", flag.value_name)?;
        entry.set_item("switch", flag.is_switch)?;
        let choices = flag.possible_values;
        entry.set_item("choices", (!choices.is_empty()).then_some(choices))?;
        entry.set_item("repeatable", flag.is_repeatable)?;
        described.append(entry)?;
    }
    Ok(described)
}

/// Serves a Django project; returns the exit code. See `_core.pyi`.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "Python's side hands over what it has")]
pub(crate) fn serve(
    py: Python<'_>,
    load: Py<PyAny>,
    argv: Vec<OsString>,
    settings: HashMap<String, String>,
    prepare: Py<PyAny>,
    mounts: Py<PyAny>,
    checks: Py<PyAny>,
    prepare_fork: Py<PyAny>,
    project: String,
) -> PyResult<u8> {
    let flags = match project_args(argv, settings) {
        Ok(flags) => flags,
        Err(refusal) => return Ok(refusal.report().code()),
    };
    let ProjectArgs { args, files, preparation, development, interface, debugging } = flags;
    Settled { compat: args.compat, debug: development.debug }.keep();
    let debugger = debugging.wanted();
    debugging::keep(py, debugging, args.compat.is_legacy(), development.autoreload)?;
    let about = ProjectPart {
        commands: preparation.commands.iter().map(|command| command.0.join(" ")).collect(),
        serves_static: files.static_files,
        serves_media: files.media,
        collect: None,
    };
    let logged = match Logged::settle(py, &args) {
        Ok(logged) => logged,
        Err(refusal) => return Ok(refusal.report().code()),
    };
    if let Err(error) = logging::announce(py, logged.config.log_format) {
        error.print(py);
    }
    if !(errand::is_trial() || errand::is_succession()) {
        Announcement::Banner { legacy: args.compat.is_legacy() }.say();
    }
    let application = Arc::new(OnceLock::new());
    let find_mounts = ProjectMounts::new(mounts, files, args.files.clone());
    let mounts = find_mounts.found();
    // What a reload loads is prepared already.
    let preparation = if preparation.is_empty() || !errand::is_done() {
        load_project(py, &load, interface, &application)?;
        find_mounts.find(py)?;
        None
    } else {
        let application = Arc::clone(&application);
        let load = Load { load, interface, application, mounts: find_mounts };
        Some((Prepare { prepare, args: preparation }, load))
    };
    let (checks, prepare_fork) = (Some(checks), Some(prepare_fork));
    let service = Service {
        application,
        mounts,
        preparation,
        about,
        checks,
        prepare_fork,
        project,
        development,
        debugger,
    };
    Ok(service.run(py, logged))
}

fn project_args(
    argv: Vec<OsString>,
    settings: HashMap<String, String>,
) -> Result<ProjectArgs, Refusal> {
    given::parse("serve", hurricane::project, argv, settings)
}

/// Whether these flags ask for code to be loaded by itself. See `_core.pyi`.
#[pyfunction]
pub(crate) fn develops(argv: Vec<OsString>, settings: HashMap<String, String>) -> bool {
    project_args(argv, settings).is_ok_and(|flags| flags.development.autoreload)
}

/// Last words of a process that ends before it has called `serve`. See `_core.pyi`.
#[pyfunction]
pub(crate) fn last_words(argv: Vec<OsString>, settings: HashMap<String, String>, reason: &str) {
    given::last_words(project_args(argv, settings).map(|flags| flags.args), reason);
}

/// See `_core.pyi`.
#[pyfunction]
pub(crate) fn heed_signals() {
    hurricane::heed_signals();
}

/// See `_core.pyi`.
#[pyfunction]
pub(crate) fn release_signals() {
    hurricane::release_signals();
}

/// The console script; returns the exit code. See `_core.pyi`.
#[pyfunction]
pub(crate) fn main(py: Python<'_>, argv: Vec<OsString>, load: &Bound<'_, PyAny>) -> PyResult<u8> {
    let argv: Vec<OsString> = std::iter::once("hurricane".into()).chain(argv).collect();
    let asked = match hurricane::console(&argv) {
        Ok(Asked::Serve(asked)) => *asked,
        Ok(Asked::Compress(asked)) => return Ok(compress::console(py, &asked)),
        Err(refusal) => return Ok(refusal.report().code()),
    };
    Settled { compat: asked.args.compat, debug: false }.keep();
    let application = Arc::new(OnceLock::new());
    let loaded = load.call1((&asked.application,)).inspect_err(|error| {
        hurricane::last_words(&asked.args, &error.value(py).to_string());
    })?;
    set(&application, Loaded { application: loaded.unbind(), entered: None });
    let service = Service {
        application,
        mounts: FoundMounts::default(),
        preparation: None,
        about: ProjectPart::default(),
        checks: None,
        prepare_fork: None,
        project: asked.application,
        development: DevelopmentArgs::default(),
        debugger: None,
    };
    // Only now: what was loaded may have set up Python's logging.
    match Logged::settle(py, &asked.args) {
        Ok(logged) => Ok(service.run(py, logged)),
        Err(refusal) => Ok(refusal.report().code()),
    }
}

/// What workers serve.
pub(crate) struct Loaded {
    application: Py<PyAny>,
    /// How it is entered, and why so, where there is a choice.
    entered: Option<(&'static str, String)>,
}

/// Empty until it is loaded.
pub(crate) type LoadedOnce = Arc<OnceLock<Loaded>>;

fn set(application: &LoadedOnce, loaded: Loaded) {
    let set = application.set(loaded);
    debug_assert!(set.is_ok(), "an application is loaded once");
}

/// Loads a Django project, and chooses how it is entered.
pub(crate) fn load_project(
    py: Python<'_>,
    load: &Py<PyAny>,
    interface: Interface,
    application: &LoadedOnce,
) -> PyResult<()> {
    let loaded = load.bind(py).call1((interface.as_str(),))?;
    let (loaded, reason) = loaded.extract::<(Bound<'_, PyAny>, String)>()?;
    let is_below = loaded.is_exact_instance_of::<DjangoEntry>();
    let entered = if is_below { Interface::Django } else { Interface::Wsgi };
    let entered = Some((entered.as_str(), reason));
    set(application, Loaded { application: loaded.unbind(), entered });
    Ok(())
}

struct Service {
    application: LoadedOnce,
    /// The project's files.
    mounts: FoundMounts,
    /// What comes before the first worker: then the application is loaded after it.
    preparation: Option<(Prepare, Load)>,
    /// What metrics say of it.
    about: ProjectPart,
    /// Called in the process that answers probes.
    checks: Option<Py<PyAny>>,
    /// Called in the supervisor before each fork.
    prepare_fork: Option<Py<PyAny>>,
    /// What is served, for the log.
    project: String,
    /// How code that changes is loaded, where it is being written.
    development: DevelopmentArgs,
    /// The flag that asks for a debugger.
    debugger: Option<&'static str>,
}

/// Flags that are settled, in a process that can log.
struct Logged {
    config: Config,
    /// Python's logging takes the supervisor's lines.
    is_bridged: bool,
}

impl Logged {
    fn settle(py: Python<'_>, args: &Args) -> Result<Self, Refusal> {
        let config = Config::of_this_process(args)?;
        let is_bridged = logging::install(py, &config);
        Ok(Self { config, is_bridged })
    }
}

impl Service {
    fn debugged(&self, config: Config) -> Config {
        match self.debugger {
            Some(flag) => config.for_debugger(flag),
            None => config,
        }
    }

    fn run(self, py: Python<'_>, Logged { config, is_bridged }: Logged) -> u8 {
        let mut config = self.debugged(config);
        config.verdict.wording.is_full = self.development.debug;
        tracing::debug!(project = %self.project, "flags are settled");
        let program = again::reload_program(py);
        let access = AccessLog::new(&config, true);
        let scribe = Scribe::new(py, &access);
        py.detach(move || {
            let checks_at = (config.check_interval, config.check_timeout);
            let Self { application, mounts, preparation, about, .. } = self;
            let Self { checks, prepare_fork, development, .. } = self;
            let has_metrics = config.has_metrics();
            let preparation = preparation.map(|(prepare, load)| Preparation {
                run: Box::new(move |board| prepare.run(board, is_bridged)),
                load: Box::new(move || load.run()),
            });
            let forking = forking(prepare_fork, has_metrics);
            let on_probes = scribe.clone().filter(|_| config.log_probes);
            let checks = move || check::begin(on_probes.as_ref(), checks.as_ref(), checks_at);
            let loaded = Arc::clone(&application);
            let entrance = Box::new(move || loaded.get().and_then(|loaded| loaded.entered.clone()));
            let make = move |context: WorkerContext| {
                let loaded = application.get().expect("workers start after it is loaded");
                start_worker(&context, &loaded.application, scribe.clone())
            };
            let mounts = move || mounts.get().cloned().unwrap_or_default();
            let url = config.webhook.as_ref().map(|webhook| webhook.url.clone());
            let server = Server::new(config)
                .own_webhooks(move || webhooks::collect(url.as_ref()))
                .mount(mounts)
                .entered_by(entrance)
                .project_metrics(ProjectPart {
                    collect: has_metrics.then(|| Arc::new(metrics::collect) as ProjectMetrics),
                    ..about
                })
                .reload_as(program)
                .access_log(access)
                .develop(development::development(development));
            let code = server.run_forked(forking, preparation, checks, make).code();
            if has_metrics {
                metrics::end();
            }
            code
        })
    }
}

/// The application on a worker; a worker without its threads ends.
fn start_worker(
    context: &WorkerContext,
    application: &Py<PyAny>,
    scribe: Option<Scribe>,
) -> WsgiApplication {
    WsgiApplication::start(context, application, scribe).unwrap_or_else(|error| {
        tracing::error!(%error, "the worker's threads cannot be started");
        match exit(1) {}
    })
}
