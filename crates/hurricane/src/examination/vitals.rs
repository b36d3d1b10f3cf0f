//! What the kernel says about a process at one moment: each thread's state, the CPU time that it
//! got and waited for, and how often our cgroup's quota stood in the way.
//!
//! Two samples with some time between them tell what a process that makes no progress is doing
//! instead: see `cause`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hurricane_cpu::{Root, Throttling, throttling};

/// Threads of a process that are looked at.
const THREADS_MAX: usize = 256;

/// A process at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Vitals {
    pub(crate) at: Instant,
    pub(crate) threads: Vec<ThreadVitals>,
    /// Of the supervisor's cgroup, which is the workers' too.
    pub(crate) throttling: Option<Throttling>,
}

/// A thread at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ThreadVitals {
    pub(crate) tid: i32,
    pub(crate) name: String,
    pub(crate) state: ThreadState,
    /// CPU time so far.
    pub(crate) ran: Duration,
    /// How long it was ready to run and did not, where the kernel counts that.
    pub(crate) queued: Option<Duration>,
    /// The kernel's function that it sleeps in, where we may know.
    pub(crate) asleep_in: Option<String>,
}

/// What a thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ThreadState {
    /// On a CPU, or ready for one.
    Runnable,
    /// Waiting for anything.
    Asleep,
    /// Waiting for a device, and deaf to signals meanwhile.
    Uninterruptible,
    /// By SIGSTOP or its like.
    Stopped,
    /// By a debugger.
    Traced,
    /// Ended, or a state of which we know nothing.
    Other,
}

impl ThreadState {
    fn of(letter: &str) -> Self {
        match letter {
            "R" => Self::Runnable,
            "S" | "I" => Self::Asleep,
            "D" => Self::Uninterruptible,
            "T" => Self::Stopped,
            "t" => Self::Traced,
            _ => Self::Other,
        }
    }
}

impl Vitals {
    /// Looks at process `pid`. None of the files can make us wait.
    pub(crate) fn take(pid: i32) -> Self {
        let tasks = PathBuf::from(format!("/proc/{pid}/task"));
        let listed = std::fs::read_dir(&tasks).into_iter().flatten().flatten();
        let threads = listed.take(THREADS_MAX).filter_map(|task| ThreadVitals::read(&task.path()));
        Self {
            at: Instant::now(),
            threads: threads.collect(),
            throttling: throttling(&Root::host()),
        }
    }

    pub(crate) fn thread(&self, tid: i32) -> Option<&ThreadVitals> {
        self.threads.iter().find(|thread| thread.tid == tid)
    }
}

impl ThreadVitals {
    /// `task`: such as `/proc/1/task/1`. `None` when the thread has ended.
    fn read(task: &Path) -> Option<Self> {
        let file = |name: &str| std::fs::read_to_string(task.join(name)).ok();
        let mut thread = Self::parse_stat(&file("stat")?)?;
        if let Some((ran, queued)) = file("schedstat").and_then(|text| parse_schedstat(&text)) {
            (thread.ran, thread.queued) = (ran, Some(queued));
        }
        let names_a_function = |text: &String| !matches!(text.as_str(), "" | "0");
        thread.asleep_in = file("wchan").filter(names_a_function);
        Some(thread)
    }

    /// `TID (name) state …`; the name may hold anything.
    fn parse_stat(stat: &str) -> Option<Self> {
        let (tid, rest) = stat.split_once(" (")?;
        let (name, rest) = rest.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
        // utime and stime, in units that are hundredths of a second everywhere.
        let ran = Duration::from_millis(10 * (ticks(11)? + ticks(12)?));
        Some(Self {
            tid: tid.parse().ok()?,
            name: name.to_owned(),
            state: ThreadState::of(fields.first()?),
            ran,
            queued: None,
            asleep_in: None,
        })
    }
}

/// Nanoseconds on a CPU and nanoseconds of waiting for one. Not every kernel has it.
fn parse_schedstat(text: &str) -> Option<(Duration, Duration)> {
    let mut nanos = text.split_ascii_whitespace().map(|field| field.parse().ok());
    Some((Duration::from_nanos(nanos.next()??), Duration::from_nanos(nanos.next()??)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_read_whatever_its_name() {
        let stat = "71 (a) b (c) S 1 71 71 0 -1 4194560 9 0 0 0 25 17 0 0 20 0 4 0 1 2 3";
        let thread = ThreadVitals::parse_stat(stat).unwrap();
        assert_eq!((thread.tid, thread.name.as_str()), (71, "a) b (c"));
        assert_eq!(thread.state, ThreadState::Asleep);
        assert_eq!(thread.ran, Duration::from_millis(420));
        assert_eq!(ThreadVitals::parse_stat("71 (cut) S 1"), None);
        assert_eq!(ThreadVitals::parse_stat(""), None);
    }

    #[test]
    fn times_are_in_nanoseconds_where_the_kernel_counts_them() {
        let expected = (Duration::from_nanos(5), Duration::from_nanos(7));
        assert_eq!(parse_schedstat("5 7 2\n"), Some(expected));
        assert_eq!(parse_schedstat("5"), None);
        assert_eq!(parse_schedstat(""), None);
    }

    #[test]
    fn this_process_is_seen_as_it_is() {
        let vitals = Vitals::take(crate::process::id());
        let here = vitals.thread(nix::unistd::gettid().as_raw()).expect("this thread");
        assert_eq!(here.state, ThreadState::Runnable);
        assert!(!here.name.is_empty());
        assert!(Vitals::take(i32::MAX).threads.is_empty());
    }
}
