//! Counts instructions: `cargo xtask bench --counts` builds what it needs and runs it.
//!
//! Instructions do not depend on who shares the machine, so a gate can hold them to a few percent.
//! Each subject runs twice under callgrind, the second time doing its thing more often; the
//! difference, divided by how much more often, is what doing it once costs. Start, warm-up and end
//! cancel out, and nothing has to be marked in the code that is measured: a part in a loop, Python
//! code in an interpreter and a whole server with its processes are counted in the same way.

mod baseline;
mod callgrind;
mod comparison;
mod note;
mod subject;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Parser;
use hurricane_benches::PARTS;

use crate::baseline::Baseline;
use crate::callgrind::Callgrind;
use crate::comparison::Comparison;
use crate::subject::{Executables, Subject};

#[derive(Debug, Parser)]
#[command(name = "hurricane-benches", about = "Counts instructions per request")]
enum Args {
    /// Do a part so many times (what callgrind is given to run)
    Run { part: String, times: u64 },
    /// Count and compare with the baseline
    Counts(CountsArgs),
}

#[derive(Debug, clap::Args)]
struct CountsArgs {
    #[command(flatten)]
    executables: Executables,

    /// File of the counts to compare with
    #[arg(long)]
    baseline: PathBuf,

    /// Directory for the profiles, which callgrind_annotate reads
    #[arg(long)]
    profiles: PathBuf,

    /// Make what is counted the baseline
    #[arg(long)]
    save: bool,

    /// Count only subjects whose name has one of these in it
    names: Vec<String>,
}

fn main() -> ExitCode {
    let result = match Args::parse() {
        Args::Run { part, times } => run(&part, times),
        Args::Counts(args) => counts(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("hurricane-benches: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, times: u64) -> anyhow::Result<()> {
    let part = PARTS.iter().find(|part| part.name == name);
    let mut once = (part.with_context(|| format!("there is no part {name}"))?.prepare)();
    (0..times).for_each(|_| once());
    Ok(())
}

fn counts(args: &CountsArgs) -> anyhow::Result<()> {
    let callgrind = Callgrind::new(&args.profiles)?;
    let baseline = Baseline::read(&args.baseline)?;
    let mut counted = baseline.clone();
    let conditions = subject::conditions(&args.executables, &callgrind)?;
    let wanted = |name: &str| {
        args.names.is_empty() || args.names.iter().any(|part| name.contains(part.as_str()))
    };
    let subjects: Vec<Subject> =
        Subject::all().into_iter().filter(|subject| wanted(&subject.name())).collect();
    if subjects.is_empty() {
        bail!("no subject has one of {:?} in its name", args.names);
    }
    let notes = note::since(&args.baseline);
    let mut comparison = Comparison::new(&notes);
    for subject in subjects {
        let count = subject.count(&args.executables, &callgrind)?;
        let place = conditions.of(&subject);
        comparison.add(&subject.name(), baseline.known(place, &subject.name()), count);
        counted.set(place, &subject.name(), count);
    }
    say(&comparison.table());
    if args.save {
        counted.write(&args.baseline)?;
        say(&format!("saved to {}", args.baseline.display()));
        return Ok(());
    }
    comparison.verdict()
}

#[expect(clippy::print_stderr, reason = "this program talks to people")]
fn say(text: &str) {
    eprintln!("{text}");
}
