//! A virtual environment under the target directory, one per version of Python.
//!
//! Everything that a task wants in it is installed once and stamped: what has not changed since
//! is not looked at again, so that the second run of a task starts at its real work.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use anyhow::Context as _;

use crate::checkout;
use crate::interpreter::Interpreter;
use crate::step;

pub(crate) struct Venv {
    directory: PathBuf,
}

impl Venv {
    /// Makes the environment unless it is there.
    pub(crate) fn of(interpreter: &Interpreter) -> anyhow::Result<Self> {
        Self::at(&format!("venv-{}", interpreter.name()), interpreter)
    }

    /// One more, for Django-Hurricane: its module has the name of ours.
    pub(crate) fn legacy_of(interpreter: &Interpreter) -> anyhow::Result<Self> {
        Self::at(&format!("venv-legacy-{}", interpreter.name()), interpreter)
    }

    /// A new one, with this wheel as a user installs it.
    pub(crate) fn with_wheel(interpreter: &Interpreter, wheel: &Path) -> anyhow::Result<Self> {
        let name = format!("venv-wheel-{}", interpreter.name());
        let stamp = Self { directory: checkout::target().join(&name) }.stamp_path("python");
        if stamp.exists() {
            fs::remove_file(&stamp).with_context(|| stamp.display().to_string())?;
        }
        let venv = Self::at(&name, interpreter)?;
        let versions = checkout::root().join("requirements/dev.txt");
        step::run(venv.pip_install().arg("--constraint").arg(versions).arg(wheel))?;
        Ok(venv)
    }

    fn at(name: &str, interpreter: &Interpreter) -> anyhow::Result<Self> {
        let venv = Self { directory: checkout::target().join(name) };
        let made_by = interpreter.executable.display().to_string();
        if !venv.is_stamped("python", &made_by) {
            let mut make = Command::new(&interpreter.executable);
            step::run(make.args(["-m", "venv", "--clear"]).arg(&venv.directory))?;
            venv.stamp("python", &made_by)?;
        }
        Ok(venv)
    }

    /// Installs a file of `requirements/`, or of it what `only` names.
    pub(crate) fn require(&self, file: &str, only: Option<&str>) -> anyhow::Result<()> {
        let path = checkout::root().join("requirements").join(file);
        let wanted = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let stamp = format!("{file}{}", only.unwrap_or_default());
        if self.is_stamped(file, &wanted) || self.is_stamped(&stamp, &wanted) {
            return Ok(());
        }
        let mut install = self.pip_install();
        match only {
            Some(only) => install.arg("--constraint").arg(&path).arg(only),
            None => install.arg("--requirement").arg(&path),
        };
        step::run(&mut install)?;
        self.stamp(&stamp, &wanted)
    }

    /// Installs this checkout as a user does; pip has maturin build the extension.
    pub(crate) fn install_checkout(&self) -> anyhow::Result<()> {
        let fingerprint = checkout::fingerprint()?;
        if self.is_stamped("checkout", &fingerprint) {
            return Ok(());
        }
        step::announce("building the extension module; the first time takes some minutes");
        let mut install = self.pip_install();
        install.args(["--force-reinstall", "--no-deps"]).arg(checkout::root());
        // Where cargo builds otherwise is relative to where it runs.
        step::run(install.env("CARGO_TARGET_DIR", checkout::target()))?;
        self.stamp("checkout", &fingerprint)
    }

    /// The interpreter in the environment, to be run in a directory of the checkout.
    pub(crate) fn python(&self, directory: &str) -> Command {
        let mut python = self.tool("python");
        python.current_dir(checkout::root().join(directory));
        python
    }

    /// Where its console scripts are.
    pub(crate) fn programs(&self) -> PathBuf {
        self.directory.join("bin")
    }

    /// A console script in the environment.
    pub(crate) fn tool(&self, name: &str) -> Command {
        let mut tool = Command::new(self.programs().join(name));
        tool.current_dir(checkout::root());
        tool
    }

    fn pip_install(&self) -> Command {
        let mut pip = self.tool("python");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        pip
    }

    fn is_stamped(&self, name: &str, content: &str) -> bool {
        fs::read_to_string(self.stamp_path(name)).is_ok_and(|stamped| stamped == content)
    }

    fn stamp(&self, name: &str, content: &str) -> anyhow::Result<()> {
        let path = self.stamp_path(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        let written: io::Result<()> = fs::write(&path, content);
        written.with_context(|| path.display().to_string())
    }

    fn stamp_path(&self, name: &str) -> PathBuf {
        self.directory.join("installed").join(name)
    }
}
