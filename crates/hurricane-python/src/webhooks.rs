//! Webhooks that a project has written in Python, as the control process tells them the news; and
//! the way in which those that do not send by themselves are sent.

use std::sync::Arc;
use std::time::Duration;

use hurricane::{OwnWebhooks, WebhookKind, WebhookStatus, WebhookUrl};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::settled::is_legacy;

const REGISTRY: &str = "hurricane.webhooks";
const EVENTS: &str = "hurricane.webhooks.events";

/// What a project has registered, or `None` when nothing is different from what the server does
/// by itself.
pub(crate) fn collect(url: Option<&WebhookUrl>) -> Option<OwnWebhooks> {
    let replaced = Python::attach(|py| {
        // Who registers webhooks has imported the registry.
        if !py.import("sys")?.getattr("modules")?.contains(REGISTRY)? {
            return PyResult::Ok(None);
        }
        let replaced = py.import(EVENTS)?.call_method0("collect")?;
        replaced.extract::<Option<Vec<String>>>()
    });
    let replaced = replaced.unwrap_or_else(|error| {
        tracing::error!(%error, "the project's own webhooks cannot be collected");
        None
    })?;
    let is_replaced = |kind: &WebhookKind| replaced.iter().any(|code| code == kind.as_str());
    let replaced = WebhookKind::ALL.into_iter().filter(is_replaced).collect();
    let url = url.map(WebhookUrl::expose);
    let tell = Arc::new(move |kind, status, why: Option<&str>| {
        if let Err(error) = tell(kind, status, why, url.as_deref()) {
            tracing::error!(%error, "the project's own webhooks cannot be told");
        }
    });
    Some(OwnWebhooks { replaced, tell })
}

fn tell(
    kind: WebhookKind,
    status: WebhookStatus,
    why: Option<&str>,
    url: Option<&str>,
) -> PyResult<()> {
    Python::attach(|py| {
        let news = (kind.as_str(), status.as_str(), why, url);
        py.import(EVENTS)?.call_method1("tell", news).map(drop)
    })
}

/// See `_core.pyi`.
#[pyfunction]
pub(crate) fn post_webhook(
    py: Python<'_>,
    url: &str,
    json: &[u8],
    seconds: f64,
) -> PyResult<Option<(String, bool)>> {
    let url = parsed(url)?;
    let within = Duration::try_from_secs_f64(seconds)
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    let sent = py.detach(|| hurricane::post(&url, json, within));
    Ok(sent.err().map(|unsent| (unsent.to_string(), unsent.may_pass)))
}

/// See `_core.pyi`.
#[pyfunction]
pub(crate) fn shown_url(url: &str) -> PyResult<String> {
    let url = parsed(url)?;
    Ok(if is_legacy() { url.shown_in_full() } else { url }.to_string())
}

fn parsed(url: &str) -> PyResult<WebhookUrl> {
    url.parse().map_err(|error| PyValueError::new_err(format!("a webhook's URL must be {error}")))
}
