//! What a worker that cannot go on was doing, found out before it is killed.
//!
//! At the first sign of trouble the kernel's view of the worker is kept. When the worker is given
//! up, it is looked at again, asked for the stacks of its threads, and given a moment to write
//! them. The supervisor never waits: it comes back at [`Examination::due`].

pub(crate) mod cause;
pub(crate) mod findings;
pub(crate) mod memory_kills;
pub(crate) mod stacks;
pub(crate) mod vitals;

use std::time::{Duration, Instant};

use hurricane_scoreboard::{Monotonic, RequestReading, Slot};
use tracing::field::{DisplayValue, display};

use crate::examination::cause::{Case, Cause, Trouble, conclude};
use crate::examination::findings::{Scene, name_requests, tell_stacks};
use crate::examination::stacks::{StackFile, Written, stack_signal};
use crate::examination::vitals::{ThreadState, ThreadVitals, Vitals};
use crate::process::{self, How};
use crate::watch::Judgement;

/// The shortest time between the two samples: several turns of the scheduler.
const WINDOW_MIN: Duration = Duration::from_millis(100);
/// How long a worker may take to write its stacks. It takes milliseconds where there is a CPU.
const ANSWER_TIME_MAX: Duration = Duration::from_millis(500);
/// How often it is looked whether it has.
const LOOK: Duration = Duration::from_millis(10);

/// The state of an examination. Most workers are never examined.
#[derive(Debug, Default)]
pub(crate) struct Examination {
    stage: Stage,
    due: Option<Instant>,
}

#[derive(Debug, Default)]
enum Stage {
    #[default]
    Healthy,
    /// Something seems wrong since this sample was taken.
    Suspicious(Vitals),
    /// The worker was asked for its stacks.
    Asked(Vitals, Vitals, Instant),
    /// All is said.
    Over,
}

/// Who is examined.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patient<'a> {
    pub(crate) pid: i32,
    /// Where its runtime writes stacks, if it has one.
    pub(crate) stacks: Option<&'a StackFile>,
    pub(crate) slot: &'a Slot,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) cause: Option<DisplayValue<Cause>>,
    pub(crate) requests: Option<String>,
    /// Several lines; or why there are none.
    pub(crate) stacks: Option<DisplayValue<String>>,
}

impl Examination {
    /// When to come back, if that is sooner than usual.
    pub(crate) fn due(&self) -> Option<Instant> {
        // Who does not come (the server stops) is not called for ever.
        self.due.filter(|due| due.elapsed() < ANSWER_TIME_MAX)
    }

    /// Goes on with the examination; returns what was found, once.
    pub(crate) fn advance(
        &mut self,
        judgement: Judgement,
        patient: &Patient<'_>,
    ) -> Option<Findings> {
        let now = Instant::now();
        self.due = None;
        let trouble = match judgement {
            Judgement::Sound => {
                if !matches!(std::mem::take(&mut self.stage), Stage::Healthy) {
                    patient.slot.set_hindrance(None);
                }
                return None;
            }
            Judgement::Suspicious { silent } => {
                self.suspect(patient);
                self.publish(if silent { Trouble::LoopIsSilent } else { stuck(patient) }, patient);
                return None;
            }
            Judgement::Stalled(_) => Trouble::LoopIsSilent,
            Judgement::Stuck(_) => stuck(patient),
        };
        self.suspect(patient);
        match std::mem::take(&mut self.stage) {
            Stage::Suspicious(first) if now < first.at + WINDOW_MIN => {
                self.due = Some(first.at + WINDOW_MIN);
                self.stage = Stage::Suspicious(first);
                None
            }
            Stage::Suspicious(first) => {
                let last = Vitals::take(patient.pid);
                if let Err(why) = ask(patient, &last) {
                    self.stage = Stage::Over;
                    return Some(patient.findings(trouble, &first, &last, Err(why)));
                }
                self.due = Some(now + LOOK);
                self.stage = Stage::Asked(first, last, now + ANSWER_TIME_MAX);
                None
            }
            Stage::Asked(first, last, until) => {
                let has_answered = patient.stacks.is_some_and(|file| file.look().is_whole);
                if !has_answered && now < until {
                    self.due = Some(now + LOOK);
                    self.stage = Stage::Asked(first, last, until);
                    return None;
                }
                self.stage = Stage::Over;
                let written =
                    patient.stacks.map(StackFile::take).ok_or("no file for them could be made");
                Some(patient.findings(trouble, &first, &last, written))
            }
            Stage::Healthy | Stage::Over => {
                self.stage = Stage::Over;
                None
            }
        }
    }

