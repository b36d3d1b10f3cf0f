//! `cargo xtask wheels`: the wheels of a release, for each CPython and processor.
//!
//! maturin compiles with zig for the C library of manylinux2014 and refuses to name a wheel so that
//! asks for more. The same commit gives the same bytes wherever it is built: versions are locked,
//! the time in the archives is that of the commit, paths of this machine are left out.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use clap::ValueEnum;

use crate::interpreter;
use crate::venv::Venv;
use crate::{checkout, step};

/// The oldest C library that Rust itself runs on: that of all Linux distributions since 2014.
const POLICY: &str = "manylinux2014";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Processors to build for
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["x86-64", "aarch64"])]
    only: Vec<Processor>,

    /// Where the wheels go [default: wheels in the target directory]
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Processor {
    #[value(name = "x86-64")]
    X86_64,
    Aarch64,
}

impl Processor {
    fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
        }
    }
}

/// Builds for every CPython that is found here.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let interpreters = interpreter::all()?;
    let venv = Venv::of(&interpreters[0])?;
    venv.require("dev.txt", Some("maturin"))?;
    venv.require("wheels.txt", None)?;
    let out = args.out.clone().unwrap_or_else(|| checkout::target().join("wheels"));
    for processor in &args.only {
        step::run(Command::new("rustup").args(["target", "add", processor.target()]))?;
        let mut maturin = venv.tool("maturin");
        maturin.args(["build", "--release", "--locked", "--strip", "--zig"]);
        maturin.args(["--compatibility", POLICY, "--target", processor.target()]);
        maturin.arg("--out").arg(&out).arg("--interpreter");
        if processor.target().starts_with(env::consts::ARCH) {
            maturin.args(interpreters.iter().map(|each| &each.executable));
        } else {
            // No interpreter of another processor runs here: maturin knows what they are like.
            maturin.args(interpreters.iter().map(|each| format!("python{}", each.name())));
        }
        maturin.env("PATH", path_with(&venv)?).env("SOURCE_DATE_EPOCH", commit_time()?);
        step::run(maturin.env("CARGO_ENCODED_RUSTFLAGS", without_paths()?))?;
    }
    Ok(())
}

/// The path with the environment's programs first: zig is one of them.
fn path_with(venv: &Venv) -> anyhow::Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    Ok(env::join_paths([venv.programs()].into_iter().chain(env::split_paths(&path)))?)
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

/// Flags of the compiler that have the same text stand for this checkout and for cargo's home
/// wherever they are: the paths of sources are in what panics say.
fn without_paths() -> anyhow::Result<OsString> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(env::home_dir()?.join(".cargo"))).context("no CARGO_HOME")?;
    let mut flags = OsString::new();
    for (from, to) in [(checkout::root(), "/hurricane"), (home, "/cargo")] {
        if !flags.is_empty() {
            flags.push("\u{1f}");
        }
        flags.push("--remap-path-prefix=");
        flags.push(from);
        flags.push("=");
        flags.push(to);
    }
    Ok(flags)
}
