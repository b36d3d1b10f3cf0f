//! What the project counts itself, and what it may ask of what the server has counted.

use std::sync::OnceLock;

use hurricane::ChildRole;
use hurricane_scoreboard::{Scoreboard, WorkerState};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Which of the server's processes share metrics, in `hurricane.metrics.sharing`.
const SHARING: &str = "hurricane.metrics.sharing";

static BOARD: OnceLock<Scoreboard> = OnceLock::new();

/// From here on this process can tell what the server has counted.
pub(crate) fn remember(board: &Scoreboard) {
    BOARD.get_or_init(|| board.clone());
}

/// Readies the metrics that exist by now for being changed in several processes. In the
/// supervisor, before each fork.
pub(crate) fn share() {
    told(Python::attach(|py| py.import(SHARING)?.call_method0("share").map(drop)));
}

/// The project's metrics are those of this process from here on.
pub(crate) fn become_child(role: ChildRole) {
    let name = match role {
        ChildRole::Worker { worker, slot } => name_of(worker, slot),
        ChildRole::Control => "control".to_owned(),
        ChildRole::Preparation => "preparation".to_owned(),
        ChildRole::Collection => "collection".to_owned(),
    };
    told(Python::attach(|py| py.import(SHARING)?.call_method1("become", (name,)).map(drop)));
}

/// Removes what was shared.
pub(crate) fn end() {
    told(Python::attach(|py| py.import(SHARING)?.call_method0("end").map(drop)));
}

fn told(outcome: PyResult<()>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "metrics of the project are not those of all workers");
    }
}

/// What the metrics of a worker go by. Its successor has the other of its two slots.
fn name_of(worker: usize, slot: usize) -> String {
    format!("w{worker}{}", if slot == worker { "" } else { "b" })
}

/// The project's part of the page.
pub(crate) fn collect(board: &Scoreboard) -> Result<String, String> {
    remember(board);
    let alive: Vec<_> = board
        .read_all()
        .filter(|(_, slot)| slot.state != WorkerState::Vacant)
        .map(|(index, _)| name_of(board.worker_of(index), index))
        .collect();
    let page = |py: Python<'_>| {
        let page = py.import("hurricane.metrics.page")?;
        page.call_method1("text", (alive,))?.extract::<String>()
    };
    Python::attach(page).map_err(|error| error.to_string())
}

/// What the server has counted; see `_core.pyi`.
#[pyfunction]
pub(crate) fn counted(py: Python<'_>) -> PyResult<Option<Bound<'_, PyDict>>> {
    let Some(board) = BOARD.get() else { return Ok(None) };
    let (sums, counted) = (board.read_traffic(), PyDict::new(py));
    let (mut requests, mut in_flight) = (0, 0);
    for (_, slot) in board.read_all() {
        requests += slot.requests;
        in_flight += u64::from(slot.queued) + u64::from(slot.running);
    }
    let (began, ended) = (board.server().started(), board.server().startup_finished());
    let startup = (!ended.is_never()).then(|| ended.since(began).as_secs_f64());
    counted.set_item(intern!(py, "requests"), requests)?;
    counted.set_item(intern!(py, "in_flight"), in_flight)?;
    counted.set_item(intern!(py, "answers"), sums.answers())?;
    counted.set_item(intern!(py, "seconds"), sums.time.as_secs_f64())?;
    counted.set_item(intern!(py, "bytes"), sums.size_bytes)?;
    counted.set_item(intern!(py, "startup_seconds"), startup)?;
    Ok(Some(counted))
}
