//! Why a worker makes no progress: a conclusion from two samples of what the kernel says about
//! it. Stopped, out of CPU quota, busy, or blocked: each has another remedy.

use std::fmt;
use std::time::Duration;

use hurricane_scoreboard::Hindrance;

use crate::examination::vitals::{ThreadState, ThreadVitals, Vitals};

/// How the trouble shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// No heartbeat.
    LoopIsSilent,
    /// All application threads are busy on the same requests.
    NoProgress,
    /// Nobody gets the interpreter lock.
    InterpreterIsHeld,
}

/// What is known of a worker in trouble.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case<'a> {
    pub(crate) trouble: Trouble,
    /// The process, whose first thread is the loop.
    pub(crate) pid: i32,
    /// Kernel ids of the threads that run requests, the longest-running first.
    pub(crate) serving: &'a [i32],
    /// At the first sign of trouble.
    pub(crate) first: &'a Vitals,
    /// Now.
    pub(crate) last: &'a Vitals,
}

/// Why a worker makes no progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// By SIGSTOP or its like.
    Stopped,
    /// By a debugger.
    Traced,
    /// It wants to run, and the quota of its cgroup is used up.
    OutOfQuota {
        /// Periods of the quota in which it was used up.
        throttled: u64,
        /// All of them.
        periods: u64,
    },
    /// It wants to run, and others have the CPUs.
    NoCpu,
    /// Threads that run requests compute.
    BusyInPython,
    /// The loop computes, which it never does for long unless something is wrong in it.
    BusyLoop,
    /// A thread holds the interpreter lock and does not come back.
    InterpreterHeld {
        /// Which, where that is clear.
        by: Option<i32>,
        /// It computes. Else it sleeps.
        computes: bool,
    },
    /// All threads that matter sleep.
    Blocked {
        /// The kernel's function in which the one that matters most does so.
        inside: Option<String>,
    },
    /// No sample of the threads that matter.
    Unknown,
}

impl Cause {
    /// The same in a word that all processes understand.
    pub(crate) fn hindrance(&self) -> Option<Hindrance> {
        Some(match self {
            Self::Stopped => Hindrance::Stopped,
            Self::Traced => Hindrance::Traced,
            Self::OutOfQuota { .. } => Hindrance::Quota,
            Self::NoCpu => Hindrance::Others,
            Self::BusyInPython => Hindrance::Python,
            Self::BusyLoop => Hindrance::Loop,
            Self::InterpreterHeld { .. } => Hindrance::Interpreter,
            Self::Blocked { .. } => Hindrance::Sleep,
            Self::Unknown => return None,
        })
    }
}

/// Share of one CPU from which threads count as computing, whatever else is the matter.
const COMPUTES: f64 = 0.5;
/// Share of the CPU time it wanted that a thread must have had to count as computing: all of us
/// get less on a machine that is busy.
const GETS_CPU: f64 = 0.05;
/// Share of the time from which a thread that ran or was ready to run counts as wanting to.
const WANTS_CPU: f64 = 0.3;
/// Threads that wait for the interpreter lock (or any other) sleep in functions named like this.
const LOCK: &str = "futex";

/// A thread over the time between the samples, in shares of that time.
struct Change<'a> {
    thread: &'a ThreadVitals,
    ran: f64,
    queued: Option<f64>,
}

impl Change<'_> {
    fn wants_cpu(&self) -> bool {
        match self.queued {
            Some(queued) => self.ran + queued > WANTS_CPU,
            // One look says little, but it is all that there is.
            None => self.thread.state == ThreadState::Runnable,
        }
    }

    fn wanted(&self) -> f64 {
        self.ran + self.queued.unwrap_or(0.0)
    }

    fn waits_for_a_lock(&self) -> bool {
        self.thread.asleep_in.as_ref().is_some_and(|function| function.contains(LOCK))
    }
}

