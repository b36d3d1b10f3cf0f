//! `cargo xtask wheels`: the wheels of a release, for each CPython and processor.
//!
//! maturin compiles with zig for the C library of `POLICY`. The same commit gives the same bytes
//! wherever it is built: versions are locked, the time in the archives is that of the commit, paths
//! of this machine are left out. Each wheel is judged before the task succeeds: by the symbols that
//! it wants, and those for this processor by serving the example from a new environment.

mod place;
mod symbols;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use clap::ValueEnum;

use crate::interpreter::{self, Interpreter};
use crate::venv::Venv;
use crate::{checkout, step};
use place::Place;

/// The C library of RHEL 8 and Debian 10; older ones have no `memfd_create`.
const POLICY: &str = "manylinux_2_28";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Processors to build for
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["x86-64", "aarch64"])]
    only: Vec<Processor>,

    /// Versions of CPython to build for, such as 3.13 [default: all that are found]
    #[arg(long, value_delimiter = ',')]
    python: Vec<String>,

    /// Where the wheels go [default: wheels in the target directory]
    #[arg(long)]
    out: Option<PathBuf>,

    /// Build them once more from a copy in another directory, and compare with those that are there
    #[arg(long)]
    reproduce: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Processor {
    #[value(name = "x86-64")]
    X86_64,
    Aarch64,
}

impl Processor {
    /// As wheels and this machine call it.
    fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    fn target(self) -> String {
        format!("{}-unknown-linux-gnu", self.name())
    }

    fn is_ours(self) -> bool {
        self.name() == env::consts::ARCH
    }

    /// Has rustup fetch Rust's own library for it, unless it is there.
    fn fetch(self) -> anyhow::Result<()> {
        let mut asking = Command::new("rustc");
        asking.current_dir(checkout::root()).args(["--print=target-libdir", "--target"]);
        let answer = asking.arg(self.target()).output().context("cannot run rustc")?;
        let directory = PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim());
        if answer.status.success() && directory.is_dir() {
            return Ok(());
        }
        let mut fetch = Command::new("rustup");
        fetch.current_dir(checkout::root()).args(["target", "add", &self.target()]);
        step::run(&mut fetch).with_context(|| {
            format!(
                "Rust's library for {} is neither here nor can rustup fetch it; leave the \
                 processor out with --only, or install the library",
                self.target()
            )
        })
    }
}

/// What wheels are built with.
struct Tools {
    venv: Venv,
    interpreters: Vec<Interpreter>,
    /// `SOURCE_DATE_EPOCH`.
    time: OsString,
}

/// Builds and judges, or builds elsewhere and compares.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let interpreters = wanted(interpreter::all()?, &args.python)?;
    let venv = Venv::of(&interpreters[0])?;
    venv.require("dev.txt", Some("maturin"))?;
    venv.require("wheels.txt", None)?;
    let tools = Tools { venv, interpreters, time: commit_time()? };
    let out = args.out.clone().unwrap_or_else(|| checkout::target().join("wheels"));
    let here = Place { root: checkout::root(), target: checkout::target(), wheels: out };
    let there = if args.reproduce { Some(Place::elsewhere()?) } else { None };
    let mut wheels = Vec::new();
    for &processor in &args.only {
        processor.fetch()?;
        there.as_ref().unwrap_or(&here).build(&tools, processor)?;
        for interpreter in &tools.interpreters {
            let name = name(interpreter, processor);
            let wheel = here.wheel(&name)?;
            if let Some(there) = &there {
                compare(&wheel, &there.wheel(&name)?)?;
            } else {
                symbols::judge(&tools.venv, &wheel)?;
                if processor.is_ours() {
                    serve_example(interpreter, &wheel)?;
                }
            }
            wheels.push(wheel);
        }
    }
    step::run(Command::new("sha256sum").args(&wheels))
}

/// Those of the interpreters that were asked for; all if none was.
fn wanted(found: Vec<Interpreter>, versions: &[String]) -> anyhow::Result<Vec<Interpreter>> {
    let names: Vec<String> = found.iter().map(Interpreter::name).collect();
    for version in versions {
        ensure!(names.contains(version), "found no CPython {version}, but {}", names.join(", "));
    }
    let is_wanted = |it: &Interpreter| versions.is_empty() || versions.contains(&it.name());
    Ok(found.into_iter().filter(is_wanted).collect())
}

/// As maturin names it. This task has the version of the whole workspace.
fn name(interpreter: &Interpreter, processor: Processor) -> String {
    let python = format!("cp{}", interpreter.name().replace('.', ""));
    let (version, processor) = (env!("CARGO_PKG_VERSION"), processor.name());
    format!("django_hurricane-{version}-{python}-{python}-{POLICY}_{processor}.whl")
}

/// Installs it as a user does and runs the tests that serve the example project.
fn serve_example(interpreter: &Interpreter, wheel: &Path) -> anyhow::Result<()> {
    let venv = Venv::with_wheel(interpreter, wheel)?;
    venv.require("dev.txt", Some("Django"))?;
    venv.require("dev.txt", Some("pytest"))?;
    step::run(venv.python(".").args(["-m", "pytest", "--quiet", "tests/test_bookshop.py"]))
}

fn compare(wheel: &Path, other: &Path) -> anyhow::Result<()> {
    let (one, two) = (wheel.display(), other.display());
    ensure!(fs::read(wheel)? == fs::read(other)?, "{one} and {two} differ");
    step::announce(&format!("{one} and {two} are the same"));
    Ok(())
}

/// `SOURCE_DATE_EPOCH`, or when the commit was made.
fn commit_time() -> anyhow::Result<OsString> {
    if let Some(given) = env::var_os("SOURCE_DATE_EPOCH") {
        return Ok(given);
    }
    let mut git = Command::new("git");
    git.current_dir(checkout::root()).args(["log", "-1", "--format=%ct"]);
    let output = git.output().context("cannot run git; set SOURCE_DATE_EPOCH")?;
    ensure!(output.status.success(), "this is no checkout of git; set SOURCE_DATE_EPOCH");
    Ok(String::from_utf8(output.stdout)?.trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interpreters() -> Vec<Interpreter> {
        let with = |minor| Interpreter { version: (3, minor), executable: "python3".into() };
        vec![with(13), with(12)]
    }

    #[test]
    fn a_wheel_is_named_after_python_policy_and_processor() {
        let named = name(&interpreters()[0], Processor::Aarch64);
        assert_eq!(named, "django_hurricane-0.1.0-cp313-cp313-manylinux_2_28_aarch64.whl");
    }

    #[test]
    fn versions_that_are_asked_for_are_built() {
        assert_eq!(wanted(interpreters(), &[]).unwrap().len(), 2);
        assert_eq!(wanted(interpreters(), &["3.12".into()]).unwrap(), interpreters()[1..]);
        let error = wanted(interpreters(), &["3.9".into()]).unwrap_err().to_string();
        assert_eq!(error, "found no CPython 3.9, but 3.13, 3.12");
    }
}
