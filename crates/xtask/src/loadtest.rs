//! `cargo xtask loadtest`, `profile` and `report`: build both sides and the load generator, then
//! run what is in `loadtest/`.

use std::ffi::OsString;

use crate::test::cargo;
use crate::tool::INFERNO;
use crate::venv::Venv;
use crate::{checkout, interpreter, step};

const GENERATOR: &str = "hurricane-loadtest";

/// Prepares an environment with this checkout and the rivals, then compares, or counts what rolling
/// restarts lose if that is asked for first.
pub(crate) fn run(arguments: &[OsString]) -> anyhow::Result<()> {
    let venv = environment()?;
    if let Some((first, rest)) = arguments.split_first()
        && first == "rolling"
    {
        return step::run(venv.python("loadtest").arg("rolling.py").args(rest));
    }
    if wants_everyone(arguments) {
        rivals(&venv)?;
    }
    compare(&venv, arguments)
}

/// Compares in an environment that has Hurricane and the rival of every change.
pub(crate) fn compare(venv: &Venv, arguments: &[OsString]) -> anyhow::Result<()> {
    generator()?;
    step::run(
        venv.python("loadtest")
            .env("CARGO_TARGET_DIR", checkout::target())
            .arg("run.py")
            .args(arguments),
    )
}

/// Draws where the time of a scenario goes.
pub(crate) fn profile(arguments: &[OsString]) -> anyhow::Result<()> {
    let venv = environment()?;
    generator()?;
    native_example()?;
    let inferno = INFERNO.installed()?;
    let mut profile = venv.python("loadtest");
    profile.env("CARGO_TARGET_DIR", checkout::target()).arg("profiling.py");
    step::run(profile.arg("--inferno").arg(inferno).args(arguments))
}

/// Writes `docs/performance.md` from what a comparison has found.
pub(crate) fn report(arguments: &[OsString]) -> anyhow::Result<()> {
    let venv = Venv::of(&interpreter::chosen()?)?;
    venv.require("loadtest.txt", None)?;
    venv.require("report.txt", None)?;
    let mut report = venv.python("loadtest");
    report.env("CARGO_TARGET_DIR", checkout::target()).arg("report.py");
    step::run(report.args(arguments))
}

fn environment() -> anyhow::Result<Venv> {
    let venv = Venv::of(&interpreter::chosen()?)?;
    venv.require("loadtest.txt", None)?;
    venv.install_checkout()?;
    Ok(venv)
}

fn generator() -> anyhow::Result<()> {
    step::run(cargo().args(["build", "--release", "--package", GENERATOR]))
}

/// Whether more than the rival of every change takes part.
fn wants_everyone(arguments: &[OsString]) -> bool {
    let starts = ["--all", "--rivals", "native", "client"];
    let texts = arguments.iter().filter_map(|each| each.to_str());
    texts.into_iter().any(|text| starts.iter().any(|start| text.starts_with(start)))
}

/// Everyone that can be installed. Who cannot be is missing from the tables, which say so.
fn rivals(venv: &Venv) -> anyhow::Result<()> {
    venv.require("rivals.txt", None)?;
    if let Err(error) = venv.require("bjoern.txt", None) {
        step::announce(&format!(
            "bjoern cannot be built, so it is left out; it wants the headers of libev (Debian: \
             libev-dev): {error:#}"
        ));
    }
    Venv::legacy_of(&interpreter::chosen()?)?.require("legacy.txt", None)?;
    native_example()?;
    let mut native = cargo();
    native.args(["build", "--release", "--locked", "--manifest-path=loadtest/native/Cargo.toml"]);
    native.arg("--target-dir").arg(checkout::target().join("native"));
    step::run(&mut native)
}

fn native_example() -> anyhow::Result<()> {
    step::run(cargo().args(["build", "--release", "--package=hurricane", "--example=native"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &[&str], expected: bool) {
        let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
        assert_eq!(wants_everyone(&arguments), expected, "{arguments:?}");
    }

    #[test]
    fn rivals_are_installed_when_they_take_part() {
        check(&["--gate"], false);
        check(&["django", "--connections", "8"], false);
        check(&["django", "--rivals=all"], true);
        check(&["native-churn"], true);
        check(&["--experiment", "client"], true);
        check(&["--all"], true);
    }
}
