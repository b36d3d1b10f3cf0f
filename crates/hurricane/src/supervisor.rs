//! The one thread that starts workers and the control process, watches them, and ends them.
//!
//! It sleeps until a signal comes, a child ends, or something is due; it makes no ring, opens no
//! database and never serves. Everything that it decides is decided elsewhere, as functions
//! without side effects: `watch` (is a worker sound), `backoff` (when is one replaced), `recycle`
//! (has one served long enough), `stop` (what comes next on the way down).
//!
//! Invariants:
//! - A forked child closes the descriptors of all other children before it does anything else.
//! - Listeners of worker slots stay open here until the server stops accepting, so that a
//!   worker's death refuses no connection.

mod developing;
mod ending;
mod mending;
mod preparing;
mod reloading;
mod resizing;
mod rolling;
mod seat;
mod weighing;

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use hurricane_scoreboard::{Monotonic, Phase, Scoreboard};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use socket2::Socket;

use crate::announcement::Announcement;
use crate::child::{Child, Order};
use crate::config::Config;
use crate::development::Outline;
use crate::examination::memory_kills::MemoryKills;
use crate::examination::stacks::StackFile;
use crate::exit::Exit;
use crate::launch::{ChildRole, Launched, Launcher, Load, Station};
use crate::listener::Listeners;
use crate::notify::{self, Watchdog};
use crate::process;
use crate::reload::handover::Received;
use crate::reload::program::Program;
use crate::signal::Signals;
use crate::stop::StopSequence;
use crate::supervisor::developing::Developing;
use crate::supervisor::preparing::Preparing;
use crate::supervisor::reloading::Reloading;
use crate::supervisor::resizing::Resizing;
use crate::supervisor::seat::{Leaving, Placed};
use crate::supervisor::weighing::Weighing;

pub(crate) use developing::DevelopingNote;
pub(crate) use seat::{ControlSeat, Seat};

/// How often slots are looked at while workers start or leave: a first heartbeat, or an end, makes
/// the next step.
const STARTING_TICK: Duration = Duration::from_millis(20);
/// The longest sleep. A wake-up costs microseconds.
const TICK_MAX: Duration = Duration::from_millis(500);

/// How a server ends, and why if it fails.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) exit: Exit,
    /// Empty of a clean end.
    pub(crate) reason: String,
}

/// The supervisor. See the module's documentation.
pub(crate) struct Supervisor<'a> {
    config: &'a Config,
    board: &'a Scoreboard,
    launcher: &'a Launcher,
    listeners: &'a Listeners,
    /// Called once, when every worker has had its first heartbeat and every check has ended once.
    on_ready: &'a dyn Fn(&Scoreboard),
    signals: Signals,
    /// There is no worker yet.
    preparing: Option<Preparing>,
    seats: Vec<Seat>,
    /// Replaced or retired workers that still answer.
    leaving: Vec<Leaving>,
    control: ControlSeat,
    /// When every worker had had its first heartbeat.
    served_since: Option<Instant>,
    stop: StopSequence,
    resizing: Resizing,
    weighing: Weighing,
    reloading: Reloading,
    developing: Developing,
    watchdog: Watchdog,
    memory_kills: MemoryKills,
    /// Why the server has to end, decided in the middle of something.
    verdict: Option<End>,
    /// Whether it ends without waiting for anybody.
    at_once: bool,
    last_look: Instant,
    /// Until then silence is not held against workers: we were silent ourselves.
    amnesty: Instant,
}

impl<'a> Supervisor<'a> {
    pub(crate) fn new(
        config: &'a Config,
        board: &'a Scoreboard,
        launcher: &'a Launcher,
        listeners: &'a Listeners,
        on_ready: &'a dyn Fn(&Scoreboard),
        signals: Signals,
        (seats, control, load): (Vec<Seat>, ControlSeat, Option<Load>),
    ) -> Self {
        let now = Instant::now();
        Self {
            config,
            board,
            launcher,
            listeners,
            on_ready,
            signals,
            resizing: Resizing::new(config.pin.clone()),
            weighing: Weighing::new(config.recycling, now),
            reloading: Reloading::default(),
            developing: Developing::default(),
            watchdog: Watchdog::of_this_process(),
            memory_kills: MemoryKills::new(),
            preparing: load.map(Preparing::new),
            seats,
            leaving: Vec::new(),
            control,
            served_since: None,
            stop: StopSequence::new(config.drain_delay, config.grace_period),
            verdict: None,
            at_once: false,
            last_look: now,
            amnesty: now,
        }
    }