/// Concludes from the samples of a case.
pub(crate) fn conclude(case: &Case<'_>) -> Cause {
    let states = || case.last.threads.iter().map(|thread| thread.state);
    if states().any(|state| state == ThreadState::Traced) {
        return Cause::Traced;
    }
    if states().any(|state| state == ThreadState::Stopped) {
        return Cause::Stopped;
    }
    let concerned: Vec<Change<'_>> = match case.trouble {
        Trouble::LoopIsSilent => change(case, case.pid).into_iter().collect(),
        Trouble::NoProgress => case.serving.iter().filter_map(|tid| change(case, *tid)).collect(),
        Trouble::InterpreterIsHeld => {
            let Some(holder) = holder(case) else {
                return Cause::InterpreterHeld { by: None, computes: false };
            };
            vec![holder]
        }
    };
    let Some(most) = concerned.first() else { return Cause::Unknown };
    let ran: f64 = concerned.iter().map(|change| change.ran).sum();
    let wants_cpu = concerned.iter().any(Change::wants_cpu);
    let wanted: f64 = concerned.iter().map(Change::wanted).sum();
    let computes = ran >= COMPUTES || (wants_cpu && ran >= GETS_CPU * wanted.max(COMPUTES));
    match (throttled(case), case.trouble) {
        (Some((throttled, periods)), _) if wants_cpu && ran < COMPUTES => {
            Cause::OutOfQuota { throttled, periods }
        }
        _ if wants_cpu && !computes => Cause::NoCpu,
        (_, Trouble::InterpreterIsHeld) => {
            Cause::InterpreterHeld { by: Some(most.thread.tid), computes }
        }
        (_, Trouble::LoopIsSilent) if computes => Cause::BusyLoop,
        (_, Trouble::NoProgress) if computes => Cause::BusyInPython,
        _ => Cause::Blocked { inside: most.thread.asleep_in.clone() },
    }
}

fn change<'a>(case: &Case<'a>, tid: i32) -> Option<Change<'a>> {
    let thread = case.last.thread(tid)?;
    let before = case.first.thread(tid);
    let window = window(case).as_secs_f64();
    let share = |now: Duration, before: Option<Duration>| {
        let spent = now.saturating_sub(before.unwrap_or(now));
        if window > 0.0 { spent.as_secs_f64() / window } else { 0.0 }
    };
    Some(Change {
        thread,
        ran: share(thread.ran, before.map(|thread| thread.ran)),
        queued: thread.queued.map(|queued| share(queued, before.and_then(|thread| thread.queued))),
    })
}

fn window(case: &Case<'_>) -> Duration {
    case.last.at.saturating_duration_since(case.first.at)
}

/// The thread that most likely holds the interpreter lock: one that computes; else the only one
/// that runs a request and sleeps in something else than a lock, or the only one at all.
fn holder<'a>(case: &Case<'a>) -> Option<Change<'a>> {
    let others = case.last.threads.iter().map(|thread| thread.tid).filter(|tid| *tid != case.pid);
    let busiest = others
        .filter_map(|tid| change(case, tid))
        .filter(|change| change.wants_cpu() && !change.waits_for_a_lock())
        // Who waits for the lock wakes every 5 ms to look, and queues for a busy CPU each time.
        .filter(|change| change.ran >= GETS_CPU * change.wanted())
        .max_by(|a, b| a.wanted().total_cmp(&b.wanted()));
    if busiest.is_some() {
        return busiest;
    }
    let serving = || case.serving.iter().filter_map(|tid| change(case, *tid));
    let only = |mut changes: Vec<Change<'a>>| changes.pop().filter(|_| changes.is_empty());
    only(serving().filter(|change| !change.waits_for_a_lock()).collect())
        .or_else(|| only(serving().collect()))
}

