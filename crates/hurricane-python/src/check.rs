//! Checks written in Python, as the control process runs them.

use std::sync::Arc;
use std::time::Duration;

use hurricane::{Check, CheckOutcome, Purpose};
use pyo3::prelude::*;

use crate::access::Scribe;

/// The one call in the process that answers probes: has them logged by `scribe`, and returns the
/// project's checks, which run every so often and for at most so long.
pub(crate) fn begin(
    scribe: Option<&Scribe>,
    checks: Option<&Py<PyAny>>,
    (interval, timeout): (Duration, Duration),
) -> Vec<Check> {
    if let Some(scribe) = scribe
        && let Err(error) = scribe.start()
    {
        tracing::error!(%error, "probes are not logged");
    }
    checks.map_or_else(Vec::new, |checks| collect(checks, interval, timeout))
}

/// Asks Python for its checks: `(name, purpose, run)` each.
///
/// A failure becomes a readiness check that fails with it, so that the pod gets no traffic and
/// says why.
fn collect(collect: &Py<PyAny>, interval: Duration, timeout: Duration) -> Vec<Check> {
    let found = Python::attach(|py| {
        let found: Vec<(String, String, Py<PyAny>)> = collect.bind(py).call0()?.extract()?;
        PyResult::Ok(found)
    });
    match found {
        Ok(found) => found
            .into_iter()
            .map(|(name, purpose, run)| {
                let purpose = match purpose.as_str() {
                    "liveness" => Purpose::Liveness,
                    _ => Purpose::Readiness,
                };
                let run = Arc::new(move || outcome(&run));
                Check { name, purpose, interval, timeout, run }
            })
            .collect(),
        Err(error) => {
            tracing::error!(%error, "the project's checks cannot be collected");
            let message = format!("the project's checks cannot be collected: {error}");
            let run = Arc::new(move || CheckOutcome::Failed(message.clone()));
            let name = "hurricane.checks".to_owned();
            vec![Check { name, purpose: Purpose::Readiness, interval, timeout, run }]
        }
    }
}

fn outcome(run: &Py<PyAny>) -> CheckOutcome {
    let result = Python::attach(|py| run.bind(py).call0()?.extract::<(String, String)>());
    match result {
        Ok((status, message)) => match status.as_str() {
            "passed" => CheckOutcome::Passed,
            "warned" => CheckOutcome::Warned(message),
            "database_failed" => CheckOutcome::DatabaseFailed(message),
            _ => CheckOutcome::Failed(message),
        },
        Err(error) => CheckOutcome::Failed(error.to_string()),
    }
}
