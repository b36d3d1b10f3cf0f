//! Automation of this repository: `cargo xtask demo`, `test`, `lint`, `tidy`, `docs`, `fuzz`, `wheels`,
//! `sbom`, `bench`, `soak`, `loadtest`, `profile`, `report`.
//!
//! Needs Rust and a CPython of 3.11 or later, with `pip` able to reach a package index. All that
//! is made (virtual environments, databases, tools) goes under the target directory.

mod bench;
mod checkout;
mod demo;
mod fuzz;
mod interpreter;
mod lint;
mod loadtest;
mod sbom;
mod soak;
mod step;
mod system;
mod test;
mod tidy;
mod tool;
mod venv;
mod wheels;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Automation of this repository")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Serve the example project: virtual environment, build, migrations, data, server
    Demo {
        /// Flags of `manage.py serve`, behind `--`
        #[arg(last = true)]
        serve_flags: Vec<OsString>,
    },
    /// Run all Rust and Python tests
    Test(test::Args),
    /// Check formatting, lints, types, dependencies and tidiness
    Lint,
    /// Check headers, sizes, crate edges and generated documents
    Tidy,
    /// Write the documents that are generated from definitions in the code
    Docs,
    /// Build the wheels of a release: manylinux, for each CPython and processor
    Wheels(wheels::Args),
    /// Try what strangers could send: libFuzzer on the targets of fuzz/
    Fuzz(fuzz::Args),
    /// List what a wheel is made of, as CycloneDX
    Sbom,
    /// Measure parts of a request and whole requests: wall times, instruction counts
    Bench(bench::Args),
    /// Serve mixed traffic for minutes, and a thousand slow clients of each kind: nothing may grow
    Soak(soak::Args),
    /// Compare with rivals under load, or (`rolling`) what they lose; see loadtest/README.md
    #[command(disable_help_flag = true)]
    Loadtest {
        /// Arguments of loadtest/run.py; or `rolling` and those of loadtest/rolling.py
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Draw where the time of a scenario goes: a flame graph, and a table by stage of a request
    #[command(disable_help_flag = true)]
    Profile {
        /// Arguments of loadtest/profiling.py
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Write docs/performance.md and the README's table from the JSON of a comparison
    #[command(disable_help_flag = true)]
    Report {
        /// Arguments of loadtest/report.py
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    match run(Args::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not as `main` would: a backtrace of ours tells nothing about a test that failed.
            step::announce(&format!("\nxtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    match task {
        Task::Demo { serve_flags } => demo::run(&serve_flags),
        Task::Test(args) => test::run(&args),
        Task::Lint => lint::run(),
        Task::Tidy => tidy::check(),
        Task::Docs => tidy::write_docs(),
        Task::Wheels(args) => wheels::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Sbom => sbom::run(),
        Task::Bench(args) => bench::run(&args),
        Task::Soak(args) => soak::run(&args),
        Task::Loadtest { arguments } => loadtest::run(&arguments),
        Task::Profile { arguments } => loadtest::profile(&arguments),
        Task::Report { arguments } => loadtest::report(&arguments),
    }
}
