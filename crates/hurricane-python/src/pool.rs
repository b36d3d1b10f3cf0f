//! The threads of a worker that run the application, and their one bounded queue.
//!
//! The pool knows nothing of Python: an *interpreter lock* is whatever its threads hold outside
//! of [`Pool::wait`]. Three rules make handing a request over about as cheap as calling inline:
//!
//! - **Take the lock first, then the job.** A thread that has finished takes the next job while
//!   it still holds the lock; while work is short, one thread does it all and nobody switches.
//! - **One thread at a time may want the lock.** A job wakes a thread only when none is active, or
//!   when all that are have had their jobs for so long that they must be blocked. What still waits
//!   at the monitor's next look, though the process has CPU to spare, gets a thread each.
//! - **Threads that are not needed go back to sleep.** After a short job a thread retires when
//!   another has just begun one: two that want the lock would only take turns. While the process
//!   is saturated (it uses the one CPU that the interpreter lock lets it use) this holds for
//!   longer jobs too, and threads are added only when nothing has been taken for a while: one
//!   more would make every request slower and none faster.
//!
//! Invariant, which hurricane-models tries in every order of steps: a job that is queued is run once,
//! whether or not the monitor looks.

use std::collections::VecDeque;
use std::sync::{OnceLock, PoisonError};
use std::time::Duration;

use crate::sync::{Monotonic, Mutex, MutexGuard, Thread, current, park, park_timeout};

/// A job that took less than this did not block for long.
const SHORT: Duration = Duration::from_millis(1);
/// A thread that has had its job for less than this is taken to want the lock.
const FRESH: Duration = Duration::from_millis(5);
/// The same in a saturated process, where every job takes longer.
const FRESH_SATURATED: Duration = Duration::from_millis(50);
/// How long nothing must have been taken before a saturated process gets one more thread: then a
/// long job computes, and others shall have their turn.
const STANDSTILL: Duration = Duration::from_millis(10);

/// Jobs, and the threads that wait for them.
#[derive(Debug)]
pub(crate) struct Pool<J> {
    state: Mutex<State<J>>,
    /// Filled before the first job; by thread index.
    threads: Vec<OnceLock<Thread>>,
    monitor: OnceLock<Thread>,
    queue_len_max: usize,
}

#[derive(Debug)]
struct State<J> {
    jobs: VecDeque<J>,
    /// Indices of sleeping threads; the last to fall asleep wakes first.
    idle: Vec<usize>,
    slots: Vec<ThreadSlot>,
    /// Threads that were woken and have not come back with the lock.
    arriving: usize,
    /// Jobs taken so far, and when the last one was.
    taken: u64,
    taken_last: Option<Monotonic>,
    /// Whether the process uses all the CPU that it can.
    saturated: bool,
    /// Whether the monitor wants to be called when a job waits.
    monitor_asleep: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct ThreadSlot {
    /// Told to come; cleared when it has.
    woken: bool,
    /// When its present job began.
    began: Option<Monotonic>,
}

/// What a thread does next.
#[derive(Debug)]
pub(crate) enum Next<J> {
    /// Run this, which was taken at that moment.
    Job(J, Monotonic),
    /// Give up the lock and call [`Pool::wait`].
    Wait,
}

/// What the monitor sees at a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// Jobs that wait.
    pub(crate) queued: usize,
    /// Threads that are not asleep.
    pub(crate) active: usize,
    /// Threads in all.
    pub(crate) threads: usize,
    /// Jobs taken so far.
    pub(crate) taken: u64,
    /// When the longest-running job began.
    pub(crate) oldest: Option<Monotonic>,
}

impl<J> Pool<J> {
    /// A pool of `threads` threads, which the caller starts; each introduces itself with
    /// [`Self::enlist`] and then alternates between [`Self::next`] and [`Self::wait`].
    pub(crate) fn new(threads: usize, queue_len_max: usize) -> Self {
        let state = State {
            jobs: VecDeque::new(),
            idle: (0..threads).rev().collect(),
            slots: vec![ThreadSlot::default(); threads],
            arriving: 0,
            taken: 0,
            taken_last: None,
            saturated: false,
            monitor_asleep: false,
        };
        Self {
            state: Mutex::new(state),
            threads: (0..threads).map(|_| OnceLock::new()).collect(),
            monitor: OnceLock::new(),
            queue_len_max,
        }
    }

    /// The calling thread is thread `index` from now on.
    pub(crate) fn enlist(&self, index: usize) {
        self.threads[index].get_or_init(current);
    }

    /// The calling thread is the monitor from now on.
    pub(crate) fn enlist_monitor(&self) {
        self.monitor.get_or_init(current);
    }

    /// Queues a job; gives it back when the queue is full.
    pub(crate) fn push(&self, job: J) -> Result<(), J> {
        let mut state = self.lock();
        if state.jobs.len() >= self.queue_len_max {
            return Err(job);
        }
        state.jobs.push_back(job);
        let wake = if state.active() == 0 || state.all_are_blocked() {
            state.wake_one().and_then(|index| self.threads[index].get())
        } else if std::mem::replace(&mut state.monitor_asleep, false) {
            self.monitor.get()
        } else {
            None
        };
        drop(state);
        if let Some(thread) = wake {
            thread.unpark();
        }
        Ok(())
    }

