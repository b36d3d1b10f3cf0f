//! `cargo xtask bench`: wall times and instruction counts; see `benches/`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::test::cargo;
use crate::venv::Venv;
use crate::{checkout, interpreter, step, system};

/// Where the package is, relative to the root.
const BENCHES: &str = "benches";
/// How often `environ` is built to be timed.
const ENVIRON_TIMES: &str = "200000";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only count instructions, and compare them with benches/baseline.json
    #[arg(long, conflicts_with = "times")]
    counts: bool,

    /// Only measure wall times
    #[arg(long)]
    times: bool,

    /// Make what is counted the baseline
    #[arg(long, conflicts_with = "times")]
    save: bool,

    /// Only what has one of these in its name
    names: Vec<String>,
}

/// Measures what was asked for; both without a flag.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let venv = Venv::of(&interpreter::chosen()?)?;
    if !args.counts {
        times(&venv, &args.names)?;
    }
    if !args.times {
        counts(&venv, args)?;
    }
    Ok(())
}

fn times(venv: &Venv, names: &[String]) -> anyhow::Result<()> {
    let mut parts = cargo();
    parts.args(["bench", "--package", "hurricane-benches", "--bench", "times", "--"]);
    step::run(with_interpreter(&mut parts, venv).args(names))?;
    build(venv, &["--package", "hurricane-benches", "--example", "environ"])?;
    for request in ["plain", "browser"] {
        let name = format!("environ_{request}");
        if names.is_empty() || names.iter().any(|part| name.contains(part.as_str())) {
            step::announce(&format!("{name}, nanoseconds:"));
            let mut environ = venv.python(BENCHES);
            environ.args(["-S", "environ/build.py"]).arg(example("libenviron.so"));
            step::run(environ.args([request, ENVIRON_TIMES]))?;
        }
    }
    Ok(())
}

fn counts(venv: &Venv, args: &Args) -> anyhow::Result<()> {
    system::prepare_counts()?;
    // Django is counted, too.
    venv.require("loadtest.txt", None)?;
    venv.install_checkout()?;
    build(venv, &["--package", "hurricane-benches", "--bins", "--example", "environ"])?;
    build(venv, &["--package", "hurricane", "--example", "native"])?;
    let release = checkout::target().join("release");
    let benches = checkout::root().join(BENCHES);
    let profiles = checkout::target().join("callgrind");
    fs::create_dir_all(&profiles).with_context(|| profiles.display().to_string())?;
    let mut count = Command::new(release.join("hurricane-benches"));
    count.arg("counts").current_dir(checkout::root());
    count.arg("--python").arg(venv.tool("python").get_program());
    count.arg("--environ").arg(example("libenviron.so"));
    count.arg("--native").arg(example("native"));
    count.arg("--baseline").arg(benches.join("baseline.json"));
    count.arg("--benches").arg(benches).arg("--profiles").arg(profiles);
    if args.save {
        count.arg("--save");
    }
    step::run(count.args(&args.names))
}

/// Builds as the extension module is built, so that both share what they are made of.
fn build(venv: &Venv, what: &[&str]) -> anyhow::Result<()> {
    let mut build = cargo();
    build.args(["build", "--quiet", "--release"]).args(what);
    step::run(with_interpreter(&mut build, venv))
}

fn with_interpreter<'a>(cargo: &'a mut Command, venv: &Venv) -> &'a mut Command {
    cargo.env("PYO3_PYTHON", venv.tool("python").get_program())
}

fn example(name: &str) -> PathBuf {
    checkout::target().join("release/examples").join(name)
}
