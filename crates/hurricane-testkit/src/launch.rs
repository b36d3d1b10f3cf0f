//! A server process under test.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::Value;

use crate::client::Client;
use crate::probe::{ProbeAnswer, probe};
use crate::refusal::Refusal;
use crate::until::{PATIENCE, until, until_within};

/// How to start a server. Unless told otherwise it serves on ports that the kernel chooses, with
/// one worker, and logs JSON.
#[derive(Debug)]
pub struct Launch {
    program: PathBuf,
    args: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    refusal: Option<Refusal>,
    patience: Duration,
}

impl Launch {
    /// A server of this program.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self::command([program.into()])
    }

    /// A server whose command line begins with these words: of another program that runs it, or
    /// of a subcommand.
    ///
    /// # Panics
    /// When there is no word.
    pub fn command<W: Into<OsString>>(words: impl IntoIterator<Item = W>) -> Self {
        let mut words = words.into_iter().map(Into::into);
        let program = words.next().expect("a command has a program").into();
        let defaults = ["--port", "0", "--workers", "1", "--log-format", "json"];
        Self {
            program,
            args: words.chain(defaults.map(OsString::from)).collect(),
            environment: Vec::new(),
            refusal: None,
            patience: PATIENCE,
        }
    }

    /// An example of the crate whose tests run. `cargo test` has built it.
    ///
    /// # Panics
    /// When it is not there.
    pub fn example(name: &str) -> Self {
        let test = std::env::current_exe().expect("a test knows its own path");
        let target =
            test.parent().and_then(Path::parent).expect("tests are in target/<profile>/deps");
        let program = target.join("examples").join(name);
        assert!(program.exists(), "{} is missing: cargo build --examples", program.display());
        Self::new(program)
    }

    /// Adds arguments. A flag that is given twice counts as given the last time.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Drops all arguments so far, also those that every server gets.
    #[must_use]
    pub fn bare(mut self) -> Self {
        self.args.clear();
        self
    }

    /// Sets an environment variable. Of the test's own environment only PATH is passed on.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Refuses io_uring to the server.
    #[must_use]
    pub fn refusing_io_uring(mut self, refusal: Refusal) -> Self {
        self.refusal = Some(refusal);
        self
    }

    /// Waits longer for the start, of a server that runs in an emulator.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Starts the server and waits until it says that it serves.
    ///
    /// # Panics
    /// When it ends or does not start in time; its log is in the message.
    pub fn start(self) -> Running {
        let patience = self.patience;
        let mut running = self.spawn().expect("the server can be started");
        running.wait_for_start(patience);
        running
    }

    /// Starts a program that is to end by itself, and waits for that.
    ///
    /// # Errors
    /// When it cannot be started, or does not end in time.
    pub fn run_to_end(self) -> Result<Ended> {
        let began = Instant::now();
        let mut running = self.spawn()?;
        let code = running.wait_for_end()?;
        Ok(Ended { code, log: running.log(), output: running.output(), took: began.elapsed() })
    }

    fn spawn(self) -> Result<Running> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        if let Some(refusal) = self.refusal {
            refusal.install(&mut command);
        }
        let mut child =
            command.spawn().with_context(|| format!("cannot start {}", self.program.display()))?;
        let log = Lines::of(child.stderr.take().context("stderr is a pipe")?);
        let output = Lines::of(child.stdout.take().context("stdout is a pipe")?);
        Ok(Running { child, log, output, app_port: 0, probe_port: 0 })
    }
}

/// How a program ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Exit code; 128 and the signal's number when a signal ended it.
    pub code: i32,
    /// What it wrote to stderr.
    pub log: Vec<String>,
    /// What it wrote to stdout.
    pub output: Vec<String>,
    /// From its start to its end.
    pub took: Duration,
}

/// A running server. Dropping it kills its process group.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: Lines,
    output: Lines,
    /// Port of the application; 0 when it is on a Unix domain socket.
    pub app_port: u16,
    /// Port of the probes; 0 when there is none.
    pub probe_port: u16,
}

impl Running {
    fn wait_for_start(&mut self, patience: Duration) {
        let line = until_within(patience, "the start line", || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the server ended with {status}:\n{}", self.log().join("\n"));
            }
            self.event("serving")
        });
        let port = |field: &str| {
            let (_, port) = line[field].as_str()?.rsplit_once(':')?;
            port.parse().ok()
        };
        self.app_port = port("app").unwrap_or(0);
        self.probe_port = port("probes").unwrap_or(0);
    }

    /// The supervisor's process id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("process ids are positive")
    }

    /// Lines on stderr so far.
    pub fn log(&self) -> Vec<String> {
        self.log.so_far()
    }

    /// Lines on stdout so far.
    pub fn output(&self) -> Vec<String> {
        self.output.so_far()
    }

    /// All log events with this message so far.
    pub fn events(&self, message: &str) -> Vec<Value> {
        let events = self.log().into_iter().filter_map(|line| serde_json::from_str(&line).ok());
        events.filter(|event: &Value| event["message"] == message).collect()
    }

    /// The first log event with this message, if there was one.
    pub fn event(&self, message: &str) -> Option<Value> {
        self.events(message).into_iter().next()
    }

    /// Waits for a log event with this message.
    pub fn wait_for_event(&self, message: &str) -> Value {
        until(&format!("the log line {message:?}"), || self.event(message))
    }

    /// Asks a probe as a kubelet does.
    ///
    /// # Errors
    /// As [`probe`].
    pub fn probe(&self, path: &str) -> std::io::Result<ProbeAnswer> {
        probe(self.probe_port, path)
    }

    /// The whole picture, as `/status` tells it.
    ///
    /// # Errors
    /// When it is not answered with JSON.
    pub fn status(&self) -> Result<Value> {
        let answer = Client::connect(self.probe_port)?.get("/status")?;
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// The process id of a worker that is a process.
    pub fn worker_pid(&self, index: usize) -> i32 {
        until("the process id of a worker", || {
            let pid = self.status().ok()?["workers"][index]["pid"].as_i64()?;
            i32::try_from(pid).ok().filter(|pid| *pid > 0)
        })
    }

    /// Sends a signal to the supervisor.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn signal(&self, signal: Signal) {
        self.signal_to(self.pid(), signal);
    }

    /// Sends a signal to a process of this server.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn signal_to(&self, pid: i32, signal: Signal) {
        kill(Pid::from_raw(pid), signal).expect("the process is there");
    }

    /// Waits for the end of the supervisor and returns its exit code; 128 and the signal's number
    /// when a signal ended it.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn wait_for_end(&mut self) -> Result<i32> {
        use std::os::unix::process::ExitStatusExt;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                self.log.wait_for_end();
                self.output.wait_for_end();
                return Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)));
            }
            std::thread::park_timeout(Duration::from_millis(2));
        }
        bail!("the server does not end:\n{}", self.log().join("\n"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.pid()), Signal::SIGKILL);
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            #[expect(clippy::print_stderr, reason = "the failed test shows it")]
            {
                eprintln!("log of the server:\n{}", log.join("\n"));
            }
        }
    }
}

/// Lines of a pipe, collected by a thread so that the server never waits for us.
#[derive(Debug)]
struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    collector: std::thread::JoinHandle<()>,
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&lines);
        let collector = std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(std::io::Result::ok) {
                shared.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Self { lines, collector }
    }

    fn so_far(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All processes that hold the pipe have ended, or soon will have.
    fn wait_for_end(&self) {
        let deadline = Instant::now() + Duration::from_secs(1);
        while !self.collector.is_finished() && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }
}
