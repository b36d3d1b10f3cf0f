//! Changes of a project's files, for those who develop it: where they are looked for, and what has
//! changed since the last look.
//!
//! What counts is the comparison of two looks at all files. inotify only says when another is
//! worth it, so a file that an editor moves into place, a directory that comes or goes and a queue
//! that overflows need no rules of their own. Where inotify cannot be had (limits, network file
//! systems) a look each second does the same.
//!
//! There is no thread, which libraries for this start: the supervisor has to fork.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent};
use nix::sys::statfs::statfs;
use serde::{Deserialize, Serialize};

/// Who saves several files, or switches to another branch, is done when nothing has come for so
/// long; but is not waited for longer than the second.
const QUIET: Duration = Duration::from_millis(50);
const UNREST_MAX: Duration = Duration::from_millis(500);
/// Without inotify: between two looks, which take at most a twentieth of the time.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
const LOOK_SHARE: u32 = 20;
/// More than a project has whose files are written by people.
const DIRECTORIES_MAX: usize = 20_000;
const FILES_MAX: usize = 100_000;
/// Directories of tools, below any that is watched.
const SPARED: [&str; 3] = ["__pycache__", "node_modules", "site-packages"];
/// File systems whose other hosts change files without a word to our kernel: NFS, SMB in three
/// generations, 9P, FUSE.
const REMOTE: [i64; 6] =
    [0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42, 0x0102_1997, libc::FUSE_SUPER_MAGIC];

/// Where to look.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// The directories.
    pub places: Vec<Place>,
    /// Directories below them that are left out.
    pub spared: Vec<PathBuf>,
}

/// A directory and the files in it that matter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The directory.
    pub directory: PathBuf,
    /// Whether all directories below belong to it.
    pub is_deep: bool,
    /// Names of files: `*` for all, `*.py` for an ending, or the whole name.
    pub names: Vec<String>,
    /// Whether static files have to be collected after a change.
    pub is_static: bool,
}

/// Files that have changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) files: Vec<PathBuf>,
    /// Some are static files.
    pub(crate) has_static: bool,
    /// It was while the code was loaded, which may have seen them before or after.
    pub(crate) while_loading: bool,
}

/// A watch over files.
#[derive(Debug)]
pub(crate) struct Changes {
    watched: Watched,
    notices: Option<Notices>,
    files: BTreeMap<PathBuf, Stamp>,
    /// Found by the first look.
    early: Found,
    /// The first and the last sign of a change since the last look.
    unrest: Option<(Instant, Instant)>,
    /// Without inotify.
    next_look: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Stamp {
    modified: (i64, i64),
    /// When anything of it was changed, its place too: a file that was moved here keeps the time
    /// at which it was written.
    changed: Duration,
    bytes: u64,
    inode: u64,
    is_static: bool,
}

impl Stamp {
    fn of(found: &Metadata, is_static: bool) -> Self {
        let seconds = u64::try_from(found.ctime()).unwrap_or(0);
        let nanos = u32::try_from(found.ctime_nsec()).unwrap_or(0);
        Self {
            modified: (found.mtime(), found.mtime_nsec()),
            changed: Duration::new(seconds, nanos),
            bytes: found.size(),
            inode: found.ino(),
            is_static,
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        let key = |stamp: &Self| (stamp.modified, stamp.bytes, stamp.inode);
        key(self) == key(other)
    }
}

impl Changes {
    /// Begins to watch. Files that were changed after `since`, when their code began to be loaded,
    /// are found by the next [`Changes::look`].
    pub(crate) fn watch(watched: Watched, since: SystemTime) -> Self {
        let (notices, polls_because) = match Notices::begin(&watched) {
            Ok(notices) => (Some(notices), None),
            Err(cause) => (None, Some(cause)),
        };
        let mut changes = Self {
            watched,
            notices,
            files: BTreeMap::new(),
            early: Found::default(),
            unrest: None,
            next_look: Instant::now(),
        };
        if let Some(cause) = polls_because {
            changes.poll_because(&cause);
        }
        changes.files = changes.scan();
        let since = since.duration_since(UNIX_EPOCH).unwrap_or_default();
        let early = changes.files.iter().filter(|(_, stamp)| stamp.changed > since);
        for (file, stamp) in early {
            changes.early.files.push(file.clone());
            changes.early.has_static |= stamp.is_static;
            changes.early.while_loading = true;
        }
        changes
    }

