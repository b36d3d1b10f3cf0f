//! For those who develop what is served: code that changes is loaded, static files are collected
//! before that, and the terminal stays as it was.
//!
//! It is the reload of SIGHUP without a trial, because whoever has just saved a file waits for it:
//! the process loads the code itself, and goes on without an application when that fails. So the
//! workers serve on, and the next change is the next attempt.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::child::Child;
use crate::development::Outline;
use crate::launch::ChildRole;
use crate::process::{self, How};
use crate::reload::changes::{Changes, Watched};
use crate::reload::program::Program;
use crate::supervisor::Supervisor;
use crate::supervisor::mending::cause_of;
use crate::terminal::Terminal;

/// How many of the files that have changed a log line names.
const NAMED_MAX: usize = 3;
/// What tools and tests look for: that this code is loaded, and changes of it will be.
const PERFORMED: &str = "Autoreload was performed";

/// What a developer's server has beyond others.
#[derive(Default)]
pub(super) struct Developing {
    /// Tells where to look for changes, once the application is loaded.
    outline: Option<Outline>,
    changes: Option<Changes>,
    /// When the code that is served began to be loaded; `None`: with the process.
    loaded_since: Option<SystemTime>,
    /// Its predecessor was replaced only because of changes while it was loaded.
    was_early: bool,
    is_early: bool,
    /// Static files have changed and are not collected yet.
    collects: bool,
    collection: Option<Collection>,
    terminal: Option<Terminal>,
    /// Whether the server ends when changed code cannot be loaded.
    pub(super) ends_without_code: bool,
}

/// The process that collects static files.
struct Collection {
    child: Child,
    until: Instant,
}

/// What the next image goes on with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DevelopingNote {
    watched: Watched,
    loading_since: SystemTime,
    is_early: bool,
    collects: bool,
    terminal: Option<Terminal>,
    ends_without_code: bool,
}

impl Developing {
    pub(super) fn new(outline: Outline) -> Self {
        let terminal = Terminal::of_this_process();
        Self { outline: Some(outline), terminal, ..Self::default() }
    }

    /// Goes on where the image before has ended.
    pub(super) fn adopt(&mut self, note: &DevelopingNote, has_application: bool) {
        self.loaded_since = Some(note.loading_since);
        self.was_early = note.is_early;
        self.collects = note.collects;
        self.terminal.clone_from(&note.terminal);
        self.ends_without_code = note.ends_without_code;
        if !has_application {
            self.outline = None;
            self.changes = Some(Changes::watch(note.watched.clone(), note.loading_since));
        }
    }

    /// What the next image is told, which begins to load now.
    pub(super) fn note(&self) -> Option<DevelopingNote> {
        let watched = self.changes.as_ref()?.watched().clone();
        Some(DevelopingNote {
            watched,
            loading_since: SystemTime::now(),
            is_early: self.is_early,
            collects: self.collects,
            terminal: self.terminal.clone(),
            ends_without_code: self.ends_without_code,
        })
    }

    /// Whether changes are loaded by themselves.
    pub(super) fn is_on(&self) -> bool {
        self.outline.is_some() || self.changes.is_some()
    }

    /// Whether static files are to be collected before the code is loaded.
    pub(super) fn is_collecting(&self) -> bool {
        self.collection.is_some()
    }

    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.changes.as_ref()?.descriptor()
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.changes.as_ref()?.due()
    }

    /// The process that collects, while it runs.
    pub(super) fn pid(&self) -> Option<i32> {
        self.collection.as_ref()?.child.pid()
    }

    /// Whether a terminal was closed that the server was started from.
    pub(super) fn has_lost_terminal(&self) -> bool {
        self.terminal.as_ref().is_some_and(Terminal::is_gone)
    }

    /// After the end of a process that may have changed its modes.
    pub(super) fn restore_terminal(&self) {
        if let Some(terminal) = &self.terminal {
            terminal.restore();
        }
    }
}

