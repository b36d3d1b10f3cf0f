//! `cargo xtask soak`: minutes of mixed traffic, after which nothing may have grown.

use crate::test::pytest;
use crate::venv::Venv;
use crate::{interpreter, step};

/// How long the run beside other tests takes: what grows with each request shows by then.
pub(crate) const SHORT_MINUTES: &str = "1";
/// Clients of each kind that is slow or deaf, in a run by hand or by night.
const CROWD: &str = "1000";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Minutes of traffic, shared by the engines
    #[arg(long, default_value = "10")]
    minutes: String,
}

/// Soaks, then has a thousand clients of each kind where tests have fewer, and measures what others
/// wait for them.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let venv = Venv::of(&interpreter::chosen()?)?;
    venv.require("dev.txt", None)?;
    venv.install_checkout()?;
    beside(&venv, &args.minutes, &["--slow"])?;
    step::run(venv.python(".").env("HURRICANE_CROWD", CROWD).args([
        "-m",
        "pytest",
        "tests/test_faults.py",
    ]))
}

/// The traffic, with `more` arguments.
pub(crate) fn beside(venv: &Venv, minutes: &str, more: &[&str]) -> anyhow::Result<()> {
    let soak = ["tests/test_soak.py", "--capture=no", "--soak", minutes];
    pytest(venv, soak.iter().chain(more))
}
