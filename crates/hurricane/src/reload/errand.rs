//! What this process was started for, when it was not to serve from the beginning.
//!
//! A reload runs the program three ways, each named by one word of its command line:
//!
//! | word | |
//! |---|---|
//! | `serve` | serves, as at first: developing, code that did not load has changed |
//! | `trial=FD` | loads everything as if to serve, says on FD how that went, and ends |
//! | `succeed=FD` | loads everything in the process of the supervisor, and goes on with its children, of which FD tells |
//! | `keep=FD,SIGNAL` | goes on with them without an application, because loading it failed after all, or because SIGNAL came meanwhile |
//!
//! A language runtime calls [`begin`] before it loads anything that a user wrote, and [`fail`]
//! with what loading raised.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::RawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hurricane_scoreboard::Scoreboard;
use nix::sys::signal::{Signal, raise};
use nix::unistd::getppid;
use serde::{Deserialize, Serialize};

use crate::exit::Exit;
use crate::reload::changes::{Changes, Watched};
use crate::reload::handover::Received;
use crate::reload::image::{self, Guard, set_close_on_exec};
use crate::reload::program::Program;
use crate::{process, signal};

/// The word of a process that serves from the beginning.
const AGAIN: &str = "serve";

static ERRAND: Mutex<Errand> = Mutex::new(Errand::Serve);

enum Errand {
    /// As it always was, or what else was to be done has been done.
    Serve,
    Trial {
        report: File,
    },
    Succeed {
        received: Box<Received>,
        program: Program,
        guard: Guard,
    },
    Keep {
        received: Box<Received>,
        program: Program,
    },
}

/// What went wrong last, in a sentence that has been printed.
static SAID: Mutex<Option<String>> = Mutex::new(None);

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a trial went.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) version: String,
    pub(crate) layout: [usize; 6],
    /// Why the code does not load.
    pub(crate) failed: Option<String>,
}

impl Report {
    pub(crate) fn new(failed: Option<String>) -> Self {
        Self { version: crate::VERSION.to_owned(), layout: Scoreboard::layout(), failed }
    }
}

/// Begins what the word asks for. `program` says how this process was started.
///
/// # Errors
/// When the word, or what it speaks of, is none of ours.
pub fn begin(word: &str, program: Program) -> io::Result<()> {
    if word == AGAIN {
        return Ok(());
    }
    let unknown = || io::Error::other(format!("\"{word}\" is no errand of a server that reloads"));
    let number = |text: &str| text.parse::<RawFd>().map_err(|_| unknown());
    let (what, rest) = word.split_once('=').ok_or_else(unknown)?;
    let errand = match what {
        "trial" => begin_trial(number(rest)?)?,
        "succeed" => begin_succession(number(rest)?, program)?,
        "keep" => {
            let (descriptor, signal) = rest.split_once(',').ok_or_else(unknown)?;
            begin_keeping(number(descriptor)?, number(signal)?, program)?
        }
        _ => return Err(unknown()),
    };
    *locked(&ERRAND) = errand;
    Ok(())
}

fn begin_trial(report: RawFd) -> io::Result<Errand> {
    let report = File::from(process::adopt_descriptor(report)?);
    set_close_on_exec(&report, true)?;
    process::die_with_parent(getppid().as_raw());
    // Where memory is short, this is what can be spared. A container may not let us say so.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    signal::unblock()?;
    Ok(Errand::Trial { report })
}

fn begin_succession(notes: RawFd, program: Program) -> io::Result<Errand> {
    let received = Box::new(Received::take(notes)?);
    let guard = Guard::set(
        &program,
        |signal| format!("keep={notes},{}", signal as i32),
        image::numbers(received.descriptors()),
        received.handover.kept.reload_timeout(),
    )?;
    Ok(Errand::Succeed { received, program, guard })
}

