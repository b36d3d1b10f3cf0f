//! Whether the program would load now, found out beside the one that serves.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use hurricane_scoreboard::Scoreboard;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use crate::process::{self, How};
use crate::reload::errand::Report;
use crate::reload::image::set_close_on_exec;
use crate::reload::program::Program;

/// How long a trial that has said how it went may take to end: threads that the project has started
/// may never do.
const END_TIME_MAX: Duration = Duration::from_secs(1);
/// More than a report has.
const REPORT_BYTES_MAX: usize = 16 * 1024;

/// A running trial.
#[derive(Debug)]
pub(crate) struct Trial {
    pid: i32,
    report: File,
    said: Vec<u8>,
    limit: Duration,
    until: Instant,
    ended: Option<How>,
}

impl Trial {
    /// Starts the program as a trial that may take `limit`. What it prints goes where we print.
    pub(crate) fn start(program: &Program, limit: Duration) -> io::Result<Self> {
        let (report, theirs) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        set_close_on_exec(&theirs, false)?;
        let child = program.command(&format!("trial={}", theirs.as_raw_fd())).spawn()?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        Ok(Self {
            pid,
            report: report.into(),
            said: Vec::new(),
            limit,
            until: Instant::now() + limit,
            ended: None,
        })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Its process has ended.
    pub(crate) fn bury(&mut self, how: How) {
        self.ended = Some(how);
    }

    /// How it went, once it has ended: nothing is left of it then.
    pub(crate) fn outcome(&mut self, now: Instant) -> Option<Result<(), String>> {
        self.hear(now);
        match self.ended {
            Some(how) => Some(judge(&self.said, how)),
            None if now < self.until => None,
            None => {
                self.end();
                Some(if self.said.is_empty() {
                    Err(format!("it had not loaded within {:?}", self.limit))
                } else {
                    judge(&self.said, How::Killed(libc::SIGKILL))
                })
            }
        }
    }

    /// Ends it, however far it is. Its process is buried with all others.
    pub(crate) fn end(&self) {
        if self.ended.is_none() {
            process::end_at_once(self.pid);
        }
    }

    fn hear(&mut self, now: Instant) {
        let was_silent = self.said.is_empty();
        let room = REPORT_BYTES_MAX.saturating_sub(self.said.len()) as u64;
        // It ends with "nothing yet" or with the end of the report.
        let _ = (&self.report).take(room).read_to_end(&mut self.said);
        if was_silent && !self.said.is_empty() {
            self.until = self.until.min(now + END_TIME_MAX);
        }
    }
}

/// What a trial that ended so has shown.
fn judge(said: &[u8], how: How) -> Result<(), String> {
    match serde_json::from_slice::<Report>(said) {
        Ok(Report { failed: Some(cause), .. }) => Err(cause),
        Ok(Report { version, .. }) if version != crate::VERSION => Err(format!(
            "hurricane {version} is installed now and {} runs: restart the server to change to it",
            crate::VERSION
        )),
        Ok(Report { layout, .. }) if layout != Scoreboard::layout() => {
            Err("another build of hurricane is installed now: restart the server to change to it"
                .to_owned())
        }
        Ok(_) => Ok(()),
        Err(_) => Err(format!("its trial ended ({how}) before it would have served")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::Signal;

    fn judged(report: &Report, how: How) -> Result<(), String> {
        judge(&serde_json::to_vec(report).unwrap(), how)
    }

    #[test]
    fn a_trial_says_why_code_does_not_load() {
        let failed = Report::new(Some("SyntaxError: invalid syntax".into()));
        let cause = judged(&failed, How::Exited(1)).unwrap_err();
        assert_eq!(cause, "SyntaxError: invalid syntax");
        assert_eq!(judged(&Report::new(None), How::Exited(0)), Ok(()));
        let cause = judge(b"", How::Killed(Signal::SIGKILL as i32)).unwrap_err();
        assert_eq!(cause, "its trial ended (killed by SIGKILL) before it would have served");
        let cause = judge(b"{}", How::Exited(3)).unwrap_err();
        assert_eq!(cause, "its trial ended (exited with code 3) before it would have served");
    }

    #[test]
    fn another_version_of_the_server_cannot_go_on_with_what_this_one_has() {
        let newer = Report { version: "99.0.0".into(), ..Report::new(None) };
        let cause = judged(&newer, How::Exited(0)).unwrap_err();
        assert!(cause.starts_with("hurricane 99.0.0 is installed now and"), "{cause}");
        let rebuilt = Report { layout: [0; 6], ..Report::new(None) };
        assert!(judged(&rebuilt, How::Exited(0)).unwrap_err().contains("another build"));
    }
}
