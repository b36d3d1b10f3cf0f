//! CPython for Hurricane: serves a WSGI application on threads beside a worker's loop, and is the
//! extension module `hurricane._core`.
//!
//! A service like any other on the `hurricane` crate: it brings an `Application`, checks, and the
//! way to fork a process that has an interpreter in it.
//!
//! Invariants:
//! - The loop never waits for the interpreter lock.
//! - An application's `close` is called on the thread that ran the application.
//! - A request whose peer has left before its turn is not run.

mod access;
mod again;
mod announced;
mod application;
mod call;
mod check;
mod compress;
mod consumer;
mod debugging;
mod development;
mod django;
mod environ;
mod exchange;
mod file_wrapper;
mod forking;
mod given;
mod handing;
mod held;
mod input;
mod interpreter;
mod logging;
mod metrics;
mod mounts;
mod outbox;
mod patience;
mod pool;
mod preparation;
mod respond;
mod route;
mod service;
mod settled;
mod stacks;
mod sync;
mod tornado;
mod transmission;
mod webhooks;

use pyo3::prelude::*;

/// The extension module `hurricane._core`.
#[pymodule(gil_used = true)]
mod _core {
    #[pymodule_export]
    use crate::again::{begin, fail, is_done, keep, start_again};
    #[pymodule_export]
    use crate::compress::compress;
    #[pymodule_export]
    use crate::consumer::{Report, consume, consumer_last_words};
    #[pymodule_export]
    use crate::django::entry::DjangoEntry;
    #[pymodule_export]
    use crate::django::lazy::{LazyAttribute, RequestParts, whole_dict};
    #[pymodule_export]
    use crate::django::rehearsal::Rehearsal;
    #[pymodule_export]
    use crate::file_wrapper::FileWrapper;
    #[pymodule_export]
    use crate::logging::say;
    #[pymodule_export]
    use crate::metrics::counted;
    #[pymodule_export]
    use crate::service::{
        consumer_flags, develops, flags, heed_signals, last_words, main, release_signals, serve,
    };
    #[pymodule_export]
    use crate::settled::{is_debug, is_legacy};
    #[pymodule_export]
    use crate::webhooks::{post_webhook, shown_url};

    use super::{Bound, PyModule, PyModuleMethods, PyResult};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        hurricane::remember_origin();
        module.add("__version__", hurricane::VERSION)
    }
}
