//! Models of the pool: a loop that queues jobs, threads that take them under an interpreter lock, and
//! a monitor that may look or not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loom::model::Builder;
use loom::sync::{Arc, Mutex};
use loom::thread;

use crate::pool::{Look, Next, Pool};
use crate::sync::start_clock;

/// All jobs are short, and all threads have just begun theirs.
const STANDS: Duration = Duration::ZERO;
/// All jobs are long, and all threads are taken to be blocked.
const RUNS: Duration = Duration::from_secs(1);

/// `None` ends a thread.
type Jobs = Pool<Option<usize>>;

struct Worker {
    pool: Jobs,
    /// The interpreter lock.
    lock: Mutex<()>,
    /// How often each job was run.
    runs: [AtomicUsize; 2],
}

/// Two threads, jobs that come while one works, goes to sleep or wakes; nobody looks after them.
pub fn every_job_is_run_once_without_a_monitor() {
    for step in [STANDS, RUNS] {
        explore(step, 2, false);
    }
}

/// The same with one that looks between any two steps, and wakes whom it finds missing.
pub fn every_job_is_run_once_whenever_the_monitor_looks() {
    for step in [STANDS, RUNS] {
        explore(step, 2, true);
    }
}

/// One thread that falls asleep while a job comes.
pub fn a_thread_that_goes_to_sleep_hears_of_a_job() {
    for step in [STANDS, RUNS] {
        explore(step, 1, false);
    }
}

fn explore(step: Duration, threads: usize, is_monitored: bool) {
    let mut model = Builder::new();
    // Orders that take the CPU from a thread more often than this show nothing new in so few steps.
    model.preemption_bound = Some(2);
    model.check(move || {
        start_clock(step);
        let runs = std::array::from_fn(|_| AtomicUsize::new(0));
        let worker = Arc::new(Worker { pool: Pool::new(threads, 8), lock: Mutex::new(()), runs });
        let running: Vec<_> = (0..threads)
            .map(|index| {
                let worker = Arc::clone(&worker);
                thread::spawn(move || run(&worker, index))
            })
            .collect();
        for job in 0..worker.runs.len() {
            let before = worker.pool.look();
            assert_eq!(worker.pool.push(Some(job)), Ok(()));
            if is_monitored {
                worker.pool.reinforce(before);
            }
        }
        // A job that nobody comes for would end the model here.
        while worker.runs.iter().any(|run| run.load(Ordering::Relaxed) == 0) {
            thread::yield_now();
        }
        dismiss(&worker.pool, threads);
        for thread in running {
            assert!(thread.join().is_ok());
        }
        assert!(worker.runs.iter().all(|run| run.load(Ordering::Relaxed) == 1));
    });
}

fn run(worker: &Worker, index: usize) {
    worker.pool.enlist(index);
    loop {
        let held = worker.lock.lock();
        loop {
            match worker.pool.next(index) {
                Next::Job(Some(job), _) => {
                    worker.runs[job].fetch_add(1, Ordering::Relaxed);
                }
                Next::Job(None, _) => return,
                Next::Wait => break,
            }
        }
        drop(held);
        worker.pool.wait(index);
    }
}

/// One ending for each thread, and the monitor's patience used up.
fn dismiss(pool: &Jobs, threads: usize) {
    for _ in 0..threads {
        assert_eq!(pool.push(None), Ok(()));
    }
    while pool.has_waiting() {
        let look = pool.look();
        pool.reinforce(Look { queued: threads, ..look });
        thread::yield_now();
    }
}
