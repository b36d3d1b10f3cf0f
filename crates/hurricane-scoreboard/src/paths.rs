//! The paths that requests are counted by: a bounded table for the whole server.
//!
//! The names are kept once and the counts in each slot, so that there is one limit however many
//! workers there are, and a path has the same place in all of them. Finding a name takes one hash
//! and some loads of neighbouring words.
//!
//! Invariants:
//! - A place is claimed by a compare-and-swap of its key and never given up. Whoever finds it
//!   without a name writes the name that the key is the hash of: a worker that was killed in
//!   between leaves nothing that another would have to mend.
//! - What a peer sends grows the table up to `PATHS_MAX` and no further. What has no place there
//!   is counted under [`PathId::OTHER`].

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use foldhash::fast::FixedState;

/// Pairs of method and path that are counted by name.
pub const PATHS_MAX: usize = 512;
/// Places that a pair may be at. In a table that is full by four fifths one pair of 50 has none.
const PLACES_MAX: usize = 16;
/// Room for method and path together; longer paths are cut.
const TEXT_BYTES_MAX: usize = 240;
/// What stands for a method that is none of HTTP's.
const OTHER: &str = "<other>";
/// Methods that have a name of their own: RFC 9110, and PATCH.
const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"];

/// Where a method and a path are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathId(u16);

impl PathId {
    /// What has no place of its own.
    pub const OTHER: Self = Self(PATHS_MAX as u16);

    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The names of all paths.
#[derive(Debug)]
#[repr(C, align(128))]
pub struct Paths {
    /// Hashes of the names; 0: free.
    keys: [AtomicU64; PATHS_MAX],
    names: [Name; PATHS_MAX],
}

#[derive(Debug)]
#[repr(C)]
struct Name {
    /// When it was claimed, in milliseconds since 1970.
    created_ms: AtomicU64,
    /// Of both texts together; 0: not written yet.
    len: AtomicU32,
    method_len: AtomicU32,
    text: [AtomicU8; TEXT_BYTES_MAX],
}

/// A copy of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathReading {
    /// Where it is counted.
    pub id: PathId,
    /// The method; `<other>` for those that HTTP does not have.
    pub method: String,
    /// The path, cut.
    pub path: String,
    /// When it was counted first, since 1970.
    pub created: Duration,
}

impl Paths {
    /// Where this method and path are counted. A pair that has no place is given one, unless
    /// `is_known` is false: then it might be anything.
    pub fn find(&self, method: &str, path: &[u8], is_known: bool) -> PathId {
        let number = METHODS.iter().position(|known| *known == method).unwrap_or(METHODS.len());
        let method = METHODS.get(number).copied().unwrap_or(OTHER);
        let path = &path[..path.len().min(TEXT_BYTES_MAX - method.len())];
        let key = key(number, path);
        let first = usize::try_from(key % PATHS_MAX as u64).unwrap_or(0);
        for place in (0..PLACES_MAX).map(|step| (first + step) % PATHS_MAX) {
            let mut found = self.keys[place].load(Ordering::Acquire);
            if found == 0 {
                if !is_known {
                    break;
                }
                found = match self.keys[place].compare_exchange(
                    0,
                    key,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                ) {
                    Ok(_) => key,
                    Err(other) => other,
                };
            }
            if found == key {
                let name = &self.names[place];
                if name.len.load(Ordering::Relaxed) == 0 {
                    name.write(method, path);
                }
                return PathId(u16::try_from(place).unwrap_or(PathId::OTHER.0));
            }
        }
        PathId::OTHER
    }

    /// Every name so far.
    pub fn read(&self) -> Vec<PathReading> {
        self.names.iter().enumerate().filter_map(|(place, name)| name.read(place)).collect()
    }
}

fn key(method: usize, path: &[u8]) -> u64 {
    // The same in every process of the server.
    let mut hasher = FixedState::with_seed(method as u64).build_hasher();
    hasher.write(path);
    hasher.finish().max(1)
}

