//! Notes in commit messages that a growth is meant: a line such as
//!
//! ```text
//! Instructions: environ_browser +4% cookies are checked for control bytes
//! ```
//!
//! All commits since the baseline was last written count; notes about the same subject add up.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// What a line of a note begins with.
const PREFIX: &str = "Instructions:";

#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Subject and percent.
    growths: Vec<(String, f64)>,
    /// Lines that begin like a note and are none.
    pub(crate) unreadable: Vec<String>,
}

impl Notes {
    /// The growth of a subject that is meant, in percent.
    pub(crate) fn percent(&self, subject: &str) -> f64 {
        self.growths.iter().filter(|(name, _)| name == subject).map(|(_, percent)| percent).sum()
    }

    pub(crate) fn parse(messages: &str) -> Self {
        let mut notes = Self::default();
        for line in messages.lines() {
            let Some(text) = line.trim().strip_prefix(PREFIX) else { continue };
            match growth(text) {
                Some(growth) => notes.growths.push(growth),
                None => notes.unreadable.push(line.trim().to_owned()),
            }
        }
        notes
    }
}

/// Subject and percent of `<subject> +N% <why>`.
fn growth(text: &str) -> Option<(String, f64)> {
    let (subject, rest) = text.trim().split_once(' ')?;
    let (percent, why) = rest.trim().strip_prefix('+')?.split_once('%')?;
    let percent = percent.trim().parse().ok().filter(|percent: &f64| percent.is_finite())?;
    (!why.trim().is_empty()).then(|| (subject.to_owned(), percent))
}

/// The notes since the last commit that wrote `baseline`. None where there is no history, as in an
/// archive of the sources.
pub(crate) fn since(baseline: &Path) -> Notes {
    let directory = baseline.parent().unwrap_or(Path::new("."));
    let file = baseline.file_name().unwrap_or_default();
    let last = git(directory, ["log", "-1", "--format=%H", "--"].map(OsStr::new), file);
    let range = match last.as_deref().map(str::trim) {
        Some("") | None => "HEAD".to_owned(),
        Some(commit) => format!("{commit}..HEAD"),
    };
    let messages = git(directory, ["log", "--format=%B"].map(OsStr::new), range.as_ref());
    Notes::parse(&messages.unwrap_or_default())
}

fn git<const N: usize>(directory: &Path, words: [&OsStr; N], last: &OsStr) -> Option<String> {
    let output = Command::new("git").current_dir(directory).args(words).arg(last).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_of_all_commits_add_up() {
        let notes = Notes::parse(
            "http: refuse control bytes\n\nA line of text.\n\n\
             Instructions: head_plain +4% every byte is looked at\n\
             Instructions: head_browser +2.5 % every byte is looked at\n\n\
             http: count refusals\n\nInstructions: head_plain +3% a counter\n",
        );
        assert!((notes.percent("head_plain") - 7.0).abs() < 1e-9);
        assert!((notes.percent("head_browser") - 2.5).abs() < 1e-9);
        assert!(notes.percent("head").abs() < 1e-9);
        assert!(notes.unreadable.is_empty());
    }

    #[test]
    fn a_note_needs_a_number_and_a_reason() {
        for line in [
            "Instructions: head_plain +4%",
            "Instructions: head_plain 4% more",
            "Instructions: head_plain",
            "Instructions:",
            "Instructions: head_plain +inf% because",
        ] {
            let notes = Notes::parse(line);
            assert_eq!(notes.unreadable, [line]);
            assert!(notes.growths.is_empty());
        }
    }

    #[test]
    fn other_lines_are_no_notes() {
        assert!(Notes::parse("The Instructions: of a part\n").unreadable.is_empty());
    }
}