impl Supervisor<'_> {
    /// Looks for changes, and collects static files.
    pub(super) fn develop(&mut self) {
        if !self.developing.is_on() {
            return;
        }
        if self.stop.has_begun() {
            self.developing.changes = None;
            self.developing.outline = None;
            self.developing.pid().into_iter().for_each(|pid| process::send(pid, Signal::SIGTERM));
            return;
        }
        let now = Instant::now();
        self.begin_to_watch();
        self.find_changes(now);
        if self.developing.collects && self.is_ready() && self.reloading.has_application() {
            self.begin_to_collect(now);
        }
        if self.developing.collection.as_ref().is_some_and(|it| it.until <= now) {
            tracing::error!("collecting static files takes too long and is ended");
            self.developing.pid().into_iter().for_each(process::end_at_once);
        }
    }

    fn begin_to_watch(&mut self) {
        if self.developing.changes.is_some() || self.preparing.is_some() {
            return;
        }
        let Some(outline) = &self.developing.outline else { return };
        let since = self.developing.loaded_since.unwrap_or_else(Program::began);
        let watched = outline();
        tracing::debug!(?watched, "watching for changes");
        if self.developing.loaded_since.is_none() {
            // Of a reload it is said when the last worker has the new code.
            tracing::info!("{PERFORMED}");
        }
        self.developing.changes = Some(Changes::watch(watched, since));
    }

    fn find_changes(&mut self, now: Instant) {
        let Some(found) = self.developing.changes.as_mut().and_then(|it| it.look(now)) else {
            return;
        };
        let count = found.files.len();
        let names = found.files.iter().take(NAMED_MAX).map(|file| file.display().to_string());
        let files = names.collect::<Vec<_>>().join(", ");
        if found.while_loading && self.developing.was_early {
            // Loading itself may write files: then it would never end.
            tracing::warn!(
                files,
                count,
                "changed once more while code was loaded; save to load it"
            );
            return;
        }
        tracing::info!(files, count, "files have changed");
        self.developing.is_early = found.while_loading;
        self.developing.collects |= found.has_static;
        self.reloading.ask();
    }

    pub(super) fn tell_of_reload(&self) {
        if self.developing.is_on() {
            tracing::info!("{PERFORMED}");
        }
    }

    fn begin_to_collect(&mut self, now: Instant) {
        if self.developing.is_collecting() {
            return;
        }
        self.developing.collects = false;
        tracing::info!("Collecting static as static file changed");
        match self.start(ChildRole::Collection, None) {
            Ok(child) => {
                let until = now + self.config.reload_timeout;
                self.developing.collection = Some(Collection { child, until });
            }
            Err(error) => tracing::error!(%error, "static files cannot be collected"),
        }
        // Also for those that changed while no application was there to collect them.
        self.reloading.ask();
    }

    pub(super) fn bury_collection(&mut self, how: How) {
        let Some(Collection { child, .. }) = self.developing.collection.take() else { return };
        let failure = child.last_words();
        self.developing.restore_terminal();
        if failure.is_none() && how == How::Exited(0) {
            tracing::info!("static files are collected");
        } else if !self.stop.has_begun() {
            let cause = cause_of(failure, Some(how));
            tracing::error!(cause, "static files were not collected");
        }
    }

    /// A developer waits for the second reload in a row: a worker that still answers what it was
    /// asked before the first makes room.
    pub(super) fn make_room(&mut self) {
        if !self.developing.is_on() {
            return;
        }
        for index in 0..self.seats.len() {
            if self.seats[index].wanted.is_none() || self.seats[index].successor.is_some() {
                continue;
            }
            let slot = self.board.other(index);
            let in_the_way = self.leaving.iter_mut().filter(|it| it.placed.slot == slot);
            for leaving in in_the_way.filter(|leaving| !leaving.was_hurried) {
                leaving.was_hurried = true;
                leaving.until = Instant::now() + Duration::from_secs(1);
                let pid = leaving.placed.child.pid();
                tracing::warn!(pid, "a worker with code from before the last reload is ended");
                pid.into_iter().for_each(process::end_at_once);
            }
        }
    }
}
