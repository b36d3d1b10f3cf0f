//! What no file of the tree may say.

use crate::assert_none;
use crate::tree::{Source, sources};

/// Files that state rules about such texts, or are written by a tool.
const EXEMPT: [&str; 2] = ["Cargo.lock", "crates/xtask/tests/tidy/text.rs"];

/// Places of one machine: they mean nothing on another.
const MACHINE: [&str; 4] = ["/home/", "/root/", "/Users/", "/work/"];

/// Where packages come from is the business of each machine's configuration.
const REGISTRY: [&str; 7] = [
    "pypi.org",
    "pythonhosted.org",
    "://crates.io",
    "index.crates.io",
    "artifactory",
    "--index-url",
    "--extra-index-url",
];

const UNFINISHED: [&str; 5] = ["TODO", "FIXME", "XXX", "todo!(", "unimplemented!("];

#[test]
fn the_tree_names_no_machine() {
    assert_none(&naming(&MACHINE));
}

#[test]
fn the_tree_names_no_registry() {
    assert_none(&naming(&REGISTRY));
}

#[test]
fn nothing_is_left_to_do() {
    assert_none(&naming(&UNFINISHED));
}

fn naming(texts: &[&str]) -> Vec<String> {
    let mut breaches = Vec::new();
    for Source { path, text } in sources() {
        if EXEMPT.contains(&path.as_str()) || path.ends_with("/Cargo.lock") {
            continue;
        }
        for (number, line) in (1..).zip(text.lines()) {
            for found in texts.iter().filter(|each| line.contains(*each)) {
                breaches.push(format!("{path}:{number}: names {found}"));
            }
        }
    }
    breaches
}
