//! What is counted, and how it is run.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use hurricane_benches::{BROWSER, PARTS};
use hurricane_testkit::{Client, Launch};
use nix::sys::signal::Signal;

use crate::callgrind::{Callgrind, Run};

/// How often a part is done in the first run, and how much more often in the second. Parts always
/// do the same: more would only take longer.
const PART_TIMES: Times = Times { first: 200, more: 200 };
/// `environ` runs in an interpreter, whose start is not the same to the last instruction.
const ENVIRON_TIMES: Times = Times { first: 500, more: 1000 };
/// Servers have clocks and threads of their own: 0.4 % spread with 1,000, measured.
const REQUEST_TIMES: Times = Times { first: 500, more: 2000 };
/// The longest wait for a start: importing Django takes valgrind 10 s of CPU, measured.
const START: Duration = Duration::from_secs(120);
/// Between two requests, so that each finds the server at rest, with its threads asleep. Without
/// it they are sometimes still awake, and the same request takes another way.
const REST: Duration = Duration::from_millis(1);

#[derive(Clone, Copy)]
struct Times {
    first: u64,
    more: u64,
}

/// What xtask has built.
#[derive(Debug, clap::Args)]
pub(crate) struct Executables {
    /// The interpreter of an environment with this checkout installed
    #[arg(long)]
    python: PathBuf,

    /// The extension module that builds environ
    #[arg(long)]
    environ: PathBuf,

    /// The native example
    #[arg(long)]
    native: PathBuf,

    /// This directory of the checkout
    #[arg(long)]
    benches: PathBuf,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject {
    /// Of `hurricane_benches::PARTS`.
    Part(&'static str),
    /// `environ` of the request of this name.
    Environ(&'static str),
    /// A whole request, answered by a service in Rust.
    NativeRequest,
    /// A whole request, answered by a WSGI application.
    WsgiRequest,
    /// A whole request, answered by a view of Django that is entered below WSGI.
    DjangoRequest,
}

impl Subject {
    pub(crate) fn all() -> Vec<Self> {
        let parts = PARTS.iter().map(|part| Self::Part(part.name));
        let environs = ["plain", "browser"].map(Self::Environ);
        let requests = [Self::NativeRequest, Self::WsgiRequest, Self::DjangoRequest];
        parts.chain(environs).chain(requests).collect()
    }

    /// As in the baseline.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Part(name) => (*name).to_owned(),
            Self::Environ(request) => format!("environ_{request}"),
            Self::NativeRequest => "request_native".to_owned(),
            Self::WsgiRequest => "request_wsgi".to_owned(),
            Self::DjangoRequest => "request_django".to_owned(),
        }
    }

    /// Whether the interpreter executes a part of it.
    fn needs_python(&self) -> bool {
        matches!(self, Self::Environ(_) | Self::WsgiRequest | Self::DjangoRequest)
    }

    /// The instructions of doing it once.
    pub(crate) fn count(&self, built: &Executables, callgrind: &Callgrind) -> anyhow::Result<u64> {
        let times = match self {
            Self::Part(_) => PART_TIMES,
            Self::Environ(_) => ENVIRON_TIMES,
            Self::NativeRequest | Self::WsgiRequest | Self::DjangoRequest => REQUEST_TIMES,
        };
        let name = self.name();
        let instructions = |times: u64| {
            let run = callgrind.run(&name)?;
            self.run(built, &run, times)?;
            run.instructions()
        };
        let first = instructions(times.first).with_context(|| name.clone())?;
        let second = instructions(times.first + times.more).with_context(|| name.clone())?;
        Ok(second.saturating_sub(first) / times.more)
    }

    fn run(&self, built: &Executables, run: &Run, times: u64) -> anyhow::Result<()> {
        match self {
            Self::Part(name) => {
                let this = std::env::current_exe().context("cannot find this program")?;
                run.execute(&words([this.as_os_str(), "run".as_ref(), name.as_ref()], times))
            }
            Self::Environ(request) => {
                let script = built.benches.join("environ/build.py");
                let command = [
                    built.python.as_os_str(),
                    "-S".as_ref(),
                    script.as_ref(),
                    built.environ.as_ref(),
                    request.as_ref(),
                ];
                run.execute(&words(command, times))
            }
            Self::NativeRequest => {
                let mut command = run.words();
                command.push(built.native.clone().into());
                ask(Launch::command(command), "/", times)
            }
            Self::WsgiRequest => {
                let application = ["-m", "hurricane", "serve", "hello:application"];
                ask_python(built, run, &application, times)
            }
            Self::DjangoRequest => {
                let project = ["-m", "project", "serve", "--interface=django"];
                ask_python(built, run, &project, times)
            }
        }
    }
}

/// The target of [`BROWSER`].
const BROWSER_TARGET: &str = "/books/12/reviews?page=2&order=newest";

/// The words of a command, with a number behind.
fn words<'a>(words: impl IntoIterator<Item = &'a std::ffi::OsStr>, times: u64) -> Vec<OsString> {
    words.into_iter().map(OsString::from).chain([times.to_string().into()]).collect()
}

