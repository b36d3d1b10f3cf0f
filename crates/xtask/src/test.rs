//! `cargo xtask test`: every Rust and Python test, with what they need.
//!
//! Steps run one after the other, because many tests hold the server to deadlines; only what is
//! fetched from a package index is fetched beside them. The tests in Python mostly wait for
//! processes, so one more runs at a time than there are CPUs; those that measure times are marked
//! `alone` and follow one by one.

use std::ffi::{OsStr, OsString};
use std::process::Command;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;

use crate::interpreter::{self, Interpreter};
use crate::soak::{self, SHORT_MINUTES};
use crate::venv::Venv;
use crate::{checkout, fuzz, loadtest, step, system};

/// What every version of Python but the first runs: all that calls into CPython. The rest of the
/// suite is about processes, and takes most of its time.
const FEWER_TESTS: [&str; 6] = [
    "tests/test_start.py",
    "tests/test_serve.py",
    "tests/test_wsgi.py",
    "tests/test_checks.py",
    "tests/test_flags.py",
    "tests/test_loader.py",
];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run these parts only
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,

    /// Arguments of pytest, behind `--`, which then runs the tests one by one; wants `--only python`
    #[arg(last = true)]
    pytest: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// `cargo test --workspace`
    Rust,
    /// A smoke run of every fuzz target
    Fuzz,
    /// pytest: all of it on the chosen Python, a part on the other versions that are found
    Python,
    /// The images of `deploy/` in real containers, where we are root
    Container,
    /// The example project's own tests
    Example,
    /// A short comparison with the committed ratios, which only a gross loss fails
    Loadtest,
}

impl Part {
    /// Whether it wants no Python environment.
    fn is_rust_alone(self) -> bool {
        matches!(self, Self::Rust | Self::Fuzz)
    }
}

/// A command with this cargo, in the root of the checkout.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.current_dir(checkout::root());
    cargo
}

/// Runs all that was asked for, to the end, and then fails if any of it failed.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let wanted = |part| args.only.is_empty() || args.only.contains(&part);
    ensure!(
        args.pytest.is_empty() || args.only == [Part::Python],
        "arguments behind `--` are for pytest and want `--only python`"
    );
    let interpreters = interpreter::all()?;
    let chosen = &interpreters[0];
    let fetching = thread::spawn({
        let interpreters = interpreters.clone();
        move || interpreters.iter().map(environment).collect::<anyhow::Result<Vec<_>>>()
    });
    let mut outcomes = Outcomes::default();
    if wanted(Part::Rust) {
        outcomes.add("rust", || rust(chosen));
    }
    if wanted(Part::Fuzz) {
        outcomes.add("fuzz", || fuzz::run(&fuzz::Args::default()));
    }
    if !args.only.is_empty() && args.only.iter().all(|part| part.is_rust_alone()) {
        return outcomes.conclude();
    }
    outcomes.add("system", system::prepare_tests);
    let venvs = fetching.join().ok().context("making environments failed")??;
    let built = outcomes.add("extension module", || venvs[0].install_checkout());
    if built && wanted(Part::Python) && args.pytest.is_empty() {
        outcomes.add("python", || pytest_side_by_side(&venvs[0], &["tests"]));
        outcomes.add("python, alone", || pytest(&venvs[0], ["tests", "-m", "alone"]));
    } else if built && wanted(Part::Python) {
        outcomes.add("python", || pytest(&venvs[0], &args.pytest));
    }
    if built && wanted(Part::Container) {
        outcomes.add("container", || pytest(&venvs[0], ["tests", "-m", "container"]));
    }
    if built && wanted(Part::Example) {
        outcomes.add("example", || example(&venvs[0]));
    }
    if built && wanted(Part::Loadtest) {
        outcomes.add("loadtest", || loadtest::compare(&venvs[0], &["--gate".into()]));
    }
    if built && wanted(Part::Python) && args.pytest.is_empty() {
        // It measures no time, nor do those that it runs beside.
        thread::scope(|scope| {
            let soaking = scope.spawn(|| soak::beside(&venvs[0], SHORT_MINUTES, &[]));
            for (interpreter, venv) in interpreters.iter().zip(&venvs).skip(1) {
                outcomes.add(&format!("python {}", interpreter.name()), || {
                    venv.install_checkout()?;
                    pytest_side_by_side(venv, &FEWER_TESTS)
                });
            }
            let rest = || soaking.join().unwrap_or_else(|_| bail!("the soak panicked"));
            outcomes.add("soak, the rest", rest);
        });
    }
    outcomes.conclude()
}

fn environment(interpreter: &Interpreter) -> anyhow::Result<Venv> {
    let venv = Venv::of(interpreter)?;
    venv.require("dev.txt", None)?;
    venv.require("loadtest.txt", None)?;
    Ok(venv)
}

fn rust(interpreter: &Interpreter) -> anyhow::Result<()> {
    let mut test = cargo();
    test.args(["test", "--workspace", "--no-fail-fast"]);
    step::run(test.env("PYO3_PYTHON", &interpreter.executable))
}

pub(crate) fn pytest<A: AsRef<OsStr>>(
    venv: &Venv,
    arguments: impl IntoIterator<Item = A>,
) -> anyhow::Result<()> {
    step::run(venv.python(".").args(["-m", "pytest"]).args(arguments))
}

/// Those tests that bear company, several at a time.
fn pytest_side_by_side(venv: &Venv, what: &[&str]) -> anyhow::Result<()> {
    let processes = thread::available_parallelism().context("cannot count CPUs")?.get() + 1;
    let processes = processes.to_string();
    let how =
        ["--numprocesses", &processes, "--dist", "worksteal", "-m", "not alone and not container"];
    pytest(venv, what.iter().chain(&how))
}

fn example(venv: &Venv) -> anyhow::Result<()> {
    step::run(venv.python("examples/bookshop").args(["-Werror", "manage.py", "test"]))
}

/// What has run, how long it took, and what failed.
#[derive(Default)]
struct Outcomes {
    lines: Vec<String>,
    failed: bool,
}

impl Outcomes {
    /// Runs a part; true when it succeeded.
    fn add(&mut self, name: &str, part: impl FnOnce() -> anyhow::Result<()>) -> bool {
        let start = Instant::now();
        let outcome = part();
        let verdict = match &outcome {
            Ok(()) => "passed".to_owned(),
            Err(error) => format!("FAILED: {error:#}"),
        };
        self.failed |= outcome.is_err();
        self.lines.push(format!("{name:18} {:4} s  {verdict}", start.elapsed().as_secs()));
        outcome.is_ok()
    }

    fn conclude(self) -> anyhow::Result<()> {
        step::announce(&format!("\n{}", self.lines.join("\n")));
        if self.failed {
            bail!("some tests failed");
        }
        Ok(())
    }
}
