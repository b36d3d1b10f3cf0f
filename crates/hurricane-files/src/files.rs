//! The files that a worker serves: its mounts, and what it keeps of them in memory.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use foldhash::fast::RandomState;
use quick_cache::Weighter;
use quick_cache::unsync::{Cache, DefaultLifecycle};

use crate::asset::Asset;
use crate::mount::{Audience, Mount};
use crate::path::{PathError, Relative};
use crate::search::{Outcome, Refused, Search};

/// What nobody has asked for in this time is forgotten; no file stays open for longer.
const IDLE_NANOS: u64 = 10_000_000_000;
/// How often it is looked for what is idle.
const FORGET_NANOS: u64 = 1_000_000_000;
/// Bytes of a path that is kept; there are no longer names of files.
const PATH_BYTES_MAX: usize = 4096;
/// About how large a file is, for the size of the table.
const TYPICAL_BYTES: usize = 8 * 1024;

/// What is known of a path without a look at its directory.
#[derive(Debug)]
pub enum Found {
    /// The file, as it was a moment ago.
    Asset(Rc<Asset>),
    /// It must be looked for.
    Search(Search),
    /// There can be none.
    Refused(Refused),
}

/// What came of a search.
#[derive(Debug)]
pub enum Settled {
    /// The file.
    Asset(Rc<Asset>),
    /// A directory with an index, without the slash that belongs behind it.
    IsDirectory,
    /// There is none.
    Refused(Refused),
}

/// The mounts of a worker, and the files in memory.
#[derive(Debug)]
pub struct Files {
    /// The longest prefix first.
    mounts: Vec<Arc<Mount>>,
    kept: RefCell<Kept>,
    memory_bytes_max: u64,
    /// When idle ones are forgotten next.
    forget_at: Cell<u64>,
}

/// By the path of the URL as it is sent.
type Kept = Cache<Box<[u8]>, Rc<Asset>, Weight, RandomState>;

#[derive(Clone, Debug)]
struct Weight;

impl Weighter<Box<[u8]>, Rc<Asset>> for Weight {
    fn weight(&self, path: &Box<[u8]>, asset: &Rc<Asset>) -> u64 {
        path.len() as u64 + asset.weight()
    }
}

impl Files {
    /// Serves these mounts. Keeps up to `memory_bytes_max` bytes in memory, of files of up to
    /// `file_bytes_max`.
    pub fn new(mounts: &[Mount], memory_bytes_max: usize, file_bytes_max: usize) -> Self {
        let public = mounts.iter().filter(|mount| mount.audience == Audience::Everyone);
        let mut mounts: Vec<_> = public.cloned().map(Arc::new).collect();
        mounts.sort_by_key(|mount| std::cmp::Reverse(mount.prefix().len()));
        let kept = Cache::with(
            memory_bytes_max / TYPICAL_BYTES,
            memory_bytes_max as u64,
            Weight,
            RandomState::default(),
            DefaultLifecycle::default(),
        );
        let memory_bytes_max = file_bytes_max.min(memory_bytes_max) as u64;
        Self { mounts, kept: RefCell::new(kept), memory_bytes_max, forget_at: Cell::new(0) }
    }

    /// Whether there is nothing to serve.
    pub fn is_empty(&self) -> bool {
        self.mounts.is_empty()
    }

    /// The mount that a path is below.
    #[inline]
    pub fn mount_of(&self, path: &[u8]) -> Option<&Arc<Mount>> {
        self.mounts.iter().find(|mount| path.starts_with(mount.prefix().as_bytes()))
    }

    /// What is known of `path`, which is below `mount`. `now`: nanoseconds of a clock that only goes
    /// forward.
    pub fn find(&self, mount: &Arc<Mount>, path: &[u8], now: u64) -> Found {
        let kept = self.kept.borrow().get(path).cloned();
        if let Some(asset) = &kept
            && now.saturating_sub(asset.seen.get()) < trust_nanos(mount)
        {
            return Found::Asset(Rc::clone(asset));
        }
        let relative = match Relative::parse(&path[mount.prefix().len()..]) {
            Ok(relative) => relative,
            Err(PathError::Malformed) => return Found::Refused(Refused::Malformed),
            Err(PathError::Traversal) => return Found::Refused(Refused::Forbidden),
        };
        Found::Search(Search {
            mount: Arc::clone(mount),
            relative,
            known: kept.map(|asset| asset.known()).unwrap_or_default(),
            memory_bytes_max: self.memory_bytes_max,
        })
    }

    /// Takes what a search for `path` has found; `now`: when it began.
    pub fn settle(&self, search: &Search, outcome: Outcome, path: &[u8], now: u64) -> Settled {
        let mut kept = self.kept.borrow_mut();
        let findings = match outcome {
            Outcome::Found(findings) => findings,
            Outcome::Unchanged => {
                let Some(asset) = kept.get(path) else {
                    // It was forgotten meanwhile.
                    return Settled::Refused(Refused::Failed("it was forgotten".to_owned()));
                };
                asset.confirm(now);
                return Settled::Asset(Rc::clone(asset));
            }
            Outcome::IsDirectory => return Settled::IsDirectory,
            Outcome::Refused(refused) => {
                kept.remove(path);
                return Settled::Refused(refused);
            }
        };
        let asset = Asset::new(&search.mount, search.wanted().as_bytes(), findings, now);
        // A path that is spelled in another way would be kept once for each spelling.
        if asset.is_steady && search.relative.is_canonical() && path.len() <= PATH_BYTES_MAX {
            kept.insert(path.into(), Rc::clone(&asset));
        } else {
            kept.remove(path);
        }
        Settled::Asset(asset)
    }

    /// Forgets what nobody has asked for lately; to be called now and then.
    pub fn forget_idle(&self, now: u64) {
        if now < self.forget_at.get() {
            return;
        }
        self.forget_at.set(now.saturating_add(FORGET_NANOS));
        let is_used = |asset: &Rc<Asset>| now.saturating_sub(asset.seen.get()) < IDLE_NANOS;
        let mut kept = self.kept.borrow_mut();
        if !kept.is_empty() {
            kept.retain(|_, asset| is_used(asset));
        }
    }
}

fn trust_nanos(mount: &Mount) -> u64 {
    u64::try_from(mount.trust.as_nanos()).unwrap_or(u64::MAX)
}