    /// Returns with the first changes.
    pub(crate) fn wait(mut self) -> Found {
        loop {
            let now = Instant::now();
            if let Some(found) = self.look(now) {
                return found;
            }
            let wait = self.due().map(|due| due.saturating_duration_since(now));
            let wait = wait.map_or(PollTimeout::NONE, |wait| {
                // Rounded up: a wait that ends too early would be followed by many.
                u16::try_from(wait.as_millis() + 1).map_or(PollTimeout::MAX, PollTimeout::from)
            });
            let mut notices: Vec<_> = self
                .descriptor()
                .map(|it| PollFd::new(it, PollFlags::POLLIN))
                .into_iter()
                .collect();
            // An interruption is as good as a wake-up.
            let _ = poll(&mut notices, wait);
        }
    }

    pub(crate) fn watched(&self) -> &Watched {
        &self.watched
    }

    /// Readable when there is something to look at.
    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.notices.as_ref().map(|notices| notices.inotify.as_fd())
    }

    /// When to look if nothing becomes readable.
    pub(crate) fn due(&self) -> Option<Instant> {
        if !self.early.files.is_empty() {
            return Some(Instant::now());
        }
        if self.notices.is_none() {
            return Some(self.next_look);
        }
        self.unrest.map(|(first, last)| (last + QUIET).min(first + UNREST_MAX))
    }

    /// What has changed, once it has become quiet.
    pub(crate) fn look(&mut self, now: Instant) -> Option<Found> {
        if self.notices.as_ref().is_some_and(Notices::speak_of_change) {
            let first = self.unrest.map_or(now, |(first, _)| first);
            self.unrest = Some((first, now));
        }
        if self.due().is_none_or(|due| due > now) && self.early.files.is_empty() {
            return None;
        }
        self.unrest = None;
        let mut found = std::mem::take(&mut self.early);
        let files = self.scan();
        for (file, stamp) in &files {
            let is_same = self.files.get(file).is_some_and(|before| before.is_same(stamp));
            if !is_same && !found.files.contains(file) {
                found.files.push(file.clone());
                found.has_static |= stamp.is_static;
                found.while_loading = false;
            }
        }
        for (file, before) in &self.files {
            if !files.contains_key(file) {
                found.files.push(file.clone());
                found.has_static |= before.is_static;
                found.while_loading = false;
            }
        }
        self.files = files;
        (!found.files.is_empty()).then_some(found)
    }

    fn poll_because(&mut self, cause: &str) {
        self.notices = None;
        tracing::info!(cause, "files are compared every second to find changes");
    }

    /// Looks at every file. A directory is watched before it is read: what comes into it
    /// meanwhile is noticed.
    fn scan(&mut self) -> BTreeMap<PathBuf, Stamp> {
        let begin = Instant::now();
        let mut files = BTreeMap::new();
        let mut left: Vec<(PathBuf, usize)> = Vec::new();
        for (index, place) in self.watched.places.iter().enumerate().rev() {
            left.push((place.directory.clone(), index));
        }
        let mut directories = 0;
        while let Some((directory, index)) = left.pop() {
            directories += 1;
            if directories > DIRECTORIES_MAX || files.len() > FILES_MAX {
                tracing::warn!(
                    directory = %directory.display(),
                    "there are too many files to find changes in all of them; from here on none are"
                );
                break;
            }
            let place = &self.watched.places[index];
            let noticed = self.notices.as_mut().map(|it| it.add(&directory, &place.names));
            if let Some(Err(errno)) = noticed {
                self.poll_because(&format!("no more of inotify can be had: {errno}"));
            }
            let place = &self.watched.places[index];
            for (path, found) in entries(&directory) {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if found.is_dir() {
                    if place.is_deep && !self.is_spared(&path, &name) {
                        left.push((path, index));
                    }
                } else if found.is_file() && is_wanted(&place.names, &name) {
                    let before = files.get(&path).is_some_and(|stamp: &Stamp| stamp.is_static);
                    files.insert(path, Stamp::of(&found, before || place.is_static));
                }
            }
        }
        let now = Instant::now();
        self.next_look = now + LOOK_INTERVAL.max((now - begin) * LOOK_SHARE);
        files
    }

