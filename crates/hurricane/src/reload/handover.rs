//! What one image of the supervisor leaves to the next: its children, sockets and memory.
//!
//! A supervisor that runs its program anew keeps its process, and so its children. What it knows
//! of them goes into a file in memory; the descriptors stay open under their numbers. Versions do
//! not mix: the trial before has shown that the next image is of the same one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use hurricane_scoreboard::{Monotonic, Scoreboard, ScoreboardError};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};

use crate::backoff::Backoff;
use crate::child::{Body, Child};
use crate::config::{Config, ProbePort};
use crate::examination::stacks::StackFile;
use crate::listener::Listeners;
use crate::listener::endpoint::Endpoint;
use crate::process;
use crate::reload::image::set_close_on_exec;
use crate::supervisor::DevelopingNote;
use crate::termination::TerminationLog;
use crate::values::{LogFormat, LogLevel};

/// What is written down.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Handover {
    pub(crate) listening: Listening,
    pub(crate) board: BoardNote,
    pub(crate) seats: Vec<SeatNote>,
    pub(crate) leaving: Vec<LeavingNote>,
    pub(crate) control: ControlNote,
    /// CPU quotas of the start, in thousandths.
    pub(crate) quotas: Vec<u64>,
    /// Signals that were blocked before the server took its own.
    pub(crate) blocked: Vec<i32>,
    /// Whether one more reload was asked for while this one was under way.
    pub(crate) asked_again: bool,
    pub(crate) kept: Kept,
    pub(crate) developing: Option<DevelopingNote>,
    /// Why the image before this one could not go on, and how often in a row.
    pub(crate) failed: Option<String>,
    pub(crate) failures: u32,
}

/// Where the server listens, which stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listening {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) probe_port: ProbePort,
    pub(crate) uds: Option<PathBuf>,
    pub(crate) app: Endpoint,
    pub(crate) probes: Option<Endpoint>,
    /// A service manager has opened the application's socket.
    pub(crate) is_inherited: bool,
}

impl Listening {
    pub(crate) fn of(config: &Config, listeners: &Listeners) -> Self {
        Self {
            host: config.host.clone(),
            port: config.port,
            probe_port: config.probe_port,
            uds: config.uds.clone(),
            app: listeners.app.clone(),
            probes: listeners.probes.clone(),
            is_inherited: listeners.is_inherited(),
        }
    }

    /// Puts into `config` what stays as it was, and says so where something else is asked for.
    fn stay_in(&self, config: &mut Config) {
        let asked_for = (&config.host, config.port, &config.uds);
        let same_app = (&self.host, self.port, &self.uds) == asked_for;
        if !same_app || self.probe_port != config.probe_port {
            config.warnings.push(format!(
                "a reload does not change where the server listens, which stays {} (probes: {}); \
                 restart it for another --host, --port, --uds or --probe-port",
                self.app,
                self.probes.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string)
            ));
        }
        config.host.clone_from(&self.host);
        config.uds.clone_from(&self.uds);
        (config.port, config.probe_port) = (self.port, self.probe_port);
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BoardNote {
    memory: RawFd,
    workers: usize,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SeatNote {
    /// None of a consumer.
    pub(crate) listener: Option<RawFd>,
    pub(crate) worker: Option<PlacedNote>,
    pub(crate) backoff: Backoff,
    pub(crate) was_ready: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PlacedNote {
    pub(crate) slot: usize,
    pub(crate) child: ChildNote,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LeavingNote {
    pub(crate) placed: PlacedNote,
    pub(crate) until: Moment,
    pub(crate) was_hurried: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ControlNote {
    pub(crate) wanted: bool,
    pub(crate) listener: Option<RawFd>,
    pub(crate) child: Option<ChildNote>,
    pub(crate) backoff: Backoff,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ChildNote {
    pid: i32,
    orders: RawFd,
    stacks: Option<RawFd>,
    started: Moment,
}

/// What a supervisor without an application goes by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    drain_delay: Duration,
    grace_period: Duration,
    heartbeat_timeout: Duration,
    reload_timeout: Duration,
    log_format: LogFormat,
    log_level: LogLevel,
    termination_log: TerminationLog,
}

/// A moment as both images can tell it: nanoseconds of CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(crate) fn of(instant: Instant) -> Self {
        let (here, now) = (Instant::now(), Monotonic::now().as_nanos());
        let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let ahead = nanos(instant.saturating_duration_since(here));
        Self(
            now.saturating_add(ahead)
                .saturating_sub(nanos(here.saturating_duration_since(instant))),
        )
    }

    pub(crate) fn instant(self) -> Instant {
        let (here, now) = (Instant::now(), Monotonic::now());
        let moment = Monotonic::from_nanos(self.0);
        let past = here.checked_sub(now.since(moment)).unwrap_or(here);
        past + moment.since(now)
    }
}

impl BoardNote {
    pub(crate) fn of(board: &Scoreboard) -> Self {
        Self { memory: board.memory().as_raw_fd(), workers: board.workers() }
    }
}

impl ChildNote {
    /// `None` for a thread, which cannot be handed over.
    pub(crate) fn of(child: &Child) -> Option<Self> {
        let (pid, orders) = (child.pid()?, child.orders().as_raw_fd());
        let stacks = child.stacks().map(|stacks| stacks.memory().as_raw_fd());
        Some(Self { pid, orders, stacks, started: Moment::of(child.started()) })
    }

    fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        [self.orders].into_iter().chain(self.stacks)
    }
}

impl Kept {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            drain_delay: config.drain_delay,
            grace_period: config.grace_period,
            heartbeat_timeout: config.verdict.heartbeat_timeout,
            reload_timeout: config.reload_timeout,
            log_format: config.log_format,
            log_level: config.log_level,
            termination_log: config.termination_log.clone(),
        }
    }

