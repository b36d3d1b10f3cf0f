//! What was done, and how far it is.

use std::fmt;
use std::ops::Add;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

/// What a run has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Files that have a type worth compressing.
    pub files: usize,
    /// Copies that were made.
    pub made: usize,
    /// Copies that were up to date.
    pub kept: usize,
    /// Copies that would not have been clearly shorter.
    pub dropped: usize,
    /// Bytes of the originals of copies that were made.
    pub original_bytes: u64,
    /// Bytes of these copies.
    pub copied_bytes: u64,
}

impl Add for Report {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            files: self.files + other.files,
            made: self.made + other.made,
            kept: self.kept + other.kept,
            dropped: self.dropped + other.dropped,
            original_bytes: self.original_bytes + other.original_bytes,
            copied_bytes: self.copied_bytes + other.copied_bytes,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, made, kept, dropped, .. } = self;
        write!(f, "{files} files: {made} copies made, {kept} up to date, {dropped} not worth it")?;
        if self.made > 0 {
            let (from, to) = (HumanBytes(self.original_bytes), HumanBytes(self.copied_bytes));
            write!(f, "; {from} became {to}")?;
        }
        Ok(())
    }
}

/// Tells on stderr how far it is, unless that is no terminal.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    pub(crate) fn new(bytes: u64) -> Self {
        let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} left");
        let bar = ProgressBar::new(bytes);
        Self(style.map_or(bar.clone(), |style| bar.with_style(style)))
    }

    pub(crate) fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    pub(crate) fn end(&self) {
        self.0.finish_and_clear();
    }
}
