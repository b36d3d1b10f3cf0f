//! Runs programs under callgrind and reads how many instructions they executed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context as _, bail, ensure};

/// The line of callgrind's log that tells the sum.
const COLLECTED: &str = "Collected : ";

pub(crate) struct Callgrind {
    /// Profiles go here, a directory for each run.
    profiles: PathBuf,
    /// As in `valgrind-3.24.0`.
    pub(crate) version: String,
}

/// The processes of one run, after or before they have run.
pub(crate) struct Run(PathBuf);

impl Callgrind {
    pub(crate) fn new(profiles: &Path) -> anyhow::Result<Self> {
        let asked = Command::new("valgrind").arg("--version").output();
        let Some(answer) = asked.ok().filter(|output| output.status.success()) else {
            bail!(
                "valgrind is missing, without which instructions cannot be counted; install it \
                (Debian: apt-get install valgrind)"
            );
        };
        let version = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        Ok(Self { profiles: profiles.to_owned(), version })
    }

    /// The next run of a subject; what an earlier one has left is removed.
    pub(crate) fn run(&self, name: &str) -> anyhow::Result<Run> {
        let directory = self.profiles.join(name);
        if directory.exists() {
            fs::remove_dir_all(&directory).with_context(|| directory.display().to_string())?;
        }
        fs::create_dir_all(&directory).with_context(|| directory.display().to_string())?;
        Ok(Run(directory))
    }
}

impl Run {
    /// The words before a command that is to be counted, with all processes that it starts.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let file = |flag: &str, name: &str| {
            let mut word = OsString::from(flag);
            word.push(self.0.join(name));
            word
        };
        vec![
            "valgrind".into(),
            "--tool=callgrind".into(),
            "--trace-children=yes".into(),
            file("--log-file=", "%p.log"),
            file("--callgrind-out-file=", "%p.profile"),
        ]
    }

    /// What is in the environment of everything that is counted: nothing that differs between
    /// users or makes a dictionary of strings another one in each process.
    pub(crate) fn environment() -> Vec<(&'static str, OsString)> {
        let path = env::var_os("PATH").unwrap_or_default();
        vec![
            ("PATH", path),
            ("PYTHONHASHSEED", "0".into()),
            ("PYTHONDONTWRITEBYTECODE", "1".into()),
        ]
    }

    /// Runs a command to its end.
    pub(crate) fn execute(&self, command: &[OsString]) -> anyhow::Result<()> {
        let words = self.words();
        let mut valgrind = Command::new(&words[0]);
        valgrind.args(&words[1..]).args(command).env_clear().envs(Self::environment());
        let output = valgrind.output().context("cannot run valgrind")?;
        ensure!(
            output.status.success(),
            "{} ended with {}:\n{}",
            command.first().map(|word| word.to_string_lossy()).unwrap_or_default(),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// The instructions of all processes, which have ended.
    pub(crate) fn instructions(&self) -> anyhow::Result<u64> {
        let mut sum = None;
        for entry in fs::read_dir(&self.0)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                let log = fs::read_to_string(&path)?;
                let count = collected(&log)
                    .with_context(|| format!("{} tells no sum:\n{log}", path.display()))?;
                sum = Some(sum.unwrap_or(0) + count);
            }
        }
        sum.with_context(|| format!("callgrind left no log in {}", self.0.display()))
    }
}

fn collected(log: &str) -> Option<u64> {
    let line = log.lines().find_map(|line| line.split_once(COLLECTED))?;
    line.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_read_from_the_log() {
        let log =
            "==7== Command: x\n==7== \n==7== Events    : Ir\n==7== Collected : 126757\n==7== \n";
        assert_eq!(collected(log), Some(126_757));
        assert_eq!(collected("==7== Command: x\n"), None);
    }
}