impl Name {
    fn write(&self, method: &str, path: &[u8]) {
        let text = method.as_bytes().iter().chain(path);
        for (cell, byte) in self.text.iter().zip(text) {
            cell.store(*byte, Ordering::Relaxed);
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.created_ms.store(u64::try_from(now.as_millis()).unwrap_or(0), Ordering::Relaxed);
        self.method_len.store(u32::try_from(method.len()).unwrap_or(0), Ordering::Relaxed);
        let len = u32::try_from(method.len() + path.len()).unwrap_or(0);
        self.len.store(len, Ordering::Release);
    }

    fn read(&self, place: usize) -> Option<PathReading> {
        let len = (self.len.load(Ordering::Acquire) as usize).min(TEXT_BYTES_MAX);
        if len == 0 {
            return None;
        }
        let method_len = (self.method_len.load(Ordering::Relaxed) as usize).min(len);
        let text: Vec<u8> =
            self.text[..len].iter().map(|cell| cell.load(Ordering::Relaxed)).collect();
        let (method, path) = text.split_at(method_len);
        let mut path = String::from_utf8_lossy(path).into_owned();
        if len == TEXT_BYTES_MAX {
            // The cut may have gone through a character.
            path.truncate(path.trim_end_matches(char::REPLACEMENT_CHARACTER).len());
            path.push('…');
        }
        Some(PathReading {
            id: PathId(u16::try_from(place).ok()?),
            method: String::from_utf8_lossy(method).into_owned(),
            path,
            created: Duration::from_millis(self.created_ms.load(Ordering::Relaxed)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scoreboard;

    fn names(board: &Scoreboard) -> Vec<(String, String)> {
        let mut names: Vec<_> =
            board.paths().read().into_iter().map(|name| (name.method, name.path)).collect();
        names.sort();
        names
    }

    #[test]
    fn a_pair_keeps_its_place_and_an_unknown_one_gets_none() {
        let board = Scoreboard::new(1).unwrap();
        let paths = board.paths();
        assert_eq!(paths.find("GET", b"/books", false), PathId::OTHER);
        let books = paths.find("GET", b"/books", true);
        assert_ne!(books, PathId::OTHER);
        assert_eq!(paths.find("GET", b"/books", false), books);
        assert_ne!(paths.find("POST", b"/books", true), books);
        assert_eq!(
            names(&board),
            [("GET".into(), "/books".into()), ("POST".into(), "/books".into())]
        );
    }

    #[test]
    fn paths_and_methods_without_end_fill_the_table_and_no_more() {
        let board = Scoreboard::new(1).unwrap();
        let paths = board.paths();
        for number in 0..20_000 {
            paths.find("GET", format!("/{number}").as_bytes(), true);
            paths.find(&format!("M{number}"), b"/", true);
        }
        let read = paths.read();
        assert!((PATHS_MAX / 2..=PATHS_MAX).contains(&read.len()), "{}", read.len());
        assert_eq!(read.iter().filter(|name| name.method == OTHER).count(), 1);
        assert!(read.iter().all(|name| !name.created.is_zero()));
    }

    #[test]
    fn long_paths_are_cut_at_a_character() {
        let board = Scoreboard::new(1).unwrap();
        let long = format!("/{}", "ä".repeat(TEXT_BYTES_MAX));
        let id = board.paths().find("GET", long.as_bytes(), true);
        let longer = format!("{long}ä");
        assert_eq!(board.paths().find("GET", longer.as_bytes(), true), id);
        let (_, path) = names(&board).remove(0);
        assert_eq!(path, format!("/{}…", "ä".repeat((TEXT_BYTES_MAX - 4) / 2)));
    }

    #[test]
    fn a_place_whose_claimer_was_killed_gets_its_name_from_the_next() {
        let board = Scoreboard::new(1).unwrap();
        let key = key(0, b"/half");
        let place = usize::try_from(key % PATHS_MAX as u64).unwrap();
        board.paths().keys[place].store(key, Ordering::Relaxed);
        assert!(names(&board).is_empty());
        let id = board.paths().find("GET", b"/half", true);
        assert_eq!(id.index(), place);
        assert_eq!(names(&board), [("GET".into(), "/half".into())]);
    }

    #[test]
    fn threads_that_claim_at_once_agree() {
        let board = Scoreboard::new(1).unwrap();
        std::thread::scope(|scope| {
            let claims: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let paths = (0..100).map(|number| format!("/{number}"));
                        paths
                            .map(|path| board.paths().find("GET", path.as_bytes(), true))
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            let ids: Vec<_> = claims.into_iter().map(|claim| claim.join().unwrap()).collect();
            assert!(ids.iter().all(|other| *other == ids[0]));
        });
        assert_eq!(names(&board).len(), 100);
    }
}
