//! Which crate may use which: the picture in ARCHITECTURE.md, enforced.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::assert_none;
use crate::tree::root;

/// Each crate of the workspace, and those of the workspace that it is built from.
const OURS: [(&str, &[&str]); 14] = [
    ("hurricane-compress", &[]),
    ("hurricane-cpu", &[]),
    ("hurricane-files", &["hurricane-http"]),
    ("hurricane-http", &[]),
    ("hurricane-scoreboard", &[]),
    (
        "hurricane-worker",
        &["hurricane-cpu", "hurricane-files", "hurricane-http", "hurricane-scoreboard"],
    ),
    ("hurricane-control", &["hurricane-cpu", "hurricane-http", "hurricane-scoreboard"]),
    (
        "hurricane",
        &[
            "hurricane-control",
            "hurricane-cpu",
            "hurricane-files",
            "hurricane-http",
            "hurricane-scoreboard",
            "hurricane-worker",
        ],
    ),
    (
        "hurricane-python",
        &[
            "hurricane",
            "hurricane-compress",
            "hurricane-files",
            "hurricane-http",
            "hurricane-scoreboard",
        ],
    ),
    ("hurricane-testkit", &[]),
    ("hurricane-benches", &["hurricane-http", "hurricane-scoreboard", "hurricane-testkit"]),
    ("hurricane-loadtest", &[]),
    ("hurricane-models", &[]),
    ("xtask", &[]),
];

/// What only tests of a crate use beside the above.
const OURS_IN_TESTS: [(&str, &str); 4] = [
    ("hurricane", "hurricane-testkit"),
    ("hurricane-control", "hurricane-testkit"),
    ("hurricane-loadtest", "hurricane-testkit"),
    ("xtask", "hurricane"),
];

/// Crates of others that are the business of one crate of ours. Tests may use them anywhere.
const RESERVED: [(&str, &[&str]); 15] = [
    ("brotli", &["hurricane-compress"]),
    ("clap", &["hurricane", "hurricane-benches", "hurricane-loadtest", "xtask"]),
    ("core_affinity", &["hurricane-cpu"]),
    ("flate2", &["hurricane-compress"]),
    ("httparse", &["hurricane-http"]),
    ("io-uring", &["hurricane-worker"]),
    ("loom", &["hurricane-models"]),
    ("monoio", &["hurricane-worker"]),
    ("prometheus-client", &["hurricane-control"]),
    ("pyo3", &["hurricane-python"]),
    ("rustls", &["hurricane-control", "hurricane-worker"]),
    ("tokio", &["hurricane-control", "hurricane-loadtest"]),
    ("tokio-uring", &["hurricane-control", "hurricane-loadtest"]),
    ("ureq", &["hurricane-control"]),
    ("zstd", &["hurricane-compress"]),
];

#[test]
fn crates_use_each_other_only_as_designed() {
    let allowed: BTreeMap<_, _> = OURS.into();
    let mut breaches = Vec::new();
    for (package, uses) in dependencies() {
        let Some(allowed) = allowed.get(package.as_str()) else {
            breaches.push(format!("{package}: say here what it may use"));
            continue;
        };
        for Use { name, in_tests, .. } in uses.iter().filter(|each| each.is_ours) {
            let in_tests = *in_tests && OURS_IN_TESTS.contains(&(&package, name));
            if !in_tests && !allowed.contains(&name.as_str()) {
                breaches.push(format!("{package} must not use {name}"));
            }
        }
    }
    assert_none(&breaches);
}

#[test]
fn rings_runtimes_and_interpreters_are_one_crates_business() {
    let mut breaches = Vec::new();
    for (package, uses) in dependencies() {
        for Use { name, .. } in uses.iter().filter(|each| !each.in_tests) {
            for (reserved, owners) in RESERVED {
                let meant = name == reserved || name.starts_with(&format!("{reserved}-"));
                if meant && !owners.contains(&package.as_str()) {
                    breaches.push(format!("{package} uses {name}, which only {owners:?} may"));
                }
            }
        }
    }
    assert_none(&breaches);
}

#[test]
fn a_crate_is_named_as_its_folder_and_keeps_the_workspaces_lints() {
    let mut breaches = Vec::new();
    for package in packages() {
        let (name, manifest) = (text(&package["name"]), text(&package["manifest_path"]));
        if manifest.contains("/crates/") && !manifest.ends_with(&format!("/{name}/Cargo.toml")) {
            breaches.push(format!("{name} is in {manifest}"));
        }
        if !std::fs::read_to_string(manifest).unwrap().contains("[lints]\nworkspace = true\n") {
            breaches.push(format!("{name}: [lints] workspace = true is missing"));
        }
    }
    assert_none(&breaches);
}

/// A dependency as a manifest states it.
struct Use {
    name: String,
    is_ours: bool,
    in_tests: bool,
}

fn dependencies() -> BTreeMap<String, Vec<Use>> {
    let packages = packages();
    let of = |package: &Value| {
        let listed = package["dependencies"].as_array().unwrap();
        let uses = listed.iter().map(|dependency| Use {
            name: text(&dependency["name"]).to_owned(),
            is_ours: dependency["path"].is_string(),
            in_tests: dependency["kind"] == "dev",
        });
        uses.collect()
    };
    packages.iter().map(|package| (text(&package["name"]).to_owned(), of(package))).collect()
}

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
