//! The server stops: workers drain and end, then the control process, then whatever is left.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use hurricane_scoreboard::{Monotonic, Phase, REQUESTS_NAMED_MAX};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::child::{Child, Order};
use crate::examination::findings::name_requests;
use crate::exit::Exit;
use crate::notify;
use crate::process;
use crate::stop::Step;
use crate::supervisor::{End, Supervisor};

/// How long killed children may take to be gone.
const KILL_TIME: Duration = Duration::from_secs(1);

impl Supervisor<'_> {
    /// Goes on with stopping. True when there is nothing left to wait for.
    pub(super) fn advance_stop(&mut self) -> bool {
        loop {
            let alive = self.placed().count() + usize::from(self.preparation().is_some());
            let control = self.control.child.is_some();
            match self.stop.next(Instant::now(), alive, control) {
                None => return false,
                Some(Step::Done) => return true,
                Some(Step::Drain) => {
                    self.board.server().set_phase(Phase::Draining);
                    self.tell_workers(Order::Drain);
                    let delay = self.config.drain_delay;
                    tracing::info!(?delay, "still accepting while endpoints are withdrawn");
                    notify::stopping("still accepting, until the drain delay is over");
                }
                Some(Step::Stop) => self.stop_accepting(),
                Some(Step::CutOff) => self.cut_off(),
                Some(Step::Leave) => {
                    self.control.due = None;
                    if let Some(child) = &self.control.child {
                        child.tell(Order::Stop);
                    }
                }
            }
        }
    }

    fn stop_accepting(&mut self) {
        if self.verdict.is_none() {
            self.board.server().set_phase(Phase::Stopping);
        }
        self.stop_preparation();
        for index in 0..self.seats.len() {
            let seat = &self.seats[index];
            // Connections may wait in the queue of a worker that has just died.
            let may_start = self.preparing.is_none() && self.verdict.is_none();
            let may_start = may_start && self.listeners.has_application();
            if seat.worker.is_none() && !seat.backoff.is_crash_loop() && may_start {
                self.start_worker(index);
            }
        }
        for seat in &self.seats {
            seat.listener.iter().for_each(|listener| self.listeners.close_door(listener));
        }
        if self.listeners.is_inherited() {
            // What is in the queue is for the next server, as what comes later.
            self.tell_workers(Order::Retire);
        }
        self.tell_workers(Order::Stop);
        for seat in &mut self.seats {
            seat.listener = None;
            seat.due = None;
        }
        if self.verdict.is_none() {
            let (running, queued) = self.open_requests();
            tracing::info!(running, queued, "no longer accepting; ending what runs");
        }
        notify::stopping("no longer accepting; ending what runs");
    }

    fn tell_workers(&self, order: Order) {
        self.placed().for_each(|placed| placed.child.tell(order));
    }

    fn cut_off(&mut self) {
        let (running, queued) = self.open_requests();
        let workers = self.placed().count();
        let reason = if self.preparation().is_some() {
            tracing::error!("the grace period is over; what runs before the start is killed");
            "the grace period ran out before the preparation had ended".to_owned()
        } else {
            let requests = self.named_requests(running);
            tracing::error!(
                running,
                queued,
                workers,
                requests,
                "the grace period is over; requests are cut"
            );
            self.board.server().set_requests_cut(u64::from(running) + u64::from(queued));
            format!("the grace period ran out: {running} requests ran, {queued} waited")
        };
        self.verdict.get_or_insert(End { exit: Exit::GraceExceeded, reason });
        let workers = self.placed().map(|placed| &placed.child);
        workers.chain(self.preparation()).filter_map(Child::pid).for_each(process::end_at_once);
    }

    pub(super) fn open_requests(&self) -> (u32, u32) {
        self.board.read_all().fold((0, 0), |(running, queued), (_, slot)| {
            (running + slot.running, queued + slot.queued)
        })
    }

    /// What runs, by name; `running` in all.
    fn named_requests(&self, running: u32) -> Option<String> {
        let slots = self.placed().filter_map(|placed| self.board.slot(placed.slot));
        let mut requests: Vec<_> = slots.flat_map(|slot| slot.running_requests().read()).collect();
        requests.sort_by_key(|request| request.began);
        requests.truncate(REQUESTS_NAMED_MAX);
        name_requests(&requests, running, Monotonic::now())
    }

    /// Ends the processes that are left and waits for them, so that their ports are free.
    /// Threads end with this process.
    pub(super) fn end_all_at_once(&mut self) {
        let workers = self.placed().map(|placed| &placed.child);
        let mut left: Vec<i32> = workers
            .chain(&self.control.child)
            .chain(self.preparation())
            .filter_map(Child::pid)
            .collect();
        left.extend(self.reloading.pid());
        left.extend(self.developing.pid());
        left.iter().copied().for_each(process::end_at_once);
        let deadline = Instant::now() + KILL_TIME;
        while !left.is_empty() && Instant::now() < deadline {
            while let Some(ended) = process::reap() {
                left.retain(|pid| *pid != ended.pid);
            }
            if !left.is_empty() {
                let mut watched = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
                let _ = poll(&mut watched, PollTimeout::from(10_u8));
                while self.signals.next().is_some() {}
            }
        }
    }
}