    /// SIGHUP runs this program anew; with an outline every change of what it tells does.
    pub(crate) fn reload_as(&mut self, program: Option<Program>, outline: Option<Outline>) {
        self.reloading = Reloading::new(program);
        self.developing = outline.map(Developing::new).unwrap_or_default();
        self.developing.ends_without_code = self.config.behaviour.ends_without_code;
    }

    /// Starts everything, and returns when everything has ended.
    pub(crate) fn run(mut self) -> End {
        let server = self.board.server();
        server.set_started(Monotonic::now());
        if self.preparing.is_some() {
            server.set_phase(Phase::Preparing);
        }
        server.set_workers_target(self.seats.len());
        server.workers_reason().set(&self.config.workers_reason);
        self.start_control();
        self.begin();
        self.watch()
    }

    /// Goes on with the children of the image before, who are to have the code of this one.
    pub(crate) fn succeed(mut self, received: Received) -> io::Result<End> {
        self.adopt(&received)?;
        self.begin_rolling(received.handover.asked_again);
        drop(received);
        Ok(self.watch())
    }

    /// Goes on with them without any code.
    pub(crate) fn keep(mut self, received: Received) -> io::Result<End> {
        self.adopt(&received)?;
        self.begin_keeping(&received.handover);
        drop(received);
        Ok(self.watch())
    }

    fn watch(mut self) -> End {
        loop {
            self.take_signals();
            self.bury();
            self.replace();
            self.look();
            self.weigh();
            self.resize();
            self.roll();
            self.develop();
            self.reload();
            if self.advance_stop() || self.at_once {
                break;
            }
            self.watchdog.beat(Instant::now());
            self.sleep();
        }
        self.end_all_at_once();
        self.developing.restore_terminal();
        self.verdict.unwrap_or(End { exit: Exit::Clean, reason: String::new() })
    }

    fn is_ready(&self) -> bool {
        !self.board.server().startup_finished().is_never()
    }

    /// Every worker that lives: those that serve, that start to replace one, that leave.
    fn placed(&self) -> impl Iterator<Item = &Placed> {
        let seated = self.seats.iter().flat_map(|seat| seat.worker.iter().chain(&seat.successor));
        seated.chain(self.leaving.iter().map(|leaving| &leaving.placed))
    }

    /// Whether a worker that leaves is still in this slot.
    fn has_leaving(&self, slot: usize) -> bool {
        self.leaving.iter().any(|leaving| leaving.placed.slot == slot)
    }

    fn start_control(&mut self) {
        self.control.due = None;
        if !self.control.wanted {
            return;
        }
        let listener = self.control.listener.as_ref().map(Socket::try_clone).transpose();
        let started = listener.and_then(|listener| self.start(ChildRole::Control, listener));
        match started {
            Ok(child) => self.control.child = Some(child),
            Err(error) => {
                tracing::error!(%error, "could not start the control process");
                self.control.due = Some(Instant::now() + self.control.backoff.died(Duration::ZERO));
            }
        }
    }

    fn start_worker(&mut self, index: usize) {
        let seat = &mut self.seats[index];
        seat.due = None;
        seat.trouble = None;
        // The last worker of a seat that was given up and is needed again may still be leaving.
        let slot = [self.board.current(index), self.board.other(index)]
            .into_iter()
            .find(|slot| !self.has_leaving(*slot));
        let Some(slot) = slot else {
            self.seats[index].due = Some(Instant::now() + STARTING_TICK);
            return;
        };
        match self.start_in(index, slot) {
            Ok(placed) => {
                self.board.set_current(slot);
                let seat = &mut self.seats[index];
                seat.worker = Some(placed);
                seat.lease = self.weighing.lease();
                // It is a fresh one already.
                seat.wanted = None;
            }
            Err(error) => {
                tracing::error!(worker = index, %error, "could not start a worker");
                let seat = &mut self.seats[index];
                seat.due = Some(Instant::now() + seat.backoff.died(Duration::ZERO));
                self.give_up_if_hopeless(index, "it cannot be started");
            }
        }
    }

    /// Starts a worker of this seat in that slot of the scoreboard.
    fn start_in(&mut self, worker: usize, slot: usize) -> io::Result<Placed> {
        let listener = self.seats[worker].listener.as_ref().map(Socket::try_clone).transpose()?;
        if listener.is_none() && self.listeners.has_application() {
            return Err(io::Error::other("the server does not accept any more"));
        }
        if let Some(slot) = self.board.slot(slot) {
            slot.begin(Monotonic::now());
        }
        let started = self.start(ChildRole::Worker { worker, slot }, listener);
        if started.is_err()
            && let Some(slot) = self.board.slot(slot)
        {
            slot.vacate();
        }
        let child = started?;
        if self.stop.drains() {
            child.tell(Order::Drain);
        }
        Ok(Placed { slot, child })
    }

