//! Which CPython interpreters there are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, bail};

/// The variable that names the interpreter to use.
const VARIABLE: &str = "HURRICANE_PYTHON";
const NAMES: [&str; 4] = ["python3.13", "python3.12", "python3.11", "python3"];
const OLDEST: Version = (3, 11);

/// Prints what we need to know, and fails where no virtual environment can be made.
const QUESTION: &str = "import sys, venv, ensurepip; \
    print(sys.implementation.name, sys.version_info[0], sys.version_info[1], sys.executable)";

type Version = (u16, u16);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interpreter {
    pub(crate) version: Version,
    pub(crate) executable: PathBuf,
}

impl Interpreter {
    /// As in `python3.13`.
    pub(crate) fn name(&self) -> String {
        format!("{}.{}", self.version.0, self.version.1)
    }

    /// Asks an executable what it is; none when it does not run, or cannot make environments.
    fn ask(executable: &Path) -> Option<Self> {
        let output = Command::new(executable).args(["-I", "-c", QUESTION]).output().ok()?;
        let answer = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
        Self::parse(&answer)
    }

    fn parse(answer: &str) -> Option<Self> {
        let mut words = answer.trim().splitn(4, ' ');
        if words.next()? != "cpython" {
            return None;
        }
        let version = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Self { version, executable: words.next()?.into() })
    }
}

/// The interpreter that `HURRICANE_PYTHON` names, else the newest that is found.
pub(crate) fn chosen() -> anyhow::Result<Interpreter> {
    if let Some(wanted) = env::var_os(VARIABLE) {
        let wanted = PathBuf::from(wanted);
        let found = Interpreter::ask(&wanted).with_context(|| {
            format!(
                "{VARIABLE}={}: not a CPython with the modules venv and ensurepip",
                wanted.display()
            )
        })?;
        if found.version < OLDEST {
            bail!("{VARIABLE}={}: is {}, but 3.11 is needed", wanted.display(), found.name());
        }
        return Ok(found);
    }
    newest_of_each_version().into_iter().next().with_context(|| {
        format!(
            "found no CPython of 3.11 or later that has the modules venv and ensurepip (Debian: \
             python3-venv); install one or set {VARIABLE}"
        )
    })
}

/// The chosen interpreter, then one of each other version, newest first.
pub(crate) fn all() -> anyhow::Result<Vec<Interpreter>> {
    let chosen = chosen()?;
    let mut others = newest_of_each_version();
    others.retain(|other| other.version != chosen.version);
    Ok(std::iter::once(chosen).chain(others).collect())
}

fn newest_of_each_version() -> Vec<Interpreter> {
    let mut found: Vec<Interpreter> =
        candidates().iter().filter_map(|executable| Interpreter::ask(executable)).collect();
    found.retain(|interpreter| interpreter.version >= OLDEST);
    found.sort_by_key(|interpreter| std::cmp::Reverse(interpreter.version));
    found.dedup_by_key(|interpreter| interpreter.version);
    found
}

/// Executables that may be an interpreter: on the path, and those that pyenv has installed.
fn candidates() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = env::split_paths(&path).collect();
    let pyenv = env::home_dir().map(|home| home.join(".pyenv/versions"));
    if let Some(versions) = pyenv.and_then(|versions| fs::read_dir(versions).ok()) {
        directories.extend(versions.flatten().map(|version| version.path().join("bin")));
    }
    let named = |name: &str| directories.iter().map(|each| each.join(name)).collect::<Vec<_>>();
    NAMES.iter().flat_map(|name| named(name)).filter(|path| path.is_file()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreter_tells_its_version_and_path() {
        let found = Interpreter::parse("cpython 3 13 /opt/my python/bin/python3\n").unwrap();
        assert_eq!(found.version, (3, 13));
        assert_eq!(found.name(), "3.13");
        assert_eq!(found.executable, Path::new("/opt/my python/bin/python3"));
    }

    #[test]
    fn other_implementations_are_passed_over() {
        assert_eq!(Interpreter::parse("pypy 3 11 /usr/bin/pypy3\n"), None);
        assert_eq!(Interpreter::parse(""), None);
    }
}
