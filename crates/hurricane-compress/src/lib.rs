//! Makes compressed copies of static files beside them: `app.css.zst`, `app.css.br`, `app.css.gz`.
//!
//! As small as each format gets, because it is done once and read often. A copy has the
//! modification time of its original, by which it is told that it belongs to it: what is up to date
//! is left alone, and so a second run costs little.
//!
//! Invariants:
//! - A copy appears whole or not at all.
//! - A copy that is not clearly shorter than its original is not there afterwards.
//! - Nothing but files of the directory itself is touched: links are not followed.

#![forbid(unsafe_code)]

mod encoding;
mod report;
mod tree;

use std::path::{Path, PathBuf};

use rayon::prelude::*;

pub use encoding::Encoding;
pub use report::Report;

use crate::report::Bar;

/// Why files could not be compressed.
#[derive(Debug, thiserror::Error)]
pub enum CompressError {
    /// A directory or file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The threads could not be started.
    #[error("threads cannot be started: {0}")]
    Threads(String),
}

/// Compresses the files below these directories on `jobs` threads, 0 for one per CPU. A bar on
/// stderr tells how far it is, where that is a terminal.
///
/// # Errors
/// With the first file that cannot be read or written; copies that were made stay.
pub fn compress(directories: &[PathBuf], jobs: usize) -> Result<Report, CompressError> {
    let mut files = Vec::new();
    for directory in directories {
        tree::collect(directory, &mut files)?;
    }
    // The largest first, so that none of them is what all wait for at the end.
    files.sort_by_key(|file| std::cmp::Reverse(file.len));
    let bar = Bar::new(files.iter().map(|file| file.len).sum());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(jobs).build();
    let pool = pool.map_err(|error| CompressError::Threads(error.to_string()))?;
    let report = pool.install(|| {
        files
            .par_iter()
            .map(|file| {
                let report = tree::compress(file)?;
                bar.advance(file.len);
                Ok(report)
            })
            .try_reduce(Report::default, |one, other| Ok(one + other))
    });
    bar.end();
    report
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> CompressError {
    let path = path.to_owned();
    move |source| CompressError::Io { path, source }
}