    fn is_spared(&self, directory: &Path, name: &str) -> bool {
        name.starts_with('.')
            || SPARED.contains(&name)
            || self.watched.spared.iter().any(|spared| spared == directory)
            || directory.join("pyvenv.cfg").exists()
    }
}

/// What is in a directory. Links to files are followed; those to directories would lead anywhere.
fn entries(directory: &Path) -> impl Iterator<Item = (PathBuf, Metadata)> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let path = entry.path();
        let found = match entry.file_type().ok()?.is_symlink() {
            true => fs::metadata(&path).ok().filter(Metadata::is_file)?,
            false => entry.metadata().ok()?,
        };
        Some((path, found))
    })
}

/// Whether a file matters. What editors make beside it never does.
fn is_wanted(names: &[String], name: &str) -> bool {
    let is_scrap = name.starts_with(['.', '#'])
        || name.ends_with(['~', '#'])
        || [".swp", ".swx", ".tmp"].iter().any(|ending| name.ends_with(ending))
        // Vim tries out by it whether it may write.
        || name == "4913";
    !is_scrap
        && names.iter().any(|wanted| match wanted.strip_prefix('*') {
            Some(ending) => name.ends_with(ending),
            None => name == wanted,
        })
}

/// What the kernel tells about directories.
#[derive(Debug)]
struct Notices {
    inotify: Inotify,
    /// For each watch the names of files that matter.
    names: BTreeMap<i32, Vec<String>>,
}

impl Notices {
    fn begin(watched: &Watched) -> Result<Self, String> {
        let remote = watched.places.iter().find(|place| is_remote(&place.directory));
        if let Some(Place { directory, .. }) = remote {
            return Err(format!("{} is on a network file system", directory.display()));
        }
        let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
        let inotify = Inotify::init(flags).map_err(|errno| format!("no inotify: {errno}"))?;
        Ok(Self { inotify, names: BTreeMap::new() })
    }

    fn add(&mut self, directory: &Path, names: &[String]) -> Result<(), Errno> {
        let wanted = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        match self.inotify.add_watch(directory, wanted) {
            Ok(watch) => {
                let known = self.names.entry(watch.as_raw()).or_default();
                known.extend(
                    names.iter().filter(|name| !known.contains(name)).cloned().collect::<Vec<_>>(),
                );
                Ok(())
            }
            Err(errno @ (Errno::ENOSPC | Errno::ENOMEM)) => Err(errno),
            // Gone, or not ours to read.
            Err(_) => Ok(()),
        }
    }

    /// Takes what there is.
    fn speak_of_change(&self) -> bool {
        let mut is_change = false;
        while let Ok(events) = self.inotify.read_events() {
            is_change |= events.iter().any(|event| self.is_change(event));
        }
        is_change
    }

    fn is_change(&self, event: &InotifyEvent) -> bool {
        let of_directories = AddWatchFlags::IN_ISDIR
            | AddWatchFlags::IN_Q_OVERFLOW
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF;
        let names = self.names.get(&event.wd.as_raw());
        let name = event.name.as_ref().map(|name| name.to_string_lossy());
        event.mask.intersects(of_directories)
            || matches!((names, name), (Some(names), Some(name)) if is_wanted(names, &name))
    }
}

