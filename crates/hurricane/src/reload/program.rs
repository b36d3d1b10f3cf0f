//! The program of this process, to be run anew: beside it as a trial, or in its place.
//!
//! A reload runs it as it was first started: the same words, working directory and environment.
//! What the application has changed in them since must not decide what its next version finds.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::RawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

use crate::process;

static ORIGIN: OnceLock<Origin> = OnceLock::new();

/// Where a process was started from.
#[derive(Debug)]
struct Origin {
    began: SystemTime,
    environment: Vec<(OsString, OsString)>,
    directory: PathBuf,
    /// Descriptors that were passed to us, beside the first three.
    descriptors: Vec<RawFd>,
}

/// Remembers how this process was started; to be called before the application can change it.
pub fn remember_origin() {
    ORIGIN.get_or_init(Origin::of_this_process);
}

impl Origin {
    fn of_this_process() -> Self {
        // What the kernel keeps is the environment of the start, whatever was set since.
        let environment = match fs::read("/proc/self/environ") {
            Ok(block) if !block.is_empty() => parse_environment(&block),
            _ => std::env::vars_os().collect(),
        };
        let physical = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        let logical = environment.iter().find(|(name, _)| name == "PWD");
        let logical = logical.map(|(_, value)| PathBuf::from(value));
        let directory = logical.filter(|it| is_same(it, &physical)).unwrap_or(physical);
        let descriptors = process::inheritable_descriptors();
        Self { began: SystemTime::now(), environment, directory, descriptors }
    }
}

/// The block of `/proc/PID/environ`: `NAME=value`, each with a NUL.
fn parse_environment(block: &[u8]) -> Vec<(OsString, OsString)> {
    let entries = block.split(|byte| *byte == 0);
    entries
        .filter_map(|entry| {
            let at = entry.iter().position(|byte| *byte == b'=')?;
            let value = OsString::from_vec(entry[at + 1..].to_vec());
            (at > 0).then(|| (OsStr::from_bytes(&entry[..at]).to_owned(), value))
        })
        .collect()
}

/// Whether the shell's name of the working directory still means it. It may go through a link
/// that a deployment points at the next release, which a reload is to follow.
fn is_same(logical: &Path, physical: &Path) -> bool {
    let key = |path| fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    logical.is_absolute() && key(logical).is_some() && key(logical) == key(physical)
}

/// How to run the program of this process anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Up to the word that says what it is run for, beginning with the executable.
    before: Vec<OsString>,
    /// What follows that word.
    after: Vec<OsString>,
}

impl Program {
    /// `before`: the executable and its words up to the one that will be given to
    /// [`crate::reload::errand::begin`]; `after`: the words that follow it.
    pub fn new(before: Vec<OsString>, after: Vec<OsString>) -> Option<Self> {
        before.first().is_some_and(|executable| !executable.is_empty()).then_some(())?;
        Some(Self { before, after })
    }

    /// All words, with the one that says what it is run for.
    pub(crate) fn words(&self, errand: &str) -> Vec<OsString> {
        let errand = [OsString::from(errand)];
        self.before.iter().chain(&errand).chain(&self.after).cloned().collect()
    }

    pub(crate) fn environment() -> &'static [(OsString, OsString)] {
        &ORIGIN.get_or_init(Origin::of_this_process).environment
    }

    /// When this process began to load what it serves.
    pub(crate) fn began() -> SystemTime {
        ORIGIN.get_or_init(Origin::of_this_process).began
    }

    /// Leaves the program that this process runs next with the descriptors that it had at first.
    pub(crate) fn close_others_on_exec() {
        let passed = &ORIGIN.get_or_init(Origin::of_this_process).descriptors;
        let others = process::inheritable_descriptors();
        others.into_iter().filter(|it| !passed.contains(it)).for_each(process::close_on_exec);
    }

    pub(crate) fn directory() -> &'static Path {
        &ORIGIN.get_or_init(Origin::of_this_process).directory
    }

    /// What runs it.
    pub(crate) fn command(&self, errand: &str) -> Command {
        let words = self.words(errand);
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .env_clear()
            .envs(Self::environment().iter().map(|(name, value)| (name, value)))
            .current_dir(Self::directory());
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_read_as_the_kernel_keeps_it() {
        let block = b"A=1\0EMPTY=\0WITH=a=b\0no-name\0=hidden\0BYTES=\xff\0";
        let found = parse_environment(block);
        let names: Vec<_> = found.iter().map(|(name, _)| name.to_str().unwrap()).collect();
        assert_eq!(names, ["A", "EMPTY", "WITH", "BYTES"]);
        assert_eq!((found[1].1.as_bytes(), found[2].1.as_bytes()), (&b""[..], &b"a=b"[..]));
        assert_eq!(found[3].1.as_bytes(), b"\xff");
    }

    #[test]
    fn a_link_to_the_working_directory_is_kept_and_another_directory_is_not() {
        let scratch = std::env::temp_dir().join(format!("hurricane-origin-{}", std::process::id()));
        let (real, link) = (scratch.join("release"), scratch.join("current"));
        fs::create_dir_all(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert!(is_same(&link, &real));
        assert!(!is_same(&scratch, &real));
        assert!(!is_same(Path::new("."), Path::new(".")));
        fs::remove_dir_all(&scratch).unwrap();
    }

    #[test]
    fn the_errand_stands_between_the_words() {
        let words = |list: &[&str]| list.iter().map(OsString::from).collect::<Vec<_>>();
        let program = Program::new(words(&["python", "again.py"]), words(&["manage.py"])).unwrap();
        assert_eq!(
            program.words("trial=3"),
            words(&["python", "again.py", "trial=3", "manage.py"])
        );
        assert_eq!(Program::new(words(&[""]), Vec::new()), None);
    }
}