    /// What thread `index` does next. The caller holds the interpreter lock.
    pub(crate) fn next(&self, index: usize) -> Next<J> {
        let now = Monotonic::now();
        let mut state = self.lock();
        let slot = &mut state.slots[index];
        if std::mem::take(&mut slot.woken) {
            state.arriving -= 1;
        } else if let Some(began) = slot.began.take() {
            let fresh = match state.saturated {
                true => FRESH_SATURATED,
                false if now.since(began) < SHORT => FRESH,
                false => Duration::ZERO,
            };
            if state.another_is_fresh(index, now, fresh) {
                state.idle.push(index);
                return Next::Wait;
            }
        } else {
            // Not woken and nothing done: a thread that has just started; it is in `idle`.
            return Next::Wait;
        }
        let Some(job) = state.jobs.pop_front() else {
            state.idle.push(index);
            return Next::Wait;
        };
        state.taken += 1;
        state.taken_last = Some(now);
        state.slots[index].began = Some(now);
        Next::Job(job, now)
    }

    /// Sleeps until thread `index` is woken. The caller does not hold the interpreter lock.
    pub(crate) fn wait(&self, index: usize) {
        while !self.lock().slots[index].woken {
            park();
        }
    }

    /// Wakes a thread for each job that has waited since `before`, unless threads are on their way;
    /// in a saturated process at most one, and only when nothing is taken. For the monitor.
    pub(crate) fn reinforce(&self, before: Look) {
        let mut state = self.lock();
        let taken = usize::try_from(state.taken - before.taken).unwrap_or(usize::MAX);
        let still_waiting = before.queued.saturating_sub(taken);
        if still_waiting == 0 || state.arriving > 0 {
            return;
        }
        let stands_still =
            || state.taken_last.is_none_or(|last| Monotonic::now().since(last) > STANDSTILL);
        let wanted = match state.saturated {
            false => still_waiting,
            true => usize::from(taken == 0 && (state.active() == 0 || stands_still())),
        };
        let woken: Vec<usize> = std::iter::from_fn(|| state.wake_one()).take(wanted).collect();
        drop(state);
        woken.iter().filter_map(|index| self.threads[*index].get()).for_each(Thread::unpark);
    }

