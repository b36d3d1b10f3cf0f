//! `cargo xtask lint`: everything that can be said about the tree without running the server.

use std::process::Command;

use anyhow::bail;

use crate::test::cargo;
use crate::tool::CARGO_DENY;
use crate::venv::Venv;
use crate::{checkout, interpreter, step, tidy};

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
        step::run(cargo().args(["fmt", "--check", "--manifest-path=fuzz/Cargo.toml"])),
        step::run(cargo().args(["fmt", "--check", "--manifest-path=loadtest/native/Cargo.toml"])),
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
    let mut deny = Command::new(CARGO_DENY.installed()?.join("cargo-deny"));
    deny.args(["check", "--deny", "warnings", "bans", "licenses", "sources"]);
    step::run(deny.current_dir(checkout::root()))
}
