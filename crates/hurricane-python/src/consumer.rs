//! `manage.py consume`: a consumer of messages as a service on the `hurricane` crate.
//!
//! Python talks to the broker and runs what a message is for, on threads of its own; what it does
//! it reports to the worker's slot through [`Report`]. The worker's first thread beats and never
//! takes the interpreter lock; a monitor tells whether somebody keeps that.

use std::collections::HashMap;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hurricane::{
    AccessLog, Config, ConfigError, Consume, Consumer, ConsumerEnd, ProjectMetrics, ProjectPart,
    Refusal, Server, WorkerContext,
};
use hurricane_scoreboard::{
    BrokerState, Monotonic, Scoreboard, Settled as Outcome, Slot, ThreadName, WorkerState,
};
use nix::sys::pthread::pthread_self;
use nix::unistd::gettid;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyCFunction};

use crate::access::Scribe;
use crate::forking::forking;
use crate::interpreter::{self, PULSE};
use crate::settled::Settled;
use crate::{again, check, development, given, logging, metrics, stacks, webhooks};

/// Runs one message at a time, so that its thread is the first and only one.
const THREAD: usize = 0;

/// Consumes messages; returns the exit code. See `_core.pyi`.
#[pyfunction]
pub(crate) fn consume(
    py: Python<'_>,
    begin: Py<PyAny>,
    argv: Vec<OsString>,
    settings: HashMap<String, String>,
    checks: Py<PyAny>,
    prepare_fork: Py<PyAny>,
) -> PyResult<u8> {
    let consume = match consume_args(argv, settings) {
        Ok(consume) => consume,
        Err(refusal) => return Ok(refusal.report().code()),
    };
    Settled { compat: consume.args.compat, debug: consume.development.debug }.keep();
    let config = match Config::of_this_consumer(&consume) {
        Ok(config) => config,
        Err(error @ ConfigError::NoBroker { .. }) => {
            return Err(PyValueError::new_err(error.to_string()));
        }
        Err(error) => return Ok(Refusal::Usage(error.to_string()).report().code()),
    };
    let is_bridged = logging::install(py, &config);
    let program = again::reload_program(py);
    let access = AccessLog::new(&config, true);
    let scribe = Scribe::new(py, &access);
    Ok(py.detach(move || {
        let checks_at = (config.check_interval, config.check_timeout);
        let scribe = scribe.filter(|_| config.log_probes);
        let checks = move || check::begin(scribe.as_ref(), Some(&checks), checks_at);
        let make = move |context: WorkerContext| start(&begin, &context, is_bridged);
        let url = config.webhook.as_ref().map(|webhook| webhook.url.clone());
        let has_metrics = config.has_metrics();
        let collect = has_metrics.then(|| Arc::new(metrics::collect) as ProjectMetrics);
        let server = Server::new(config)
            .own_webhooks(move || webhooks::collect(url.as_ref()))
            .project_metrics(ProjectPart { collect, ..ProjectPart::default() })
            .reload_as(program)
            .access_log(access)
            .develop(development::development(consume.development));
        let forking = forking(Some(prepare_fork), has_metrics);
        let code = server.run_consumer(forking, checks, make).code();
        if has_metrics {
            metrics::end();
        }
        code
    }))
}

fn consume_args(
    argv: Vec<OsString>,
    settings: HashMap<String, String>,
) -> Result<Consume, Refusal> {
    given::parse("consume", hurricane::consumer, argv, settings)
}

/// Last words of a process that ends before it has called `consume`. See `_core.pyi`.
#[pyfunction]
pub(crate) fn consumer_last_words(
    argv: Vec<OsString>,
    settings: HashMap<String, String>,
    reason: &str,
) {
    given::last_words(consume_args(argv, settings).map(|consume| consume.args), reason);
}

/// Makes the client of the broker, in the process that will consume.
fn start(begin: &Py<PyAny>, context: &WorkerContext, is_bridged: bool) -> Consumer {
    match client(begin, context, is_bridged) {
        Ok(client) => {
            let asked = Python::attach(|py| client.clone_ref(py));
            Consumer {
                run: Box::new(move || run(&client)),
                stop: Box::new(move || Python::attach(|py| stop(py, &asked))),
            }
        }
        Err(error) => {
            let sentence = format!("the consumer cannot be made: {error}");
            let run = Box::new(move || ConsumerEnd::Failed(sentence));
            Consumer { run, stop: Box::new(|| ()) }
        }
    }
}

