//! `cargo xtask sbom`: what a wheel is made of, as CycloneDX; see deploy/sbom.py.

use std::fs::{self, File};

use anyhow::Context as _;

use crate::venv::Venv;
use crate::{checkout, interpreter, step};

/// Writes it under the target directory and says where.
pub(crate) fn run() -> anyhow::Result<()> {
    let venv = Venv::of(&interpreter::chosen()?)?;
    venv.require("dev.txt", None)?;
    venv.require("sbom.txt", None)?;
    let place = checkout::target().join("sbom");
    fs::create_dir_all(&place).with_context(|| place.display().to_string())?;
    let path = place.join("django-hurricane.cdx.json");
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    step::run(venv.python(".").arg("deploy/sbom.py").stdout(file))?;
    step::announce(&path.display().to_string());
    Ok(())
}
