//! The directories of a Django project's files, which are known when it is loaded.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use hurricane::{FileArgs, Mount, ProjectFileArgs, ProjectMount};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// As `FileMount` of `_core.pyi` has it.
type Described = (String, Vec<(String, PathBuf)>, Vec<String>, bool, bool);

/// Asks a project once for its directories.
pub(crate) struct ProjectMounts {
    /// See `mounts` in `_core.pyi`.
    ask: Py<PyAny>,
    wanted: ProjectFileArgs,
    args: FileArgs,
    found: FoundMounts,
}

/// Empty until the project has been asked.
pub(crate) type FoundMounts = Arc<OnceLock<Vec<Mount>>>;

impl ProjectMounts {
    pub(crate) fn new(ask: Py<PyAny>, wanted: ProjectFileArgs, args: FileArgs) -> Self {
        Self { ask, wanted, args, found: FoundMounts::default() }
    }

    /// Where the answer will be.
    pub(crate) fn found(&self) -> FoundMounts {
        Arc::clone(&self.found)
    }

    /// Asks, if anything is wanted.
    pub(crate) fn find(&self, py: Python<'_>) -> PyResult<()> {
        let ProjectFileArgs { static_files, media } = self.wanted;
        if !static_files && !media {
            return Ok(());
        }
        let described: Vec<Described> = self.ask.call1(py, (static_files, media))?.extract(py)?;
        let mounts: PyResult<Vec<Mount>> =
            described.into_iter().map(|one| self.mount(one)).collect();
        let set = self.found.set(mounts?);
        debug_assert!(set.is_ok(), "a project is asked once");
        Ok(())
    }

    fn mount(&self, described: Described) -> PyResult<Mount> {
        let (prefix, roots, immutable_names, is_static, is_development) = described;
        let url = prefix.clone();
        let project = ProjectMount { prefix, roots, immutable_names, is_static, is_development };
        self.args.project_mount(project).map_err(|error| {
            PyValueError::new_err(format!("files cannot be served below {url}: expected {error}"))
        })
    }
}
