//! `cargo xtask loadtest`: builds both sides and the load generator, and compares; with `rolling`
//! counts what rolling restarts lose.

use std::ffi::OsString;

use crate::venv::Venv;
use crate::{checkout, interpreter, step};

const GENERATOR: &str = "hurricane-loadtest";

/// Prepares an environment with this checkout and the rivals, then runs `compare.py` in it, or
/// `rolling.py` if that is asked for first.
pub(crate) fn run(arguments: &[OsString]) -> anyhow::Result<()> {
    let venv = Venv::of(&interpreter::chosen()?)?;
    venv.require("loadtest.txt", None)?;
    venv.install_checkout()?;
    match arguments.split_first() {
        Some((first, rest)) if first == "rolling" => {
            step::run(venv.python("loadtest").arg("rolling.py").args(rest))
        }
        _ => compare(&venv, arguments),
    }
}

/// Compares in an environment that has both servers.
pub(crate) fn compare(venv: &Venv, arguments: &[OsString]) -> anyhow::Result<()> {
    step::run(crate::test::cargo().args(["build", "--release", "--package", GENERATOR]))?;
    let generator = checkout::target().join("release").join(GENERATOR);
    let mut compare = venv.python("loadtest");
    compare.arg("compare.py").arg("--generator").arg(generator).args(arguments);
    step::run(&mut compare)
}