    /// Lets probes say what seems to be the matter.
    fn publish(&self, trouble: Trouble, patient: &Patient<'_>) {
        if let Stage::Suspicious(first) = &self.stage
            && first.at.elapsed() >= WINDOW_MIN
        {
            let last = Vitals::take(patient.pid);
            let requests = patient.slot.running_requests().read();
            let cause = patient.conclude(trouble, &requests, first, &last);
            patient.slot.set_hindrance(cause.hindrance());
        }
    }

    /// Keeps the first sample of a trouble.
    fn suspect(&mut self, patient: &Patient<'_>) {
        if matches!(self.stage, Stage::Healthy) {
            self.due = Some(Instant::now() + WINDOW_MIN);
            self.stage = Stage::Suspicious(Vitals::take(patient.pid));
        }
    }
}

/// Asks a worker for its stacks; else says why that would be in vain.
fn ask(patient: &Patient<'_>, vitals: &Vitals) -> Result<(), &'static str> {
    let Some(file) = patient.stacks else { return Err("no file for them could be made") };
    let is_stopped = |state| matches!(state, ThreadState::Stopped | ThreadState::Traced);
    if vitals.threads.iter().any(|thread| is_stopped(thread.state)) {
        return Err("a stopped process writes none");
    }
    // A stack that changes while it is read can crash the reader, so the thread that runs Python is
    // asked: then none does. Else the first, the loop, is as good as any unless it is deaf.
    let requests = patient.slot.running_requests().read();
    let runs = |thread: &&ThreadVitals| {
        thread.state == ThreadState::Runnable
            && requests.iter().any(|request| request.thread.tid == thread.tid)
    };
    let hears = |thread: &&ThreadVitals| {
        !matches!(thread.state, ThreadState::Uninterruptible | ThreadState::Other)
    };
    let mut threads = vitals.threads.iter();
    let Some(thread) = threads.clone().find(runs).or_else(|| threads.find(hears)) else {
        return Err("every thread sleeps in the kernel, deaf to signals");
    };
    file.take();
    process::signal_thread(patient.pid, thread.tid, stack_signal());
    Ok(())
}

/// Threads that wait for the interpreter lock make no progress, and are not to blame.
fn stuck(patient: &Patient<'_>) -> Trouble {
    let (slot, now) = (patient.slot.read(), Monotonic::now());
    let waits = slot.interpreter_wait_for(now) * 2 > slot.stuck_for(now);
    if waits { Trouble::InterpreterIsHeld } else { Trouble::NoProgress }
}

impl Patient<'_> {
    fn conclude(
        &self,
        trouble: Trouble,
        requests: &[RequestReading],
        first: &Vitals,
        last: &Vitals,
    ) -> Cause {
        let serving: Vec<i32> = requests.iter().map(|request| request.thread.tid).collect();
        conclude(&Case { trouble, pid: self.pid, serving: &serving, first, last })
    }

    fn findings(
        &self,
        trouble: Trouble,
        first: &Vitals,
        last: &Vitals,
        written: Result<Written, &str>,
    ) -> Findings {
        let now = Monotonic::now();
        let requests = self.slot.running_requests().read();
        let cause = self.conclude(trouble, &requests, first, last);
        self.slot.set_hindrance(cause.hindrance());
        let stacks = match written {
            Err(why) => format!("none: {why}"),
            Ok(written) => {
                tell_stacks(&written.text, &scene(self.slot, &requests, Some(last), now))
                    .unwrap_or_else(|| match written.is_whole {
                        true => "none: no thread runs Python".into(),
                        false => format!("none: it did not write within {ANSWER_TIME_MAX:?}"),
                    })
            }
        };
        let requests = name_requests(&requests, self.slot.read().running, now);
        Findings { cause: Some(display(cause)), requests, stacks: Some(display(stacks)) }
    }
}

