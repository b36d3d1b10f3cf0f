//! Which symbols of other libraries a wheel's extension module wants.
//!
//! The policy names the newest version of the C library's symbols. A function that is newer than
//! the library which zig links against has no version at all: it is left for the interpreter to
//! have, as CPython's own are, and only the import on an old system would fail. Neither maturin nor
//! auditwheel look for these.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::POLICY;
use crate::checkout;
use crate::venv::Venv;

/// Fails when the wheel wants what systems of the policy lack.
pub(super) fn judge(venv: &Venv, wheel: &Path) -> anyhow::Result<()> {
    let directory = checkout::target().join("judged");
    if directory.exists() {
        fs::remove_dir_all(&directory).with_context(|| directory.display().to_string())?;
    }
    let mut unpack = venv.tool("python");
    unpack.args(["-m", "zipfile", "-e"]).arg(wheel).arg(&directory);
    ensure!(unpack.status()?.success(), "{} is no wheel", wheel.display());
    let mut modules = fs::read_dir(directory.join("hurricane"))?.flatten().map(|it| it.path());
    let module = modules.find(|path| path.extension().is_some_and(|it| it == "so"));
    let module = module.with_context(|| format!("{} has no module", wheel.display()))?;
    let mut readelf = Command::new("readelf");
    let table = readelf.args(["--wide", "--dyn-syms"]).arg(&module).output();
    let table = table.context("cannot run readelf; install binutils")?;
    ensure!(table.status.success(), "readelf cannot read {}", module.display());
    let table = String::from_utf8(table.stdout)?;
    ensure!(table.contains(" UND "), "readelf found no symbols in {}", module.display());
    let lacking = lacking(&table, POLICY);
    let name = wheel.file_name().unwrap_or_default().display();
    ensure!(lacking.is_empty(), "{name} wants what {POLICY} lacks: {}", lacking.join(", "));
    Ok(())
}

/// The symbols of a table of readelf that systems of the policy do not have.
fn lacking<'a>(table: &'a str, policy: &str) -> Vec<&'a str> {
    let newest = policy.trim_start_matches("manylinux_").replace('_', ".");
    let newest = version(&newest);
    let wanted = table.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // Number, value, size, type, binding, visibility, section, name; behind it a number.
        match words[..] {
            [_, _, _, _, "GLOBAL", _, "UND", name, ..] => Some(name),
            _ => None,
        }
    });
    let lacks = |name: &&str| match name.split_once("@GLIBC_") {
        Some((_, wanted)) => version(wanted) > newest,
        None => !name.starts_with("Py") && !name.starts_with("_Py"),
    };
    wanted.filter(lacks).collect()
}

fn version(text: &str) -> Vec<u32> {
    text.split('.').map(|part| part.parse().unwrap_or(u32::MAX)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of a real table, of a module that was linked against glibc 2.17.
    const TABLE: &str = "\
Symbol table '.dynsym' contains 306 entries:
   Num:    Value          Size Type    Bind   Vis      Ndx Name
     0: 0000000000000000     0 NOTYPE  LOCAL  DEFAULT  UND
     1: 0000000000000000     0 NOTYPE  GLOBAL DEFAULT  UND PyList_Append
     2: 0000000000000000     0 NOTYPE  GLOBAL DEFAULT  UND _Py_NoneStruct
     3: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND clock_gettime@GLIBC_2.17 (5)
   162: 0000000000000000     0 NOTYPE  GLOBAL DEFAULT  UND memfd_create
   169: 0000000000000000     0 NOTYPE  GLOBAL DEFAULT  UND gettid
   258: 0000000000000000     0 NOTYPE  WEAK   DEFAULT  UND pidfd_spawnp
   305: 00000000000f9a10   105 FUNC    GLOBAL DEFAULT   12 PyInit__core
";

    #[test]
    fn functions_without_a_version_are_newer_than_the_library() {
        assert_eq!(lacking(TABLE, "manylinux_2_17"), ["memfd_create", "gettid"]);
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        let line = |version: &str| format!("1: 0 0 FUNC GLOBAL DEFAULT UND f@GLIBC_{version} (2)");
        assert_eq!(lacking(&line("2.28"), "manylinux_2_28"), [""; 0]);
        assert_eq!(lacking(&line("2.9"), "manylinux_2_28"), [""; 0]);
        assert_eq!(lacking(&line("2.2.5"), "manylinux_2_28"), [""; 0]);
        assert_eq!(lacking(&line("2.30"), "manylinux_2_28"), ["f@GLIBC_2.30"]);
    }
}