/// In how many periods the quota was used up, of how many, if that was often.
fn throttled(case: &Case<'_>) -> Option<(u64, u64)> {
    let (first, last) = (case.first.throttling?, case.last.throttling?);
    let periods = last.periods.saturating_sub(first.periods);
    let throttled = last.throttled_periods.saturating_sub(first.throttled_periods);
    let time = last.time.saturating_sub(first.time);
    let often = throttled > 0 && (throttled * 2 >= periods || time * 2 >= window(case));
    often.then_some((throttled, periods))
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hindrance().map_or("unknown", Hindrance::as_str))?;
        match self {
            Self::OutOfQuota { throttled, periods } => {
                write!(f, " in {throttled} of {periods} periods")
            }
            Self::InterpreterHeld { by: Some(tid), computes } => {
                let doing = if *computes { "computes" } else { "sleeps" };
                write!(f, " held by thread {tid}, which {doing} in C")
            }
            Self::Blocked { inside: Some(function) } => write!(f, " ({function})"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use hurricane_cpu::Throttling;

    const PID: i32 = 10;

    /// A thread before and after the 10 s between the samples.
    struct Then(i32, ThreadState, u64, u64, Option<&'static str>);

    fn concluded(trouble: Trouble, serving: &[i32], quota: (u64, u64), threads: &[Then]) -> Cause {
        let start = Instant::now();
        let thread = |then: &Then, after: bool| ThreadVitals {
            tid: then.0,
            name: "application-0".into(),
            state: then.1,
            ran: Duration::from_millis(500 + if after { then.2 } else { 0 }),
            queued: Some(Duration::from_millis(if after { then.3 } else { 0 })),
            asleep_in: then.4.map(str::to_owned),
        };
        let vitals = |after: bool| Vitals {
            at: start + Duration::from_secs(if after { 10 } else { 0 }),
            threads: threads.iter().map(|then| thread(then, after)).collect(),
            throttling: Some(if after {
                Throttling {
                    throttled_periods: 7 + quota.0,
                    periods: 9 + quota.1,
                    time: Duration::ZERO,
                }
            } else {
                Throttling { throttled_periods: 7, periods: 9, time: Duration::ZERO }
            }),
        };
        let (first, last) = (vitals(false), vitals(true));
        conclude(&Case { trouble, pid: PID, serving, first: &first, last: &last })
    }

    use ThreadState::{Asleep, Runnable, Stopped, Traced, Uninterruptible};
    use Trouble::{InterpreterIsHeld, LoopIsSilent, NoProgress};

    const LOOP: Then = Then(PID, Asleep, 5, 0, Some("io_cqring_wait"));
    const NO_QUOTA: (u64, u64) = (0, 0);

    #[test]
    fn a_stopped_process_is_that_and_nothing_else() {
        let threads = [Then(PID, Stopped, 0, 0, None), Then(11, Stopped, 9_000, 0, None)];
        assert_eq!(concluded(LoopIsSilent, &[11], (90, 100), &threads), Cause::Stopped);
        assert_eq!(concluded(NoProgress, &[11], NO_QUOTA, &threads), Cause::Stopped);
        let threads = [Then(PID, Traced, 0, 0, None)];
        assert_eq!(concluded(LoopIsSilent, &[], NO_QUOTA, &threads), Cause::Traced);
    }

    #[test]
    fn threads_that_share_one_cpu_are_busy_in_python() {
        let busy = |tid, state| Then(tid, state, 2_400, 100, Some("futex_wait_queue"));
        let threads = [LOOP, busy(11, Asleep), busy(12, Runnable), busy(13, Asleep)];
        let cause = concluded(NoProgress, &[11, 12, 13], NO_QUOTA, &threads);
        assert_eq!(cause, Cause::BusyInPython);
        assert_eq!(cause.to_string(), "busy in Python");
        let cause = concluded(NoProgress, &[11, 12, 13], (60, 100), &threads);
        assert_eq!(cause, Cause::BusyInPython, "a quota that leaves 70 % of a CPU");
    }

    #[test]
    fn sleeping_threads_are_blocked_and_it_says_where() {
        let asleep = |tid| Then(tid, Asleep, 3, 0, Some("unix_stream_data_wait"));
        let cause = concluded(NoProgress, &[12, 11], NO_QUOTA, &[LOOP, asleep(11), asleep(12)]);
        assert_eq!(cause.to_string(), "blocked in I/O or a lock (unix_stream_data_wait)");
        let cause = concluded(NoProgress, &[12, 11], (90, 100), &[LOOP, asleep(11), asleep(12)]);
        assert!(matches!(cause, Cause::Blocked { .. }), "no CPU would help it: {cause}");
        let threads = [LOOP, Then(11, Uninterruptible, 0, 0, None)];
        assert_eq!(
            concluded(NoProgress, &[11], NO_QUOTA, &threads).to_string(),
            "blocked in I/O or a lock"
        );
    }

    #[test]
    fn who_wants_to_run_and_may_not_is_out_of_quota() {
        let threads = [LOOP, Then(11, Runnable, 900, 9_000, None)];
        let cause = concluded(NoProgress, &[11], (95, 100), &threads);
        assert_eq!(cause.to_string(), "out of CPU quota in 95 of 100 periods");
        let threads = [Then(PID, Asleep, 200, 6_000, Some("io_cqring_wait"))];
        let cause = concluded(LoopIsSilent, &[], (95, 100), &threads);
        assert!(matches!(cause, Cause::OutOfQuota { .. }), "{cause}");
        let cause = concluded(LoopIsSilent, &[], (5, 100), &threads);
        assert_eq!(cause, Cause::NoCpu);
    }

    #[test]
    fn a_slow_thread_on_a_machine_without_quota_waits_or_computes() {
        let threads = [LOOP, Then(11, Runnable, 300, 9_500, None)];
        assert_eq!(concluded(NoProgress, &[11], NO_QUOTA, &threads), Cause::NoCpu);
        let threads = [LOOP, Then(11, Runnable, 3_000, 6_000, None)];
        assert_eq!(concluded(NoProgress, &[11], NO_QUOTA, &threads), Cause::BusyInPython);
        // Awake by chance when we looked.
        let threads = [LOOP, Then(11, Runnable, 100, 200, None)];
        let cause = concluded(NoProgress, &[11], NO_QUOTA, &threads);
        assert_eq!(cause, Cause::Blocked { inside: None });
    }

    #[test]
    fn a_silent_loop_is_judged_by_itself() {
        let threads = [Then(PID, Runnable, 9_900, 0, None), Then(11, Asleep, 0, 0, None)];
        assert_eq!(concluded(LoopIsSilent, &[11], NO_QUOTA, &threads), Cause::BusyLoop);
        let threads =
            [Then(PID, Asleep, 0, 0, Some("pipe_write")), Then(11, Runnable, 9_000, 0, None)];
        let cause = concluded(LoopIsSilent, &[11], NO_QUOTA, &threads);
        assert_eq!(cause, Cause::Blocked { inside: Some("pipe_write".into()) });
        assert_eq!(concluded(LoopIsSilent, &[], NO_QUOTA, &[]), Cause::Unknown);
    }

    #[test]
    fn the_holder_of_the_interpreter_lock_computes_or_sleeps_elsewhere() {
        let waits = |tid| Then(tid, Asleep, 30, 10, Some("futex_wait_queue"));
        let threads =
            [LOOP, waits(11), Then(12, Asleep, 0, 0, Some("hrtimer_nanosleep")), waits(13)];
        let cause = concluded(InterpreterIsHeld, &[11, 12], NO_QUOTA, &threads);
        assert_eq!(cause, Cause::InterpreterHeld { by: Some(12), computes: false });
        assert_eq!(
            cause.to_string(),
            "waiting for the interpreter lock held by thread 12, which sleeps in C"
        );
        let looks = Then(15, Runnable, 40, 4_000, None);
        let sleeps = Then(12, Asleep, 0, 0, Some("hrtimer_nanosleep"));
        let cause = concluded(InterpreterIsHeld, &[12], NO_QUOTA, &[LOOP, looks, sleeps]);
        assert_eq!(cause, Cause::InterpreterHeld { by: Some(12), computes: false });
        let threads = [LOOP, waits(11), Then(14, Runnable, 9_700, 0, None), waits(13)];
        let cause = concluded(InterpreterIsHeld, &[11], NO_QUOTA, &threads);
        assert_eq!(cause, Cause::InterpreterHeld { by: Some(14), computes: true });
        let cause =
            concluded(InterpreterIsHeld, &[11, 13], NO_QUOTA, &[LOOP, waits(11), waits(13)]);
        assert_eq!(cause.to_string(), "waiting for the interpreter lock");
        let cause = concluded(InterpreterIsHeld, &[11], NO_QUOTA, &[LOOP, waits(11)]);
        assert_eq!(cause, Cause::InterpreterHeld { by: Some(11), computes: false });
    }
}
