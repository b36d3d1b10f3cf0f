//! Under what name a request is counted: the route that the application has found, where it tells,
//! else the path.
//!
//! A route is a line of the project, so there are as many as somebody wrote; paths are as many as
//! peers can think of. Where the application finds routes, what has none is counted together: a
//! scanner's guesses, redirects of a middleware. Where it does not, a path counts as known once it
//! has been answered with anything but 404.

use hurricane_http::Head;
use hurricane_scoreboard::{PathId, Paths};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::settled;

/// What requests are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Routes {
    /// The route, which the application puts into `environ`.
    Told,
    /// The path, unless it was answered 404.
    Untold,
    /// The path, whatever it was answered with: `--compat 1.6`.
    Legacy,
}

impl Routes {
    /// Asks the project to tell its routes, if it can.
    pub(crate) fn of_application(py: Python<'_>) -> Self {
        if settled::is_legacy() {
            return Self::Legacy;
        }
        let told = || py.import("hurricane.route")?.call_method0("tell_routes")?.extract::<bool>();
        match told() {
            Ok(true) => Self::Told,
            Ok(false) => Self::Untold,
            Err(error) => {
                tracing::warn!(%error, "requests are counted by path, not by route");
                Self::Untold
            }
        }
    }

    /// What requests are counted by whose object tells their route.
    pub(crate) fn of_requests() -> Self {
        if settled::is_legacy() { Self::Legacy } else { Self::Told }
    }

    /// Where a request that was answered with `status` is counted, of a route as Django has it.
    pub(crate) fn found(
        self,
        paths: &Paths,
        route: Option<&Bound<'_, PyString>>,
        head: &Head,
        status: u16,
    ) -> PathId {
        if self != Self::Told {
            return self.by_path(paths, head, status);
        }
        let Some(Ok(route)) = route.map(|route| route.to_str()) else { return PathId::OTHER };
        let route = route.strip_prefix('^').unwrap_or(route);
        let route = route.strip_suffix('$').unwrap_or(route);
        let route = route.strip_suffix("\\Z").unwrap_or(route);
        paths.find(head.method(), format!("/{route}").as_bytes(), true)
    }

    /// Where a request that was answered with `status` is counted.
    pub(crate) fn find(
        self,
        paths: &Paths,
        environ: &Bound<'_, PyDict>,
        head: &Head,
        status: u16,
    ) -> PathId {
        if self != Self::Told {
            return self.by_path(paths, head, status);
        }
        let route = environ.get_item(intern!(environ.py(), "hurricane.route"));
        let Ok(Some(route)) = route else { return PathId::OTHER };
        match route.cast::<PyString>().map(|route| route.to_str()) {
            Ok(Ok(route)) => paths.find(head.method(), route.as_bytes(), true),
            _ => PathId::OTHER,
        }
    }

    fn by_path(self, paths: &Paths, head: &Head, status: u16) -> PathId {
        let is_known = self == Self::Legacy || status != 404;
        paths.find(head.method(), head.path(), is_known)
    }
}