/// Starts a server, sends it so many requests one after the other, and stops it. It runs on epoll:
/// valgrind does not follow what the kernel does for a ring.
fn ask(server: Launch, target: &str, times: u64) -> anyhow::Result<()> {
    let environment = Run::environment().into_iter();
    let server = environment.fold(server, |server, (name, value)| server.env(name, value));
    let mut server = server
        .args(["--host=127.0.0.1", "--no-probe", "--io=epoll", "--pin=off", "--access-log=off"])
        .patience(START)
        .start();
    let request = BROWSER.replacen(BROWSER_TARGET, target, 1);
    {
        let mut client = Client::connect(server.app_port)?;
        for _ in 0..times {
            client.send(&request)?;
            let answer = client.read_answer()?;
            ensure!(answer.status == 200, "the server answered {}", answer.status);
            std::thread::park_timeout(REST);
        }
    }
    server.signal(Signal::SIGTERM);
    let code = server.wait_for_end()?;
    ensure!(code == 0, "the server ended with {code}:\n{}", server.log().join("\n"));
    Ok(())
}

/// The same of a server in Python, which serves one of the applications here.
fn ask_python(built: &Executables, run: &Run, serve: &[&str], times: u64) -> anyhow::Result<()> {
    let mut command = run.words();
    command.push(built.python.clone().into());
    command.extend(serve.iter().copied().chain(["--threads=1"]).map(OsString::from));
    let path = built.benches.join("applications");
    ask(Launch::command(command).env("PYTHONPATH", path), BROWSER_TARGET, times)
}

/// Under which conditions counts can be compared: the same code compiled for another processor or
/// another interpreter takes other numbers of instructions.
pub(crate) struct Conditions {
    processor: Place,
    interpreter: Place,
}

/// A part of the baseline.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Counts are only compared with those of the same name.
    pub(crate) name: String,
    /// What else may make a difference; people are told when it is not the same.
    pub(crate) with: String,
}

impl Conditions {
    pub(crate) fn of(&self, subject: &Subject) -> &Place {
        if subject.needs_python() { &self.interpreter } else { &self.processor }
    }
}

/// Prints what CPython was made of and with.
const QUESTION: &str = "import platform, sysconfig; \
    arguments = sysconfig.get_config_var('CONFIG_ARGS') or ''; \
    optimised = ', optimised' if '--enable-optimizations' in arguments else ''; \
    print(f'CPython {platform.python_version()}, {platform.python_compiler()}{optimised}'); \
    print(' '.join(platform.libc_ver()))";

pub(crate) fn conditions(built: &Executables, found: &Callgrind) -> anyhow::Result<Conditions> {
    let output = Command::new(&built.python).args(["-S", "-c", QUESTION]).output();
    let output = output.with_context(|| format!("cannot run {}", built.python.display()))?;
    let answer = String::from_utf8(output.stdout)?;
    let (cpython, libc) = answer.trim().split_once('\n').context("Python tells no version")?;
    let arch = std::env::consts::ARCH;
    let with = format!("{libc}, {}", found.version);
    Ok(Conditions {
        processor: Place { name: arch.to_owned(), with: with.clone() },
        interpreter: Place { name: format!("{arch}, {cpython}"), with },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_has_a_name_of_its_own() {
        let mut names: Vec<String> = Subject::all().iter().map(Subject::name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn the_target_that_is_replaced_is_the_browsers() {
        assert!(BROWSER.starts_with(&format!("GET {BROWSER_TARGET} HTTP/1.1\r\n")));
    }
}
