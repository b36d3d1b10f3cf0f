//! Before the first worker: what a project does before it serves, in a process of its own.
//!
//! Sockets are bound and probes are answered meanwhile. The application is loaded after it, here,
//! because loading may look at what was prepared: collected files, tables.

use nix::sys::signal::Signal;

use crate::child::Child;
use crate::exit::Exit;
use crate::launch::{ChildRole, Load};
use crate::process::{self, How};
use crate::supervisor::mending::cause_of;
use crate::supervisor::{End, Supervisor};
use hurricane_scoreboard::Phase;

/// A server that has no workers yet.
pub(super) struct Preparing {
    load: Load,
    /// Its process, while it runs.
    pub(super) child: Option<Child>,
}

impl Preparing {
    pub(super) fn new(load: Load) -> Self {
        Self { load, child: None }
    }
}

impl Supervisor<'_> {
    /// Starts what comes first: the preparation where there is one, else the workers.
    pub(super) fn begin(&mut self) {
        if self.preparing.is_none() {
            return self.start_workers();
        }
        match self.start(ChildRole::Preparation, None) {
            Ok(child) => {
                if let Some(preparing) = &mut self.preparing {
                    preparing.child = Some(child);
                }
            }
            Err(error) => {
                let reason = format!("the preparation cannot be started: {error}");
                tracing::error!("{reason}");
                self.fail(Exit::Failed, reason);
            }
        }
    }

    fn start_workers(&mut self) {
        let sockets = self.seats.iter().filter_map(|seat| seat.listener.as_ref());
        if let Err(error) = self.listeners.open_late(sockets) {
            let reason = format!("the server cannot listen: {error}");
            tracing::error!("{reason}");
            return self.fail(Exit::Failed, reason);
        }
        for index in 0..self.seats.len() {
            self.start_worker(index);
        }
    }

    /// The process that prepares, while it runs.
    pub(super) fn preparation(&self) -> Option<&Child> {
        self.preparing.as_ref()?.child.as_ref()
    }

    /// Its end: workers start, or the server does not.
    pub(super) fn bury_preparation(&mut self, how: How) {
        let Some(child) = self.preparing.as_mut().and_then(|it| it.child.take()) else { return };
        if self.stop.has_begun() {
            return;
        }
        let failure = child.last_words();
        if failure.is_none() && how == How::Exited(0) {
            return self.load();
        }
        let reason = match failure {
            Some(failure) => failure.into_sentence(),
            None => format!("the preparation was {}", cause_of(None, Some(how))),
        };
        tracing::error!("{reason}");
        self.fail(self.config.behaviour.preparation_failed, reason);
    }

    fn load(&mut self) {
        let Some(Preparing { load, .. }) = self.preparing.take() else { return };
        let server = self.board.server();
        server.set_phase(Phase::Starting);
        server.awaited().set("loading the application");
        // Nothing has been accepted: a signal to stop need not wait for the application's code.
        match self.signals.let_end_at_once(load) {
            Ok(()) => {
                server.awaited().set("");
                self.start_workers();
            }
            Err(reason) => {
                tracing::error!("{reason}");
                self.fail(Exit::Failed, reason);
            }
        }
    }

    /// Ends the preparation as Kubernetes ends a process; it is killed after the grace period.
    pub(super) fn stop_preparation(&self) {
        if let Some(pid) = self.preparation().and_then(Child::pid) {
            tracing::info!(pid, "stopping what runs before the start");
            process::send(pid, Signal::SIGTERM);
        }
    }

    /// A start that leads nowhere, as the log says already: everybody else is told why, then all
    /// end in order.
    pub(super) fn fail(&mut self, exit: Exit, reason: String) {
        let server = self.board.server();
        if server.failure().get().is_empty() {
            server.failure().set(&reason);
        }
        server.awaited().set(&reason);
        server.set_phase(Phase::Failed);
        self.verdict = Some(End { exit, reason });
        self.stop.fail();
    }
}