/// What is left of a worker that has died.
#[derive(Debug, Default)]
pub(crate) struct Remains {
    /// What it was running.
    pub(crate) requests: Option<String>,
    /// What it wrote when it crashed, and nobody has read yet.
    pub(crate) stacks: Option<DisplayValue<String>>,
}

impl Remains {
    /// Of the worker that had this slot, before it is vacated.
    /// What it wrote counts if it crashed: else that was a process that the application has
    /// forked from it.
    pub(crate) fn find(slot: &Slot, stacks: Option<&StackFile>, how: Option<How>) -> Self {
        let now = Monotonic::now();
        let requests = slot.running_requests().read();
        let stacks = stacks.filter(|_| how.is_some_and(How::is_crash));
        let text = stacks.map(StackFile::take).map(|written| written.text).unwrap_or_default();
        Self {
            stacks: tell_stacks(&text, &scene(slot, &requests, None, now)).map(display),
            requests: name_requests(&requests, slot.read().running, now),
        }
    }
}

fn scene<'a>(
    slot: &Slot,
    requests: &'a [RequestReading],
    vitals: Option<&'a Vitals>,
    now: Monotonic,
) -> Scene<'a> {
    Scene { requests, vitals, now, loop_pthread: slot.running_requests().loop_pthread() }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use hurricane_scoreboard::{Hindrance, ThreadName};

    const STUCK: Judgement = Judgement::Stuck(Duration::from_secs(61));

    /// Examines a process that sleeps as if it were a worker, after `prepare`.
    fn examined(prepare: impl FnOnce(i32)) -> (Findings, Slot) {
        let mut asleep = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(asleep.id()).unwrap();
        wait_for(pid, ThreadState::Asleep);
        prepare(pid);
        let slot = Slot::default();
        let thread = ThreadName { tid: pid, pthread: 0 };
        slot.request_began(Monotonic::now());
        slot.running_requests().begin(0, thread, "GET", b"/slow", Monotonic::now());
        let file = StackFile::create().unwrap();
        let patient = Patient { pid, stacks: Some(&file), slot: &slot };
        let mut examination = Examination::default();
        let findings = loop {
            if let Some(findings) = examination.advance(STUCK, &patient) {
                break findings;
            }
            let due = examination.due().expect("an examination that is not over is due");
            std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
        };
        assert!(examination.advance(STUCK, &patient).is_none(), "it is told once");
        asleep.kill().unwrap();
        asleep.wait().unwrap();
        (findings, slot)
    }

    fn wait_for(pid: i32, state: ThreadState) {
        while Vitals::take(pid).thread(pid).is_none_or(|thread| thread.state != state) {
            std::thread::yield_now();
        }
    }

    fn cause(findings: &Findings) -> String {
        findings.cause.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    #[test]
    fn a_process_that_writes_nothing_is_waited_for_but_not_for_ever() {
        // It is killed by the signal, as it has no use for it.
        let (findings, slot) = examined(|_| ());
        assert!(cause(&findings).starts_with("blocked in I/O or a lock"), "{findings:?}");
        assert!(findings.requests.unwrap().starts_with("GET /slow for "));
        assert_eq!(findings.stacks.unwrap().to_string(), "none: it did not write within 500ms");
        assert_eq!(slot.read().hindrance, Some(Hindrance::Sleep));
    }

    #[test]
    fn a_stopped_process_is_asked_for_nothing() {
        let (findings, _) = examined(|pid| {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGSTOP)
                .unwrap();
            wait_for(pid, ThreadState::Stopped);
        });
        assert_eq!(cause(&findings), "stopped by a signal");
        assert_eq!(findings.stacks.unwrap().to_string(), "none: a stopped process writes none");
    }

    #[test]
    fn who_recovers_is_not_spoken_of() {
        let slot = Slot::default();
        let patient = Patient { pid: process::id(), stacks: None, slot: &slot };
        let mut examination = Examination::default();
        let suspicious = Judgement::Suspicious { silent: true };
        while slot.read().hindrance.is_none() {
            assert!(examination.advance(suspicious, &patient).is_none());
            std::thread::yield_now();
        }
        assert!(examination.advance(Judgement::Sound, &patient).is_none());
        assert_eq!(slot.read().hindrance, None);
        assert_eq!(examination.due(), None);
    }
}
