//! What a server needs whose project is being written: see `hurricane/development.py`.

use std::path::{Path, PathBuf};

use hurricane::{Development, DevelopmentArgs, Watched};
use pyo3::prelude::*;

use crate::again::{Outline, watched};

const MODULE: &str = "hurricane.development";

/// `None` where code is not loaded by itself.
pub(crate) fn development(args: DevelopmentArgs) -> Option<Development> {
    let DevelopmentArgs { autoreload, static_watch, .. } = args;
    autoreload.then(|| Development {
        outline: Box::new(move || outline(&static_watch)),
        collect: Box::new(collect),
    })
}

fn outline(static_watch: &[PathBuf]) -> Watched {
    let existing = static_watch.iter().filter(|path| exists(path)).cloned().collect::<Vec<_>>();
    Python::attach(|py| {
        let found = py.import(MODULE)?.call_method1("outline", (existing,))?;
        Ok(watched(found.extract::<Outline>()?))
    })
    .unwrap_or_else(|error: PyErr| {
        tracing::error!(%error, "changes cannot be found: the files of the project are not known");
        Watched::default()
    })
}

fn exists(path: &Path) -> bool {
    let (exists, path) = (path.exists(), path.display());
    if exists {
        tracing::info!("Watching path {path}.");
    } else {
        tracing::error!("Tried to watch {path}, but it does not exist.");
    }
    exists
}

fn collect() -> Result<(), String> {
    let failed = Python::attach(|py| {
        py.import(MODULE)?.call_method0("collect_static")?.extract::<Option<String>>()
    });
    match failed {
        Ok(None) => Ok(()),
        Ok(Some(sentence)) => Err(sentence),
        Err(error) => Err(format!("collecting static files has failed: {error}")),
    }
}
