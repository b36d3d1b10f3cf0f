//! Runs a command of a task: says which, and fails with what it was when it fails.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::checkout;

/// Prints the command line, then runs it with our terminal.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    announce(&format!("$ {}", line(command)));
    let status = command.status().with_context(|| format!("cannot run {}", line(command)))?;
    if !status.success() {
        bail!("{status}: {}", line(command));
    }
    Ok(())
}

/// A line for the person before the terminal.
#[expect(clippy::print_stderr, reason = "the terminal is where automation reports")]
pub(crate) fn announce(text: &str) {
    eprintln!("{text}");
}

/// The command as one would type it in the root of the checkout.
fn line(command: &Command) -> String {
    let root = format!("{}/", checkout::root().display());
    let program = Path::new(command.get_program());
    let program = match program.strip_prefix(&root) {
        Ok(ours) => ours.as_os_str(),
        Err(_) => program.file_name().unwrap_or(command.get_program()),
    };
    let words = std::iter::once(program).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy().replace(&root, "")).collect();
    words.join(" ")
}