fn is_remote(directory: &Path) -> bool {
    statfs(directory).is_ok_and(|found| REMOTE.contains(&found.filesystem_type().0))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let own = format!("hurricane-changes-{name}-{}", std::process::id());
            let directory = std::env::temp_dir().join(own);
            fs::create_dir_all(&directory).unwrap();
            Self(directory)
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        }

        fn place(&self, names: &[&str]) -> Place {
            let names = names.iter().map(ToString::to_string).collect();
            Place { directory: self.0.clone(), is_deep: true, names, is_static: false }
        }

        fn watch(&self, names: &[&str]) -> Changes {
            let watched = Watched { places: vec![self.place(names)], spared: Vec::new() };
            Changes::watch(watched, SystemTime::now() + Duration::from_secs(60))
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn wait(changes: Changes) -> Vec<PathBuf> {
        changes.wait().files
    }

    #[test]
    fn written_moved_and_removed_files_are_changes() {
        let scratch = Scratch::new("kinds");
        let (kept, gone) = (scratch.write("kept.py", "1"), scratch.write("deep/gone.py", "1"));
        let changes = scratch.watch(&["*.py"]);
        scratch.write("kept.py", "22");
        assert_eq!(wait(changes), std::slice::from_ref(&kept));

        let changes = scratch.watch(&["*.py"]);
        let moved = scratch.write("kept.py.new", "33");
        fs::rename(moved, &kept).unwrap();
        assert_eq!(wait(changes), [kept]);

        let changes = scratch.watch(&["*.py"]);
        fs::remove_file(&gone).unwrap();
        assert_eq!(wait(changes), [gone]);
    }

    #[test]
    fn a_directory_that_comes_later_is_watched_too() {
        let scratch = Scratch::new("later");
        let mut changes = scratch.watch(&["*.py"]);
        let first = scratch.write("package/first.py", "1");
        let found = loop {
            if let Some(found) = changes.look(Instant::now()) {
                break found;
            }
        };
        assert_eq!(found.files, [first]);
        let second = scratch.write("package/second.py", "1");
        assert_eq!(wait(changes), [second]);
    }

    #[test]
    fn what_nobody_wrote_and_what_editors_leave_is_no_change() {
        let scratch = Scratch::new("others");
        scratch.write("environment/pyvenv.cfg", "");
        let mut changes = scratch.watch(&["*.py", "*.mo"]);
        for name in [
            "notes.txt",
            ".#open.py",
            "backup.py~",
            "4913",
            "__pycache__/a.py",
            ".git/hook.py",
            "node_modules/tool/a.py",
            "environment/lib/a.py",
        ] {
            scratch.write(name, "1");
        }
        let later = Instant::now() + Duration::from_secs(5);
        assert!(changes.look(later).is_none() && changes.look(later).is_none());
        let wanted = scratch.write("locale/de/django.mo", "1");
        assert_eq!(wait(changes), [wanted]);
    }

    #[test]
    fn without_inotify_files_are_compared() {
        let scratch = Scratch::new("polls");
        let mut changes = scratch.watch(&["*"]);
        changes.notices = None;
        let file = scratch.write("new.html", "1");
        assert_eq!(wait(changes), [file]);
    }

    #[test]
    fn a_change_while_code_is_loaded_is_found_at_first() {
        let scratch = Scratch::new("early");
        let since = SystemTime::now() - Duration::from_secs(60);
        let file = scratch.write("early.py", "1");
        let watched = Watched { places: vec![scratch.place(&["*.py"])], spared: Vec::new() };
        let found = Changes::watch(watched, since).wait();
        assert_eq!((found.files, found.while_loading), (vec![file], true));
    }

    #[test]
    fn static_files_are_told_apart_and_spared_directories_left_out() {
        let scratch = Scratch::new("static");
        scratch.write("collected/a.css", "1");
        let place = Place { is_static: true, ..scratch.place(&["*"]) };
        let spared = vec![scratch.0.join("collected")];
        let watched = Watched { places: vec![scratch.place(&["*.py"]), place], spared };
        let mut changes = Changes::watch(watched, SystemTime::now());
        scratch.write("collected/a.css", "22");
        let later = Instant::now() + Duration::from_secs(5);
        assert!(changes.look(later).is_none());
        let style = scratch.write("static/a.css", "1");
        let found = changes.wait();
        assert_eq!((found.files, found.has_static), (vec![style], true));
    }
}