    pub(crate) fn reload_timeout(&self) -> Duration {
        self.reload_timeout
    }

    pub(crate) fn give_to(&self, config: &mut Config) {
        config.drain_delay = self.drain_delay;
        config.grace_period = self.grace_period;
        config.verdict.heartbeat_timeout = self.heartbeat_timeout;
        config.reload_timeout = self.reload_timeout;
        config.log_format = self.log_format;
        config.log_level = self.log_level;
        config.termination_log = self.termination_log.clone();
    }
}

impl Handover {
    /// Puts into `config` what a reload does not change.
    pub(crate) fn stay_in(&self, config: &mut Config) {
        self.listening.stay_in(config);
        config.started_under(&self.quotas);
    }

    /// Numbers of all descriptors that are handed over with it.
    fn descriptors(&self) -> Vec<RawFd> {
        let seated = self.seats.iter().filter_map(|seat| seat.worker.as_ref());
        let leaving = self.leaving.iter().map(|leaving| &leaving.placed);
        let workers = seated.chain(leaving).map(|placed| &placed.child);
        let children = workers.chain(&self.control.child).flat_map(ChildNote::descriptors);
        let listeners =
            self.seats.iter().filter_map(|seat| seat.listener).chain(self.control.listener);
        children.chain(listeners).chain([self.board.memory]).collect()
    }

    /// Puts it into a file in memory, which is closed on exec.
    pub(crate) fn write(&self) -> io::Result<File> {
        let mut file = File::from(memfd_create(c"hurricane-handover", MFdFlags::MFD_CLOEXEC)?);
        file.write_all(&serde_json::to_vec(self)?)?;
        Ok(file)
    }

    fn read(file: &mut File) -> io::Result<Self> {
        let mut text = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }
}

/// A handover with the descriptors that it speaks of. They stay open until it is dropped, so that
/// it can be handed on when this image cannot go on.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) handover: Handover,
    file: File,
    descriptors: BTreeMap<RawFd, OwnedFd>,
}

impl Received {
    /// Takes over from the image before. `file`: the number of the descriptor with its notes.
    pub(crate) fn take(file: RawFd) -> io::Result<Self> {
        let mut file = File::from(process::adopt_descriptor(file)?);
        let handover = Handover::read(&mut file)?;
        let mut descriptors = BTreeMap::new();
        for number in handover.descriptors() {
            descriptors.insert(number, process::adopt_descriptor(number)?);
        }
        for descriptor in descriptors.values() {
            set_close_on_exec(descriptor, true)?;
        }
        set_close_on_exec(&file, true)?;
        Ok(Self { handover, file, descriptors })
    }

    /// The number under which the next image finds the notes.
    pub(crate) fn number(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// All that the next image needs.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> + Clone {
        self.descriptors.values().map(AsFd::as_fd).chain([self.file.as_fd()])
    }

    /// Notes why this image cannot go on.
    pub(crate) fn note_failure(&mut self, cause: &str) -> io::Result<()> {
        self.handover.failed = Some(cause.to_owned());
        self.handover.failures = self.handover.failures.saturating_add(1);
        self.file.rewind()?;
        self.file.set_len(0)?;
        self.file.write_all(&serde_json::to_vec(&self.handover)?)
    }

    /// A descriptor of its own.
    pub(crate) fn descriptor(&self, number: RawFd) -> io::Result<OwnedFd> {
        let found = self.descriptors.get(&number);
        found.ok_or_else(|| io::Error::other("a descriptor was not handed over"))?.try_clone()
    }

    pub(crate) fn board(&self) -> Result<Scoreboard, ScoreboardError> {
        let BoardNote { memory, workers } = self.handover.board;
        let unmapped = |_| ScoreboardError::Foreign { found: 0, bytes: 0 };
        Scoreboard::adopt(self.descriptor(memory).map_err(unmapped)?, workers)
    }

    pub(crate) fn child(&self, note: &ChildNote) -> io::Result<Child> {
        let orders = self.descriptor(note.orders)?.into();
        let stacks = note.stacks.map(|number| self.descriptor(number)).transpose()?;
        let stacks = stacks.map(StackFile::adopt);
        Ok(Child::adopt(Body::Process(note.pid), orders, stacks, note.started.instant()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_same_for_both_images() {
        let here = Instant::now();
        for moment in [here - Duration::from_secs(50), here, here + Duration::from_secs(50)] {
            let again = Moment::of(moment).instant();
            let apart = again.max(moment) - again.min(moment);
            assert!(apart < Duration::from_secs(1), "{apart:?}");
        }
    }
}
