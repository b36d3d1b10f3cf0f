//! The last words of a server that fails, where Kubernetes looks for them.
//!
//! The kubelet reads the file `/dev/termination-log` of a container that has ended, and shows its
//! text as the message of the last state. Only a failed exit leaves one, and nothing here can
//! make the exit fail or wait.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::reload::errand;

/// Where the kubelet puts the file unless the container's `terminationMessagePath` says otherwise.
const PATH_DEFAULT: &str = "/dev/termination-log";
/// The kubelet reads no more.
const BYTES_MAX: usize = 4096;

/// The file for last words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminationLog(Option<PathBuf>);

impl TerminationLog {
    /// The file at `path`, made if it is not there; without one that of Kubernetes, if it is
    /// there.
    pub fn at(path: Option<PathBuf>) -> Self {
        Self(path)
    }

    /// The file as the environment alone knows it, for flags that cannot be read.
    pub(crate) fn of_environment() -> Self {
        let path = std::env::var_os("HURRICANE_TERMINATION_LOG");
        Self(path.filter(|path| !path.is_empty()).map(PathBuf::from))
    }

    /// Writes why the server ends, as one line. A failure is logged. New code that does not load
    /// ends no server.
    pub fn write(&self, reason: &str) {
        if !errand::is_done() {
            return;
        }
        let given = self.0.is_some();
        let path = self.0.as_deref().unwrap_or(Path::new(PATH_DEFAULT));
        // A pipe that nobody reads must not hold us.
        let mut options = OpenOptions::new();
        options.write(true).truncate(true).create(given).custom_flags(libc::O_NONBLOCK);
        let written = options.open(path).and_then(|mut file| file.write_all(&line(reason)));
        if let Err(error) = written
            && given
        {
            tracing::warn!(path = %path.display(), %error, "the last words cannot be written");
        }
    }
}

/// A reason on one line, cut at a character.
fn line(reason: &str) -> Vec<u8> {
    let mut text = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    text.truncate(text.floor_char_boundary(BYTES_MAX - 1));
    text.push('\n');
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_one_line_that_the_kubelet_reads_whole() {
        assert_eq!(line("port 80\n  is taken "), b"port 80 is taken\n");
        let long = line(&"ä".repeat(5000));
        assert!(long.len() <= BYTES_MAX);
        assert!(std::str::from_utf8(&long).is_ok());
    }

    #[test]
    fn what_cannot_be_written_to_does_no_harm() {
        for path in ["/", "/nowhere/at/all", "/proc/version"] {
            TerminationLog::at(Some(path.into())).write("nothing");
        }
    }
}
