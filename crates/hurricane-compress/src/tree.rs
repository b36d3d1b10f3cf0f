//! The files of a directory that are worth compressing, and the copies beside them.

use std::fs::{self, File, FileTimes, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::encoding::Encoding;
use crate::report::Report;
use crate::{CompressError, at};

/// Formats that are compressed already; what they would gain is not worth a look.
const COMPRESSED: [&str; 27] = [
    "7z", "avif", "br", "bz2", "flac", "gif", "gz", "heic", "jpeg", "jpg", "jxl", "m4a", "m4v",
    "mov", "mp3", "mp4", "ogg", "opus", "png", "rar", "webm", "webp", "woff", "woff2", "xz", "zip",
    "zst",
];
/// Below it the fields of an answer outweigh what is saved.
const BYTES_MIN: u64 = 200;
/// They are compressed in memory, and browsers do not ask for longer ones at once.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// A copy must be shorter than this share of its original, in percent.
const WORTH_PERCENT: u64 = 95;
/// Directories in directories.
const DEPTH_MAX: usize = 64;

/// A file that is worth a look.
#[derive(Debug)]
pub(crate) struct Original {
    path: PathBuf,
    pub(crate) len: u64,
    modified: SystemTime,
    mode: u32,
}

/// Adds the files below `directory`.
pub(crate) fn collect(directory: &Path, files: &mut Vec<Original>) -> Result<(), CompressError> {
    let mut waiting = vec![(directory.to_owned(), 0)];
    while let Some((directory, depth)) = waiting.pop() {
        for entry in fs::read_dir(&directory).map_err(at(&directory))? {
            let entry = entry.map_err(at(&directory))?;
            let path = entry.path();
            // Of a link its own: neither is followed.
            let metadata = entry.metadata().map_err(at(&path))?;
            if metadata.is_dir() && depth < DEPTH_MAX {
                waiting.push((path, depth + 1));
            } else if metadata.is_file() && is_worth_a_look(&path, metadata.len()) {
                let modified = metadata.modified().map_err(at(&path))?;
                let mode = metadata.permissions().mode();
                files.push(Original { path, len: metadata.len(), modified, mode });
            }
        }
    }
    Ok(())
}

fn is_worth_a_look(path: &Path, len: u64) -> bool {
    let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
    let is_compressed = ending.to_str().is_some_and(|ending| COMPRESSED.contains(&ending));
    (BYTES_MIN..=BYTES_MAX).contains(&len) && !is_compressed
}

/// Makes the copies of one file that are not up to date.
pub(crate) fn compress(original: &Original) -> Result<Report, CompressError> {
    let mut report = Report { files: 1, ..Report::default() };
    let mut content = None;
    for encoding in Encoding::ALL {
        let copy = copy_of(&original.path, encoding);
        if is_current(original, &copy) {
            report.kept += 1;
            continue;
        }
        let content = match &content {
            Some(content) => content,
            None => content.insert(fs::read(&original.path).map_err(at(&original.path))?),
        };
        let compressed = encoding.encode(content).map_err(at(&original.path))?;
        let (before, after) = (content.len() as u64, compressed.len() as u64);
        if after * 100 >= before * WORTH_PERCENT {
            remove(&copy).map_err(at(&copy))?;
            report.dropped += 1;
            continue;
        }
        write(&copy, &compressed, original).map_err(at(&copy))?;
        report.made += 1;
        report.original_bytes += before;
        report.copied_bytes += after;
    }
    Ok(report)
}

fn copy_of(path: &Path, encoding: Encoding) -> PathBuf {
    let mut copy = path.as_os_str().to_owned();
    copy.push(encoding.suffix());
    PathBuf::from(copy)
}

fn is_current(original: &Original, copy: &Path) -> bool {
    let Ok(metadata) = fs::symlink_metadata(copy) else { return false };
    metadata.is_file() && metadata.modified().is_ok_and(|modified| modified == original.modified)
}

/// Puts the copy in its place when it is whole.
fn write(copy: &Path, compressed: &[u8], original: &Original) -> io::Result<()> {
    let directory = copy.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(compressed)?;
    let opened: &File = file.as_file();
    opened.set_permissions(Permissions::from_mode(original.mode & 0o777))?;
    opened.set_times(FileTimes::new().set_modified(original.modified))?;
    file.persist(copy)?;
    Ok(())
}

/// A copy of what was once worth it.
fn remove(copy: &Path) -> io::Result<()> {
    match fs::remove_file(copy) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use super::*;
    use crate::compress as compress_all;

    #[test]
    fn copies_are_made_once_and_again_when_the_original_changes() {
        let root = tempfile::tempdir().unwrap();
        let css = root.path().join("d/a.css");
        fs::create_dir(root.path().join("d")).unwrap();
        fs::write(&css, "a { b: c }\n".repeat(100)).unwrap();
        fs::set_permissions(&css, Permissions::from_mode(0o640)).unwrap();
        let run = || compress_all(&[root.path().to_owned()], 1).unwrap();
        let first = run();
        assert_eq!((first.files, first.made, first.kept, first.dropped), (1, 3, 0, 0));
        assert!(first.copied_bytes < first.original_bytes / 5);
        for encoding in Encoding::ALL {
            let metadata = fs::metadata(copy_of(&css, encoding)).unwrap();
            let original = fs::metadata(&css).unwrap();
            assert_eq!(metadata.modified().unwrap(), original.modified().unwrap());
            assert_eq!(metadata.permissions().mode() & 0o777, 0o640);
        }
        let second = run();
        assert_eq!((second.files, second.made, second.kept), (1, 0, 3));
        fs::write(&css, "d { e: f }\n".repeat(100)).unwrap();
        let later = SystemTime::now() + Duration::from_secs(5);
        File::options().write(true).open(&css).unwrap().set_modified(later).unwrap();
        assert_eq!(run().made, 3);
        assert_eq!(fs::read_dir(root.path().join("d")).unwrap().count(), 4);
    }

    #[test]
    fn what_does_not_shrink_has_no_copy() {
        let root = tempfile::tempdir().unwrap();
        let noise: Vec<u8> = (0..4000_u64)
            .map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23) >> 32) as u8)
            .scan(7_u8, |state, byte| {
                *state = state.wrapping_mul(31).wrapping_add(byte);
                Some(*state ^ byte)
            })
            .collect();
        let zipped = Encoding::Brotli.encode(&noise).unwrap();
        fs::write(root.path().join("a.bin"), &zipped).unwrap();
        let stale = root.path().join("a.bin.gz");
        fs::write(&stale, "of an earlier original").unwrap();
        File::options()
            .write(true)
            .open(stale)
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH)
            .unwrap();
        fs::write(root.path().join("photo.JPG"), vec![0; 1000]).unwrap();
        fs::write(root.path().join("short.css"), "a { }").unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("b.css"), vec![b'x'; 1000]).unwrap();
        symlink(outside.path(), root.path().join("linked")).unwrap();
        symlink(outside.path().join("b.css"), root.path().join("c.css")).unwrap();
        let report = compress_all(&[root.path().to_owned()], 2).unwrap();
        assert_eq!((report.files, report.made, report.dropped), (1, 0, 3));
        assert!(!root.path().join("a.bin.gz").exists());
        assert!(fs::read_dir(outside.path()).unwrap().count() == 1);
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = compress_all(&["/nonexistent/d".into()], 1).unwrap_err();
        assert!(error.to_string().starts_with("/nonexistent/d: No such file"), "{error}");
    }
}
