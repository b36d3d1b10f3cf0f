//! The whole crate on file trees that stand for `/`: one rule a test.

mod fixture;
mod memory;
mod pin;
mod workers;
