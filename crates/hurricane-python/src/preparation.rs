//! What a Django project does before it serves, and the loading of it afterwards.

use hurricane::{Interface, PreparationArgs, Scoreboard};
use pyo3::prelude::*;
use pyo3::types::PyCFunction;

use crate::logging::say;
use crate::mounts::ProjectMounts;
use crate::service::{LoadedOnce, load_project};

/// Management commands and migrations, in a process of their own.
pub(crate) struct Prepare {
    /// See `prepare` in `_core.pyi`.
    pub(crate) prepare: Py<PyAny>,
    pub(crate) args: PreparationArgs,
}

impl Prepare {
    /// Whatever goes wrong is one sentence here, with its traceback in the scoreboard.
    /// `is_bridged`: Python's logging takes the server's lines.
    pub(crate) fn run(&self, board: &Scoreboard, is_bridged: bool) -> Result<(), String> {
        let failed = Python::attach(|py| {
            let teller = board.clone();
            let tell = PyCFunction::new_closure(py, None, None, move |args, _| {
                let (text,) = args.extract::<(String,)>()?;
                teller.server().awaited().set(&text);
                PyResult::Ok(())
            })?;
            let lines = PyCFunction::new_closure(py, None, None, |args, _| {
                let (level, text) = args.extract::<(i32, String)>()?;
                say(level, &text);
                PyResult::Ok(())
            })?;
            let commands: Vec<_> = self.args.commands.iter().map(|command| &command.0).collect();
            let apply = self.args.check_migrations_apply;
            let check = self.args.check_migrations || apply;
            let lines = (!is_bridged).then_some(lines);
            let failed = self.prepare.call1(py, (commands, check, apply, tell, lines))?;
            failed.extract::<Option<(String, String, bool)>>(py)
        });
        match failed {
            Ok(None) => Ok(()),
            Ok(Some((sentence, traceback, is_warning))) => {
                board.server().failure().set(&traceback);
                board.server().set_failure_is_warning(is_warning);
                Err(sentence)
            }
            Err(error) => Err(format!("what comes before the start has failed: {error}")),
        }
    }
}

/// Loads the application.
pub(crate) struct Load {
    /// See `load` of `serve` in `_core.pyi`.
    pub(crate) load: Py<PyAny>,
    pub(crate) interface: Interface,
    pub(crate) application: LoadedOnce,
    pub(crate) mounts: ProjectMounts,
}

impl Load {
    pub(crate) fn run(self) -> Result<(), String> {
        Python::attach(|py| {
            load_project(py, &self.load, self.interface, &self.application)
                .and_then(|()| self.mounts.find(py))
                .map_err(|error| error.value(py).to_string())
        })
    }
}
