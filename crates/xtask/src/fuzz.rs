//! `cargo xtask fuzz`: builds the targets of `fuzz/` with the pinned compiler, and runs them.
//!
//! Without `--seconds` that is the smoke run of every change: from the committed seeds, with a fixed
//! number of inputs and a fixed seed of chance, so that it tries the same for everybody. With it, each
//! target goes on from what earlier runs have found, which is kept under the target directory.
//!
//! There is no sanitizer of memory: it wants another compiler, and nothing that is fuzzed has `unsafe`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};

use crate::test::cargo;
use crate::{checkout, step, system};

/// What the compiler adds so that libFuzzer sees where an input gets to.
const WATCHED: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg=fuzzing",
];
/// Half a second to three for each target, where nobody else wants the CPU.
const SMOKE: [&str; 3] = ["-seed=1", "-runs=100000", "-max_total_time=3"];
/// The longest input: beyond, the same happens over again.
const INPUT_BYTES_MAX: &str = "-max_len=4096";
/// What the committed seeds reach: each place once, not each number of times, and by short inputs.
const LEAST: [&str; 3] = ["-set_cover_merge=1", "-use_counters=0", "-max_len=512"];

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Only these targets
    targets: Vec<String>,

    /// How long each target runs; without it, a smoke run
    #[arg(long)]
    seconds: Option<u32>,

    /// Keep of what was found as little as reaches all of it, in place of the committed seeds
    #[arg(long, conflicts_with = "seconds")]
    minimise: bool,
}

/// Runs what was asked for; a crash leaves its input under the target directory and fails.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    system::prepare_fuzzing()?;
    let all = targets()?;
    if let Some(unknown) = args.targets.iter().find(|name| !all.contains(name)) {
        bail!("there is no fuzz target {unknown}; there are {}", all.join(", "));
    }
    let programs = build()?;
    let mut crashed = Vec::new();
    for name in all.iter().filter(|name| args.targets.is_empty() || args.targets.contains(name)) {
        let target = Target { name, program: programs.join(name) };
        let outcome = match (args.minimise, args.seconds) {
            (true, _) => target.minimise(),
            (false, Some(seconds)) => target.explore(seconds),
            (false, None) => target.smoke(),
        };
        crashed.extend(outcome.err().map(|error| format!("{name}: {error:#}")));
    }
    ensure!(crashed.is_empty(), "\n{}", crashed.join("\n"));
    Ok(())
}

/// The files of `fuzz/targets`.
fn targets() -> anyhow::Result<Vec<String>> {
    let files = fs::read_dir(checkout::root().join("fuzz/targets")).context("fuzz/targets")?;
    let mut names = Vec::new();
    for file in files {
        names.extend(file?.path().file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// Where the programs are, once they are built.
fn build() -> anyhow::Result<PathBuf> {
    let host = host()?;
    let place = checkout::target().join("fuzz");
    let mut build = cargo();
    // With a target of its own, so that what runs while building is not watched.
    build.args(["build", "--quiet", "--locked", "--bins", "--target", &host]);
    build.arg("--manifest-path=fuzz/Cargo.toml").arg("--target-dir").arg(&place);
    // Not in RUSTFLAGS, where they would take the place of what the machine has set.
    let flags = WATCHED.map(|flag| format!("'{flag}'")).join(",");
    build.arg("--config").arg(format!("target.{host}.rustflags=[{flags}]"));
    step::run(&mut build)?;
    Ok(place.join(host).join("debug"))
}

/// The machine that the compiler runs on.
fn host() -> anyhow::Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    let mut version = Command::new(rustc);
    let told = version.arg("-vV").current_dir(checkout::root()).output().context("rustc -vV")?;
    let told = String::from_utf8(told.stdout).context("rustc -vV")?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names no host")?.to_owned())
}

struct Target<'a> {
    name: &'a str,
    program: PathBuf,
}

impl Target<'_> {
    /// The seeds that are committed.
    fn seeds(&self) -> PathBuf {
        checkout::root().join("fuzz/corpus").join(self.name)
    }

    /// What long runs have found on this machine.
    fn found(&self) -> anyhow::Result<PathBuf> {
        made(checkout::target().join("fuzz/found").join(self.name))
    }

    fn smoke(&self) -> anyhow::Result<()> {
        let place = checkout::target().join("fuzz/smoke").join(self.name);
        if place.exists() {
            fs::remove_dir_all(&place).with_context(|| place.display().to_string())?;
        }
        self.fuzz(&SMOKE, &made(place)?)
    }

    fn explore(&self, seconds: u32) -> anyhow::Result<()> {
        self.fuzz(&[&format!("-max_total_time={seconds}")], &self.found()?)
    }

    /// Says how many inputs were tried and how far they got; on a crash, all that libFuzzer said.
    fn fuzz(&self, how: &[&str], into: &Path) -> anyhow::Result<()> {
        let began = Instant::now();
        let crashes = made(checkout::target().join("fuzz/crashes"))?;
        let prefix = format!("-artifact_prefix={}/{}-", crashes.display(), self.name);
        let mut fuzz = Command::new(&self.program);
        fuzz.args(how).args([INPUT_BYTES_MAX, "-timeout=10", "-rss_limit_mb=1024"]);
        fuzz.arg("-dict=fuzz/http.dict").arg(prefix).arg(into).arg(self.seeds());
        let output = fuzz.current_dir(checkout::root()).output().context("cannot be run")?;
        let told = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            step::announce(&told);
            bail!("{}; its input is in {}", output.status, crashes.display());
        }
        let reached = told.lines().rev().find_map(|line| line.split_once(" cov: "));
        let reached = reached.and_then(|(_, rest)| rest.split(' ').next()).unwrap_or("?");
        let runs = told.lines().rev().find_map(|line| line.strip_prefix("Done "));
        let runs = runs.and_then(|rest| rest.split(' ').next()).unwrap_or("?");
        let (name, took) = (self.name, began.elapsed().as_secs_f64());
        step::announce(&format!("{name:12} {runs:>10} inputs, {reached:>5} edges, {took:.1} s"));
        Ok(())
    }

    fn minimise(&self) -> anyhow::Result<()> {
        let place = checkout::target().join("fuzz/least").join(self.name);
        if place.exists() {
            fs::remove_dir_all(&place).with_context(|| place.display().to_string())?;
        }
        let (place, seeds) = (made(place)?, made(self.seeds())?);
        let mut merge = Command::new(&self.program);
        merge.args(LEAST).arg(&place).arg(&seeds);
        let output = merge.arg(self.found()?).output().context("cannot be run")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::remove_dir_all(&seeds).with_context(|| seeds.display().to_string())?;
        fs::rename(&place, &seeds).with_context(|| seeds.display().to_string())
    }
}

/// This directory, there from now on.
fn made(directory: PathBuf) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
    Ok(directory)
}