    /// Starts a child. Does not return in a forked one.
    fn start(&mut self, role: ChildRole, listener: Option<Socket>) -> io::Result<Child> {
        let supervisor = process::id();
        let (ours, theirs) = UnixStream::pair()?;
        let launcher = self.launcher;
        let pin = match role {
            ChildRole::Worker { worker, .. } => self.resizing.pin.cpu(worker),
            ChildRole::Control | ChildRole::Preparation | ChildRole::Collection => None,
        };
        let is_worker = matches!(role, ChildRole::Worker { .. });
        let file = (is_worker && launcher.forks()).then(StackFile::create).transpose()?;
        let stacks = file.as_ref().map(StackFile::share).transpose()?;
        match launcher.start(role, Station { listener, orders: theirs, pin, stacks })? {
            Launched::Started(body) => Ok(Child::new(body, ours, file)),
            Launched::InChild(station) => {
                process::die_with_parent(supervisor);
                self.signals.release_in_child(role);
                notify::forget_in_child();
                drop((ours, file));
                self.seats.clear();
                self.leaving.clear();
                self.control = ControlSeat::new(false, None);
                self.reloading.forget();
                self.developing = Developing::default();
                self.preparing = None;
                launcher.live(role, station)
            }
        }
    }

    fn sleep(&self) {
        let is_calm = self.is_ready() && !self.is_rolling();
        let tick = if is_calm || self.stop.has_begun() || self.preparing.is_some() {
            TICK_MAX.min(self.config.verdict.heartbeat_timeout / 4)
        } else {
            STARTING_TICK
        };
        let now = Instant::now();
        let dues = self.seats.iter().filter_map(|seat| seat.due);
        let dues = dues.chain(self.placed().filter_map(|placed| placed.child.examination_due()));
        let dues = dues.chain(self.control.due).chain(self.watchdog.due());
        let dues = dues.chain(self.developing.due());
        let due = dues.chain(self.stop.deadline()).min();
        let wait = due.map_or(tick, |due| tick.min(due.saturating_duration_since(now)));
        // Rounded up: a sleep that ends too early would be followed by many.
        let millis = u16::try_from(wait.as_millis() + 1).unwrap_or(u16::MAX);
        let workers = self.placed().map(|placed| &placed.child);
        let lives = workers.chain(&self.control.child).filter_map(Child::life);
        let mut watched = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        watched.extend(self.developing.descriptor().map(|it| PollFd::new(it, PollFlags::POLLIN)));
        // No event is asked for: a hang-up is always reported.
        watched.extend(lives.map(|life| PollFd::new(life.as_fd(), PollFlags::empty())));
        // An interruption is as good as a wake-up.
        let _ = poll(&mut watched, PollTimeout::from(millis));
    }

    fn take_signals(&mut self) {
        while let Some(signal) = self.signals.next() {
            match signal {
                Signal::SIGTERM | Signal::SIGINT if self.stop.ask(self.is_ready()) => {
                    say_that_we_stop(signal);
                }
                Signal::SIGTERM => self.end_at_once(signal, Exit::Terminated),
                Signal::SIGINT => self.end_at_once(signal, Exit::Interrupted),
                Signal::SIGQUIT => self.end_at_once(signal, Exit::Quit),
                Signal::SIGHUP if self.developing.has_lost_terminal() => {
                    self.end_without_terminal();
                }
                Signal::SIGHUP => self.ask_to_reload(),
                _ => {}
            }
        }
    }

    fn end_without_terminal(&mut self) {
        if self.stop.ask(self.is_ready()) {
            tracing::info!("stopping: the terminal was closed");
        }
    }

    fn end_at_once(&mut self, signal: Signal, exit: Exit) {
        let (running, queued) = self.open_requests();
        tracing::warn!(signal = signal.as_str(), running, queued, "ending at once");
        let reason = format!(
            "ended at once by {}: {running} requests ran, {queued} waited",
            signal.as_str()
        );
        self.verdict = Some(End { exit, reason });
        self.at_once = true;
    }
}

fn say_that_we_stop(signal: Signal) {
    let name = signal.as_str();
    if !(Announcement::Signal { name }).say() {
        tracing::info!(signal = name, "stopping");
    }
}