fn begin_keeping(notes: RawFd, number: i32, program: Program) -> io::Result<Errand> {
    // It came while code was loaded. It is blocked, and will be read with all others.
    signal::block()?;
    let mut received = Box::new(Received::take(notes)?);
    match Signal::try_from(number) {
        Ok(Signal::SIGALRM) => {
            let limit = received.handover.kept.reload_timeout();
            received.note_failure(&format!("it had not loaded within {limit:?}"))?;
        }
        Ok(signal) => raise(signal)?,
        // Zero: why is noted.
        Err(_) => {}
    }
    Ok(Errand::Keep { received, program })
}

/// Whether everything is loaded: the server has said so, or has gone on with what was left to it.
pub fn is_done() -> bool {
    matches!(*locked(&ERRAND), Errand::Serve)
}

/// Waits until one of these files has changed, then runs the program again from the beginning, in
/// this process. For a start that has failed.
///
/// # Errors
/// When it cannot be run.
pub fn start_again(program: &Program, watched: Watched) -> io::Error {
    let found = Changes::watch(watched, Program::began()).wait();
    let file = found.files.first().map_or_else(String::new, |file| file.display().to_string());
    tracing::info!(file, "a file has changed; starting again");
    image::replace(program, AGAIN, std::iter::empty())
}

/// Notes a sentence that has been printed, as the cause should loading fail.
pub(crate) fn said(sentence: &str) {
    *locked(&SAID) = Some(sentence.to_owned());
}

/// The application cannot be loaded. In the process of the supervisor this does not return: the
/// children are kept without an application.
///
/// # Errors
/// When nobody can be told.
pub fn fail(cause: &str) -> io::Result<()> {
    let cause = locked(&SAID).take().unwrap_or_else(|| cause.to_owned());
    match std::mem::replace(&mut *locked(&ERRAND), Errand::Serve) {
        Errand::Trial { report } => tell(report, Some(cause)),
        Errand::Succeed { mut received, program, guard } => {
            drop(guard);
            received.note_failure(&cause)?;
            let errand = format!("keep={},0", received.number());
            Err(image::replace(&program, &errand, received.descriptors()))
        }
        Errand::Serve | Errand::Keep { .. } => Ok(()),
    }
}

fn tell(mut report: File, failed: Option<String>) -> io::Result<()> {
    report.write_all(&serde_json::to_vec(&Report::new(failed))?)
}

/// Everything is loaded. If that was all that this process was for, says so, and returns the code
/// to end with.
pub(crate) fn end_trial() -> Option<Exit> {
    let mut errand = locked(&ERRAND);
    let Errand::Trial { .. } = *errand else { return None };
    let Errand::Trial { report } = std::mem::replace(&mut *errand, Errand::Serve) else {
        return None;
    };
    Some(if tell(report, None).is_ok() { Exit::Clean } else { Exit::Failed })
}

/// Whether this process is only to show that everything loads.
pub fn is_trial() -> bool {
    matches!(*locked(&ERRAND), Errand::Trial { .. })
}

/// Whether this process goes on with the children of an earlier image.
pub fn is_succession() -> bool {
    matches!(*locked(&ERRAND), Errand::Succeed { .. })
}

/// What the image before has left to this one, which can go on with it now.
pub(crate) fn succeed() -> Option<Received> {
    let mut errand = locked(&ERRAND);
    match std::mem::replace(&mut *errand, Errand::Serve) {
        Errand::Succeed { received, guard, .. } => {
            // A signal that comes from now on is the supervisor's to read.
            let _ = signal::block();
            drop(guard);
            Some(*received)
        }
        other => {
            *errand = other;
            None
        }
    }
}

/// The same for an image without an application, and how to run the program again.
pub(crate) fn keep() -> Option<(Received, Program)> {
    let mut errand = locked(&ERRAND);
    match std::mem::replace(&mut *errand, Errand::Serve) {
        Errand::Keep { received, program } => Some((*received, program)),
        other => {
            *errand = other;
            None
        }
    }
}
