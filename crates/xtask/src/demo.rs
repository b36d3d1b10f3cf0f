//! `cargo xtask demo`: the example project, served as a user serves it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::process::CommandExt as _;

use anyhow::Context as _;

use crate::venv::Venv;
use crate::{checkout, interpreter, step};

const PROJECT: &str = "examples/bookshop";

/// Prepares everything, then becomes the server: signals and exit code are the server's own.
pub(crate) fn run(serve_flags: &[OsString]) -> anyhow::Result<()> {
    let venv = Venv::of(&interpreter::chosen()?)?;
    venv.require("dev.txt", Some("Django"))?;
    venv.install_checkout()?;
    manage(&venv, &["migrate", "--verbosity=0"])?;
    manage(&venv, &["seed"])?;

    let port = value_of("--port", serve_flags).unwrap_or(8000);
    let probe_port = value_of("--probe-port", serve_flags).unwrap_or(port.saturating_add(1));
    step::announce(&format!(
        "\nThe bookshop:  http://localhost:{port}/\n\
         Its probes:    http://localhost:{probe_port}/ready  /alive  /startup  /status\n\
         Ctrl-C ends it.\n"
    ));
    let mut serve = project(&venv)?;
    serve.args(["manage.py", "serve"]).args(serve_flags);
    Err(serve.exec()).context("cannot run manage.py serve")
}

fn manage(venv: &Venv, arguments: &[&str]) -> anyhow::Result<()> {
    step::run(project(venv)?.arg("manage.py").args(arguments))
}

/// The interpreter in the project; what the project writes goes under the target directory.
fn project(venv: &Venv) -> anyhow::Result<std::process::Command> {
    let written = checkout::target().join("demo");
    fs::create_dir_all(&written).with_context(|| written.display().to_string())?;
    let mut python = venv.python(PROJECT);
    python
        .env("DATABASE_PATH", written.join("db.sqlite3"))
        .env("MEDIA_ROOT", written.join("media"))
        .env_remove("HURRICANE_PYTHON");
    Ok(python)
}

/// The port that a flag gives, as `--flag=PORT` or `--flag PORT`; the last one wins.
fn value_of(flag: &str, flags: &[OsString]) -> Option<u16> {
    let joined =
        flags.iter().filter_map(|each| each.to_str()?.strip_prefix(flag)?.strip_prefix('='));
    let split = flags.windows(2).filter(|pair| pair[0] == OsStr::new(flag));
    let split = split.filter_map(|pair| pair[1].to_str());
    joined.chain(split).last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(flags: &[&str], expected: Option<u16>) {
        let flags: Vec<OsString> = flags.iter().map(Into::into).collect();
        assert_eq!(value_of("--port", &flags), expected);
    }

    #[test]
    fn ports_are_taken_from_the_flags() {
        check(&[], None);
        check(&["--port=9000", "--probe-port=9100"], Some(9000));
        check(&["--workers", "2", "--port", "9000"], Some(9000));
        check(&["--port", "nonsense"], None);
    }
}
