//! `cargo xtask loadtest`: builds both sides and the load generator, and compares.

use std::ffi::OsString;

use crate::venv::Venv;
use crate::{checkout, interpreter, step};

const GENERATOR: &str = "hurricane-loadtest";

/// Prepares an environment with this checkout and the rival, then runs `compare.py` in it.
pub(crate) fn run(arguments: &[OsString]) -> anyhow::Result<()> {
    let venv = Venv::of(&interpreter::chosen()?)?;
    venv.require("loadtest.txt", None)?;
    venv.install_checkout()?;
    compare(&venv, arguments)
}

/// Compares in an environment that has both servers.
pub(crate) fn compare(venv: &Venv, arguments: &[OsString]) -> anyhow::Result<()> {
    step::run(crate::test::cargo().args(["build", "--release", "--package", GENERATOR]))?;
    let generator = checkout::target().join("release").join(GENERATOR);
    let mut compare = venv.python("loadtest");
    compare.arg("compare.py").arg("--generator").arg(generator).args(arguments);
    step::run(&mut compare)
}
