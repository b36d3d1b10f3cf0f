//! Rules that the whole tree keeps, as tests: `cargo xtask tidy` or `cargo test -p xtask`.

mod edges;
mod flags;
mod requirements;
mod sources;
mod text;
mod tree;
mod unsafety;

/// Fails with every breach of a rule, one a line.
#[track_caller]
fn assert_none(breaches: &[String]) {
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}