fn client(begin: &Py<PyAny>, context: &WorkerContext, is_bridged: bool) -> PyResult<Py<PyAny>> {
    let (board, slot) = (context.board.clone(), context.slot);
    let client = Python::attach(|py| {
        if let Some(file) = context.stacks
            && let Err(error) = stacks::write_to(py, file)
        {
            tracing::warn!(%error, "a stuck consumer will not show its stacks");
        }
        let report = Py::new(py, Report { board: board.clone(), slot, began: Mutex::default() })?;
        let lines = PyCFunction::new_closure(py, None, None, |args, _| {
            let (level, text) = args.extract::<(i32, String)>()?;
            logging::say(level, &text);
            PyResult::Ok(())
        })?;
        let lines = (!is_bridged).then_some(lines);
        let Some(consumer) = &context.config.consumer else {
            return Err(PyValueError::new_err("nothing is to be consumed"));
        };
        let options = [
            ("queue", consumer.queue.as_str().into_pyobject(py)?.into_any()),
            ("exchange", consumer.exchange.as_str().into_pyobject(py)?.into_any()),
            ("host", consumer.host.as_str().into_pyobject(py)?.into_any()),
            ("port", consumer.port.into_pyobject(py)?.into_any()),
            ("vhost", consumer.vhost.as_str().into_pyobject(py)?.into_any()),
            ("reconnect", consumer.reconnect.into_pyobject(py)?.to_owned().into_any()),
            ("max_redeliveries", consumer.redeliveries_max.into_pyobject(py)?.into_any()),
            (
                "grace_seconds",
                context.config.grace_period.as_secs_f64().into_pyobject(py)?.into_any(),
            ),
        ];
        begin.call1(py, (options.into_py_dict(py)?, report, lines))
    })?;
    if let Some(slot) = board.slot(slot) {
        slot.set_capacity(1);
    }
    std::thread::Builder::new().name("monitor".to_owned()).spawn(move || monitor(&board, slot))?;
    Ok(client)
}

/// The life of the consumer's thread, which talks to the broker.
fn run(client: &Py<PyAny>) -> ConsumerEnd {
    Python::attach(|py| {
        let ended = client.call_method0(py, "run").and_then(|why| why.extract(py));
        match ended {
            Ok(None) => ConsumerEnd::Told,
            Ok(Some(why)) => ConsumerEnd::Disconnected(why),
            Err(error) => ConsumerEnd::Failed(format!("the consumer has failed: {error}")),
        }
    })
}

fn stop(py: Python<'_>, client: &Py<PyAny>) {
    if let Err(error) = client.call_method0(py, "stop") {
        tracing::error!(%error, "the consumer cannot be told to stop");
    }
}

/// The life of the monitor: tells how long the message has run, and whether the interpreter
/// answers while one does.
fn monitor(board: &Scoreboard, slot: usize) {
    let Some(slot) = board.slot(slot) else { return };
    loop {
        std::thread::park_timeout(PULSE);
        let reading = slot.read();
        if reading.running > 0 {
            slot.set_oldest(reading.progress);
            interpreter::try_once(slot);
        } else {
            slot.set_oldest(Monotonic::NEVER);
        }
    }
}

/// What the consumer does, for everybody to see. See `_core.pyi`.
#[pyclass(frozen, module = "hurricane._core")]
pub(crate) struct Report {
    board: Scoreboard,
    /// Below `board.slots()`.
    slot: usize,
    /// When the message that runs began.
    began: Mutex<Option<Monotonic>>,
}

#[pymethods]
impl Report {
    fn broker(&self, state: &str, remark: &str) -> PyResult<()> {
        let state = match state {
            "connecting" => BrokerState::Connecting,
            "connected" => BrokerState::Connected,
            "consuming" => BrokerState::Consuming,
            "lost" => BrokerState::Lost,
            _ => return Err(PyValueError::new_err(format!("a broker is not {state}"))),
        };
        let slot = self.slot();
        // Who was told to stop has nothing more to say.
        if slot.read().state != WorkerState::Stopping {
            slot.consumption().set_broker(state, remark, Monotonic::now());
            if state == BrokerState::Consuming {
                slot.set_state(WorkerState::Serving);
            }
        }
        Ok(())
    }

    fn received(&self) {
        self.slot().consumption().received();
    }

    fn settled(&self, how: &str) -> PyResult<()> {
        let found = Outcome::ALL.into_iter().find(|it| it.as_str() == how);
        let how = found.ok_or_else(|| PyValueError::new_err(format!("no message is {how}")))?;
        self.slot().consumption().settled(how);
        Ok(())
    }

    /// By the thread that runs it.
    fn began(&self, line: &str) {
        let (slot, now) = (self.slot(), Monotonic::now());
        let thread = ThreadName { tid: gettid().as_raw(), pthread: pthread_self() };
        slot.request_began(now);
        slot.running_requests().begin(THREAD, thread, "MESSAGE", line.as_bytes(), now);
        *self.began.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    fn ended(&self, has_failed: bool) {
        let (slot, now) = (self.slot(), Monotonic::now());
        let began = self.began.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(began) = began else { return };
        slot.running_requests().end(THREAD);
        slot.request_ended();
        let lasted: Duration = now.since(began);
        slot.consumption().ended(lasted, has_failed);
    }
}

impl Report {
    fn slot(&self) -> &Slot {
        self.board.slot(self.slot).expect("the worker has checked its slot")
    }
}