    /// Whether a job waits.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.lock().jobs.is_empty()
    }

    /// Tells whether the process uses all the CPU that it can. For the monitor.
    pub(crate) fn set_saturated(&self, saturated: bool) {
        self.lock().saturated = saturated;
    }

    /// What is going on.
    pub(crate) fn look(&self) -> Look {
        self.lock().look()
    }

    /// Sleeps for `patience`. With `on_call` a job that waits behind active threads ends the
    /// sleep. For the monitor.
    pub(crate) fn watch(&self, patience: Duration, on_call: bool) {
        self.lock().monitor_asleep = on_call;
        park_timeout(patience);
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<J> State<J> {
    fn active(&self) -> usize {
        self.slots.len() - self.idle.len()
    }

    fn wake_one(&mut self) -> Option<usize> {
        let index = self.idle.pop()?;
        self.slots[index].woken = true;
        self.arriving += 1;
        Some(index)
    }

    /// Whether the process has CPU to spare, and every active thread has had its job for longer
    /// than one that computes would in such a process.
    fn all_are_blocked(&self) -> bool {
        if self.saturated || self.arriving > 0 {
            return false;
        }
        let now = Monotonic::now();
        let began = self.slots.iter().filter_map(|slot| slot.began);
        began.map(|began| now.since(began)).all(|since| since >= SHORT)
    }

    fn another_is_fresh(&self, index: usize, now: Monotonic, fresh: Duration) -> bool {
        self.active() > 1
            && self.slots.iter().enumerate().any(|(other, slot)| {
                other != index && slot.began.is_some_and(|began| now.since(began) < fresh)
            })
    }

    fn look(&self) -> Look {
        Look {
            queued: self.jobs.len(),
            active: self.active(),
            threads: self.slots.len(),
            taken: self.taken,
            oldest: self.slots.iter().filter_map(|slot| slot.began).min(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take<J>(pool: &Pool<J>, index: usize) -> Option<J> {
        match pool.next(index) {
            Next::Job(job, _) => Some(job),
            Next::Wait => None,
        }
    }

    #[test]
    fn one_thread_does_all_short_jobs() {
        let pool = Pool::new(4, 10);
        for job in 0..3 {
            pool.push(job).unwrap();
        }
        assert_eq!(pool.look().active, 1);
        assert_eq!((take(&pool, 0), take(&pool, 0), take(&pool, 0)), (Some(0), Some(1), Some(2)));
        assert_eq!(take(&pool, 0), None);
        assert_eq!(pool.look().active, 0);
    }

    #[test]
    fn a_full_queue_gives_the_job_back() {
        let pool = Pool::new(1, 1);
        pool.push("first").unwrap();
        assert_eq!(pool.push("second"), Err("second"));
    }

    #[test]
    fn the_monitor_adds_a_thread_only_when_nothing_was_taken() {
        let pool = Pool::new(2, 10);
        pool.push(1).unwrap();
        assert_eq!(take(&pool, 0), Some(1));
        pool.push(2).unwrap();
        let before = pool.look();
        assert_eq!((before.queued, before.active), (1, 1));
        pool.reinforce(before);
        assert_eq!(pool.look().active, 2);
        pool.reinforce(before);
        assert_eq!(take(&pool, 1), Some(2));
        pool.push(3).unwrap();
        pool.reinforce(before);
        assert_eq!(pool.look().active, 2, "something was taken since");
    }

    #[test]
    fn a_job_that_comes_while_all_threads_are_blocked_wakes_one_more() {
        let pool = Pool::new(3, 10);
        pool.push(1).unwrap();
        assert_eq!(take(&pool, 0), Some(1));
        pool.push(2).unwrap();
        assert_eq!(pool.look().active, 1, "thread 0 has just begun");
        let began = Monotonic::now();
        while Monotonic::now().since(began) <= SHORT {
            std::thread::yield_now();
        }
        pool.push(3).unwrap();
        assert_eq!(pool.look().active, 2);
        pool.push(4).unwrap();
        assert_eq!(pool.look().active, 2, "one is on its way");
        pool.set_saturated(true);
        assert_eq!(take(&pool, 1), Some(2));
        pool.push(5).unwrap();
        assert_eq!(pool.look().active, 2, "it would only take turns");
    }

    #[test]
    fn every_job_that_still_waits_gets_a_thread_where_there_is_cpu_to_spare() {
        let pool = Pool::new(8, 10);
        for job in 1..=4 {
            pool.push(job).unwrap();
        }
        assert_eq!(take(&pool, 0), Some(1));
        let before = pool.look();
        assert_eq!((before.queued, before.active), (3, 1));
        // One that was there is taken, and another comes.
        pool.state.lock().unwrap().jobs.pop_front();
        pool.state.lock().unwrap().taken += 1;
        pool.push(5).unwrap();
        pool.reinforce(before);
        assert_eq!(pool.look().active, 3, "two have waited");
    }

    #[test]
    fn a_thread_retires_after_a_short_job_while_another_has_just_begun() {
        let pool = Pool::new(2, 10);
        pool.push(1).unwrap();
        assert_eq!(take(&pool, 0), Some(1));
        pool.push(2).unwrap();
        pool.reinforce(pool.look());
        assert_eq!(take(&pool, 1), Some(2));
        pool.push(3).unwrap();
        assert_eq!(take(&pool, 0), None, "thread 1 has just begun");
        assert_eq!(take(&pool, 1), Some(3), "nobody else is active");
    }

    #[test]
    fn a_saturated_process_gets_no_more_threads_while_jobs_are_taken() {
        let pool = Pool::new(2, 10);
        pool.set_saturated(true);
        pool.push(1).unwrap();
        assert_eq!(take(&pool, 0), Some(1));
        pool.push(2).unwrap();
        pool.reinforce(pool.look());
        assert_eq!(pool.look().active, 1);
        let taken = Monotonic::now();
        while Monotonic::now().since(taken) <= STANDSTILL {
            std::thread::yield_now();
        }
        pool.reinforce(pool.look());
        assert_eq!(pool.look().active, 2, "a long job computes");
        assert_eq!(take(&pool, 1), Some(2));
    }

    #[test]
    fn every_job_is_run_once_by_real_threads() {
        let pool = Pool::new(4, 1000);
        let done = Mutex::new(Vec::new());
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for index in 0..4 {
                let (pool, done) = (&pool, &done);
                scope.spawn(move || {
                    pool.enlist(index);
                    loop {
                        match pool.next(index) {
                            Next::Job(None, _) => return,
                            Next::Job(Some(job), _) => done.lock().unwrap().push(job),
                            Next::Wait => pool.wait(index),
                        }
                    }
                });
            }
            scope.spawn(|| {
                pool.enlist_monitor();
                while !stop.load(std::sync::atomic::Ordering::Acquire) {
                    let before = pool.look();
                    pool.watch(SHORT, true);
                    pool.reinforce(before);
                }
            });
            while pool.threads.iter().any(|thread| thread.get().is_none()) {
                std::thread::yield_now();
            }
            for job in 0..500 {
                pool.push(Some(job)).unwrap();
            }
            while done.lock().unwrap().len() < 500 {
                std::thread::yield_now();
            }
            for _ in 0..4 {
                pool.push(None).unwrap();
                while pool.look().queued > 0 {
                    std::thread::yield_now();
                }
            }
            stop.store(true, std::sync::atomic::Ordering::Release);
        });
        let mut done = done.into_inner().unwrap();
        done.sort_unstable();
        assert_eq!(done, (0..500).collect::<Vec<_>>());
    }
}
