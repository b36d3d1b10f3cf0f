//! `cargo xtask tidy` and `docs`: the rules are in `tests/tidy`, because they are tests.

use std::process::Command;

use crate::step;
use crate::test::cargo;

/// Checks every rule.
pub(crate) fn check() -> anyhow::Result<()> {
    step::run(&mut rules())
}

/// Writes what the rules compare: see `tests/tidy/flags.rs`.
pub(crate) fn write_docs() -> anyhow::Result<()> {
    step::run(rules().arg("the_flag_table_is_current").env("XTASK_WRITE_DOCS", "1"))
}

fn rules() -> Command {
    let mut test = cargo();
    test.args(["test", "--quiet", "--package", "xtask", "--test", "tidy", "--"]);
    test
}
