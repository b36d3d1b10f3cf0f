//! What is said in the log about a worker that cannot go on or has died: its requests, and the
//! stacks of its threads, in a form that people can read and that has a bound.

use std::fmt::Write;
use std::time::Duration;

use hurricane_scoreboard::{Monotonic, RequestReading};

use crate::examination::stacks::Stacks;
use crate::examination::vitals::{ThreadState, Vitals};

/// Frames of a thread, the innermost: below come the framework's.
const FRAMES_MAX: usize = 24;
/// All stacks together: container runtimes split lines at 16 KiB.
const STACKS_BYTES_MAX: usize = 12 * 1024;

/// The requests on one line, the longest-running first. `running`: how many there are, named or
/// not.
pub(crate) fn name_requests(
    requests: &[RequestReading],
    running: u32,
    now: Monotonic,
) -> Option<String> {
    let mut named: Vec<String> = requests
        .iter()
        .map(|request| {
            let age = seconds(request.age(now));
            format!("{} for {age} on thread {}", request.line, request.thread.tid)
        })
        .collect();
    let unnamed = (running as usize).saturating_sub(requests.len());
    if unnamed > 0 {
        named.push(format!("{unnamed} more"));
    }
    (!named.is_empty()).then(|| named.join(", "))
}

/// What the stacks are shown with.
pub(crate) struct Scene<'a> {
    pub(crate) requests: &'a [RequestReading],
    /// What the kernel said about the threads, if it was asked.
    pub(crate) vitals: Option<&'a Vitals>,
    pub(crate) now: Monotonic,
    /// `pthread_self` of the loop, which runs no Python: below its stack is what started us.
    pub(crate) loop_pthread: u64,
}

/// The stacks with what each thread does, threads with requests first; `None` when there is none.
pub(crate) fn tell_stacks(text: &str, scene: &Scene<'_>) -> Option<String> {
    let parsed = Stacks::parse(text);
    let mut told = Told::default();
    if let Some(fatal) = parsed.fatal {
        told.line(fatal);
    }
    for request in scene.requests {
        let thread = scene.vitals.and_then(|vitals| vitals.thread(request.thread.tid));
        let age = seconds(request.age(scene.now));
        let mut head = format!("{} for {age}, thread {}", request.line, request.thread.tid);
        if let Some(thread) = thread {
            let _ = write!(head, " {}, {}", thread.name, doing(thread.state));
            if let Some(function) = &thread.asleep_in {
                let _ = write!(head, " in {function}");
            }
        }
        let frames = parsed.of(request.thread.pthread).map(|stack| &stack.frames[..]);
        told.stack(&head, frames.unwrap_or_default());
    }
    let serves = |pthread| scene.requests.iter().any(|request| request.thread.pthread == pthread);
    for stack in &parsed.stacks {
        let tells_nothing = stack.frames.is_empty() || stack.pthread == scene.loop_pthread;
        if !tells_nothing && !serves(stack.pthread) {
            told.stack(&format!("no request, thread 0x{:x}", stack.pthread), &stack.frames);
        }
    }
    told.end()
}

/// Lines with a bound on their sum.
#[derive(Default)]
struct Told {
    text: String,
    has_frames: bool,
    threads_left_out: usize,
}

impl Told {
    fn line(&mut self, line: &str) {
        self.text.push('\n');
        self.text.push_str(line);
    }

    fn stack(&mut self, head: &str, frames: &[&str]) {
        if self.text.len() > STACKS_BYTES_MAX {
            self.threads_left_out += 1;
            return;
        }
        self.has_frames |= !frames.is_empty();
        self.line(head);
        for frame in frames.iter().take(FRAMES_MAX) {
            self.line(&format!("  {frame}"));
        }
        if frames.len() > FRAMES_MAX {
            self.line(&format!("  and {} more", frames.len() - FRAMES_MAX));
        }
    }

    fn end(mut self) -> Option<String> {
        if self.threads_left_out > 0 {
            let more = format!("and {} more threads", self.threads_left_out);
            self.line(&more);
        }
        self.has_frames.then_some(self.text)
    }
}

fn doing(state: ThreadState) -> &'static str {
    match state {
        ThreadState::Runnable => "running",
        ThreadState::Asleep => "asleep",
        ThreadState::Uninterruptible => "asleep and deaf to signals",
        ThreadState::Stopped | ThreadState::Traced => "stopped",
        ThreadState::Other => "in an unknown state",
    }
}

fn seconds(age: Duration) -> String {
    format!("{:.1} s", age.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hurricane_scoreboard::ThreadName;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_nanos(seconds * 1_000_000_000)
    }

    fn request(tid: i32, line: &str, began: u64) -> RequestReading {
        let thread = ThreadName { tid, pthread: 0x7f00 + u64::try_from(tid).unwrap() };
        RequestReading { thread, began: at(began), line: line.into() }
    }

    fn told(text: &str, requests: &[RequestReading]) -> Option<String> {
        let scene = Scene { requests, vitals: None, now: at(10), loop_pthread: 0x1 };
        tell_stacks(text, &scene)
    }

    #[test]
    fn requests_are_named_and_the_rest_is_counted() {
        let requests = [request(1, "GET /a", 2), request(2, "POST /b", 9)];
        let named = name_requests(&requests, 5, at(10)).unwrap();
        assert_eq!(named, "GET /a for 8.0 s on thread 1, POST /b for 1.0 s on thread 2, 3 more");
        assert_eq!(name_requests(&[], 0, at(10)), None);
        assert_eq!(name_requests(&[], 2, at(10)).as_deref(), Some("2 more"));
    }

    #[test]
    fn each_request_has_the_stack_of_its_thread() {
        let text = "Thread 0x00007f02 (most recent call first):\n  File \"b.py\", line 2 in slow\n\n\
                    Thread 0x00007f09 (most recent call first):\n  File \"c.py\", line 3 in work\n\n\
                    Thread 0x00007f08 (most recent call first):\n  <no Python frame>\n\n\
                    Current thread 0x0001 (most recent call first):\n  File \"manage.py\", line 1 in x\n";
        let requests = [request(1, "GET /a", 2), request(2, "POST /b", 9)];
        let expected = "\nGET /a for 8.0 s, thread 1\n\
                        POST /b for 1.0 s, thread 2\n  File \"b.py\", line 2 in slow\n\
                        no request, thread 0x7f09\n  File \"c.py\", line 3 in work";
        assert_eq!(told(text, &requests).as_deref(), Some(expected));
    }

    #[test]
    fn without_a_stack_nothing_is_told() {
        assert_eq!(told("", &[request(1, "GET /a", 2)]), None);
        assert_eq!(told("Current thread 0x1 (most recent call first):\n  File x\n", &[]), None);
    }

    #[test]
    fn what_is_told_is_bounded() {
        let mut text = String::new();
        for thread in 0..100 {
            let _ = writeln!(text, "Thread 0x{:x} (most recent call first):", 0x9000 + thread);
            (0..40).for_each(|line| {
                let _ = writeln!(text, "  File \"/app/{}.py\", line {line} in f", "x".repeat(40));
            });
        }
        let told = told(&text, &[]).unwrap();
        assert!(told.len() < STACKS_BYTES_MAX + 4096, "{}", told.len());
        assert!(told.contains("\n  and 16 more\n"));
        assert!(told.lines().last().unwrap().ends_with(" more threads"));
    }
}
