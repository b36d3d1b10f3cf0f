//! A directory with sources, where wheels are built from them, and where those go.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::{POLICY, Processor, Tools};
use crate::{checkout, step};

/// What stands for the directory of the sources, wherever it is.
const NAME: &str = "/hurricane";

pub(super) struct Place {
    pub(super) root: PathBuf,
    pub(super) target: PathBuf,
    pub(super) wheels: PathBuf,
}

impl Place {
    /// A copy of this checkout, with uncommitted changes and without what git ignores.
    pub(super) fn elsewhere() -> anyhow::Result<Self> {
        let directory = checkout::target().join("reproduction");
        if directory.exists() {
            fs::remove_dir_all(&directory).with_context(|| directory.display().to_string())?;
        }
        let place = Self {
            root: directory.join("sources"),
            target: directory.join("build"),
            wheels: directory.join("wheels"),
        };
        let mut git = Command::new("git");
        git.current_dir(checkout::root());
        git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let listed = String::from_utf8(git.output().context("cannot run git")?.stdout)?;
        for name in listed.split_terminator('\0') {
            let (from, to) = (checkout::root().join(name), place.root.join(name));
            // One that was deleted is listed until that is committed.
            if from.is_file() {
                fs::create_dir_all(to.parent().unwrap_or(&to))?;
                fs::copy(&from, &to).with_context(|| from.display().to_string())?;
            }
        }
        Ok(place)
    }

    /// The wheels of all interpreters. What does not know Python is compiled once for all.
    pub(super) fn build(&self, tools: &Tools, processor: Processor) -> anyhow::Result<()> {
        let mut maturin = tools.venv.tool("maturin");
        maturin.current_dir(&self.root);
        maturin.args(["build", "--release", "--locked", "--strip", "--zig"]);
        maturin.args(["--compatibility", POLICY, "--target", &processor.target()]);
        maturin.arg("--out").arg(&self.wheels).arg("--interpreter");
        if processor.is_ours() {
            maturin.args(tools.interpreters.iter().map(|each| &each.executable));
        } else {
            // No interpreter of another processor runs here: maturin knows what they are like.
            maturin.args(tools.interpreters.iter().map(|each| format!("python{}", each.name())));
        }
        maturin.env("CARGO_TARGET_DIR", &self.target);
        maturin.env("SOURCE_DATE_EPOCH", &tools.time);
        maturin.env("CARGO_ENCODED_RUSTFLAGS", self.without_paths()?);
        // zig is one of the environment's programs.
        let path = env::var_os("PATH").unwrap_or_default();
        let path = [tools.venv.programs()].into_iter().chain(env::split_paths(&path));
        step::run(maturin.env("PATH", env::join_paths(path)?))?;
        for interpreter in &tools.interpreters {
            let mut rename = tools.venv.python("crates/xtask/src/wheels");
            rename.arg("renaming.py").arg(self.wheel(&super::name(interpreter, processor))?);
            step::run(rename.arg(&self.root).arg(NAME))?;
        }
        Ok(())
    }

    /// A wheel that was built there.
    pub(super) fn wheel(&self, name: &str) -> anyhow::Result<PathBuf> {
        let wheel = self.wheels.join(name);
        ensure!(wheel.is_file(), "{} is not there: build it", wheel.display());
        Ok(wheel)
    }

    /// Flags that have the same texts stand for the directories of this machine: the paths of
    /// sources are in what panics say.
    fn without_paths(&self) -> anyhow::Result<OsString> {
        let home = env::var_os("CARGO_HOME").map(PathBuf::from);
        let home =
            home.or_else(|| Some(env::home_dir()?.join(".cargo"))).context("no CARGO_HOME")?;
        // Each registry has a directory of its own, and a mirror one of another name.
        let registries = fs::read_dir(home.join("registry/src")).into_iter().flatten().flatten();
        let mut names = vec![(self.root.clone(), NAME), (self.target.clone(), "/target")];
        names.extend(registries.map(|entry| (entry.path(), "/crates")));
        Ok(remapping(&names))
    }
}

/// The last flag that fits a path counts.
fn remapping(names: &[(PathBuf, &str)]) -> OsString {
    let flag = |(from, to): &(PathBuf, &str)| {
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(Path::new(from));
        flag.push("=");
        flag.push(to);
        flag
    };
    names.iter().map(flag).collect::<Vec<_>>().join("\u{1f}".as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_with_spaces_in_paths_stay_whole() {
        let flags = remapping(&[("/my code".into(), "/a"), ("/my code/target".into(), "/b")]);
        let flags: Vec<&str> = flags.to_str().unwrap().split('\u{1f}').collect();
        assert_eq!(
            flags,
            ["--remap-path-prefix=/my code=/a", "--remap-path-prefix=/my code/target=/b"]
        );
    }
}
