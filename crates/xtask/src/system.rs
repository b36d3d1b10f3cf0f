//! Programs of the system that tests want and that no package of Rust or Python brings.
//!
//! As root on a Debian they are installed; elsewhere the tests that want one fail and name it.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::process::Command;
use std::{env, io};

use crate::step;

/// A program, and Debian's package of it.
struct Program {
    name: &'static str,
    package: &'static str,
}

const fn program(name: &'static str, package: &'static str) -> Program {
    Program { name, package }
}

/// What the tests run, each for its own purpose.
const FOR_TESTS: [Program; 7] = [
    program("nginx", "nginx-light"),
    program("rabbitmq-server", "rabbitmq-server"),
    program("promtool", "prometheus"),
    program("podman", "podman"),
    program("buildah", "buildah"),
    program("runc", "runc"),
    program("debootstrap", "debootstrap"),
];
/// What counts instructions.
const FOR_COUNTS: [Program; 1] = [program("valgrind", "valgrind")];
/// What compiles libFuzzer.
const FOR_FUZZING: [Program; 1] = [program("c++", "g++")];

/// Installs what the tests run and is not there.
pub(crate) fn prepare_tests() -> anyhow::Result<()> {
    install(&FOR_TESTS)
}

/// Installs what counts instructions, unless it is there.
pub(crate) fn prepare_counts() -> anyhow::Result<()> {
    install(&FOR_COUNTS)
}

/// Installs what compiles libFuzzer, unless it is there.
pub(crate) fn prepare_fuzzing() -> anyhow::Result<()> {
    install(&FOR_FUZZING)
}

fn install(programs: &[Program]) -> anyhow::Result<()> {
    let missing: Vec<&Program> =
        programs.iter().filter(|program| !is_there(program.name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|program| program.package).collect();
    if !is_root()? || !is_there("apt-get") {
        let packages = packages.join(" ");
        step::announce(&format!("missing, and only root installs them on a Debian: {packages}"));
        return Ok(());
    }
    let _guard = NoServices::begin()?;
    step::run(apt_get().args(["update", "-qq"]))?;
    step::run(apt_get().args(["install", "-qq", "-y", "--no-install-recommends"]).args(packages))
}

fn is_root() -> io::Result<bool> {
    Ok(fs::metadata("/proc/self")?.uid() == 0)
}

fn apt_get() -> Command {
    let mut apt_get = Command::new("apt-get");
    apt_get.env("DEBIAN_FRONTEND", "noninteractive");
    apt_get
}

/// Whether a program is on the path, or where those of root are.
fn is_there(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    places.into_iter().any(|place| place.join(name).is_file())
}

/// While it lives no package starts a service of its own: tests start what they need, on free
/// ports. Where somebody else says which services may start, that stays.
struct NoServices {
    is_ours: bool,
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl NoServices {
    fn begin() -> io::Result<Self> {
        let mut new = fs::OpenOptions::new();
        match new.write(true).create_new(true).mode(0o755).open(POLICY) {
            Ok(mut policy) => policy.write_all(b"#!/bin/sh\nexit 101\n").map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
        .map(|is_ours| Self { is_ours })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.is_ours {
            // It stays behind only where nobody may remove what was just made.
            let _ = fs::remove_file(POLICY);
        }
    }
}
