//! A file as it is kept: its representations, each with the fields that it is answered with.

use std::cell::Cell;
use std::io::Write as _;
use std::rc::Rc;

use hurricane_http::HttpDate;

use crate::coding::Coding;
use crate::condition::Entity;
use crate::media_type;
use crate::mount::Mount;
use crate::search::{Findings, Representation, Source, Stamp};

/// What an asset takes besides its bytes, about.
const OVERHEAD_BYTES: u64 = 2048;
/// What an open file counts for: so few are kept open.
const OPEN_FILE_BYTES: u64 = 64 * 1024;

/// A file with the codings of it that there are.
#[derive(Debug)]
pub struct Asset {
    /// The original first.
    pub(crate) rendered: Vec<Rendered>,
    /// Cache-Control, unless the URL names a version.
    pub(crate) freshness: Vec<u8>,
    /// When it was last found to be as it is, in nanoseconds of the caller's clock.
    pub(crate) seen: Cell<u64>,
    pub(crate) is_steady: bool,
}

/// A representation, ready to be sent.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) coding: Coding,
    pub(crate) stamp: Stamp,
    pub(crate) source: Source,
    etag: Vec<u8>,
    last_modified: HttpDate,
    /// The head of a 200 up to and with Content-Length.
    pub(crate) full: Vec<u8>,
    /// What describes the content, in full answers and parts.
    pub(crate) description: Vec<u8>,
    /// What every answer about it carries, 304 too.
    pub(crate) validators: Vec<u8>,
}

impl Asset {
    pub(crate) fn new(mount: &Mount, name: &[u8], findings: Findings, seen: u64) -> Rc<Self> {
        let varies = findings.representations.len() > 1;
        let media_type = match mount.names_charset {
            true => media_type::of(name),
            false => media_type::bare(name),
        };
        let render = |found| Rendered::new(found, &media_type, varies);
        Rc::new(Self {
            rendered: findings.representations.into_iter().map(render).collect(),
            freshness: mount.freshness.line(name),
            seen: Cell::new(seen),
            is_steady: findings.is_steady,
        })
    }

    /// What is known of it, for a new search.
    pub(crate) fn known(&self) -> Vec<(Coding, Stamp)> {
        self.rendered.iter().map(|each| (each.coding, each.stamp)).collect()
    }

    /// It was found to be as it was.
    pub(crate) fn confirm(&self, now: u64) {
        self.seen.set(now);
        for rendered in &self.rendered {
            if let Source::File(file) = &rendered.source {
                file.cool();
            }
        }
    }

    /// How many bytes it counts for.
    pub(crate) fn weight(&self) -> u64 {
        self.rendered.iter().map(Rendered::weight).sum()
    }
}

impl Rendered {
    pub(crate) fn new(found: Representation, media_type: &str, varies: bool) -> Self {
        let Representation { coding, stamp, bytes: source } = found;
        let etag = etag(stamp, coding);
        let last_modified = HttpDate::new(stamp.modified.as_secs());
        let mut validators = Vec::with_capacity(128);
        let mut description = Vec::with_capacity(128);
        let mut full = Vec::with_capacity(384);
        // Writing into memory cannot fail.
        let _ = write!(description, "Content-Type: {media_type}\r\n");
        if coding != Coding::Identity {
            let _ = write!(description, "Content-Encoding: {}\r\n", coding.token());
        }
        description
            .extend_from_slice(b"Accept-Ranges: bytes\r\nX-Content-Type-Options: nosniff\r\n");
        validators.extend_from_slice(b"Last-Modified: ");
        validators.extend_from_slice(last_modified.as_bytes());
        validators.extend_from_slice(b"\r\nETag: ");
        validators.extend_from_slice(&etag);
        validators.extend_from_slice(b"\r\n");
        if varies {
            validators.extend_from_slice(b"Vary: Accept-Encoding\r\n");
        }
        full.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        full.extend_from_slice(&description);
        full.extend_from_slice(&validators);
        let _ = write!(full, "Content-Length: {}\r\n", stamp.len);
        Self { coding, stamp, source, etag, last_modified, full, description, validators }
    }

    pub(crate) fn entity(&self) -> Entity<'_> {
        Entity {
            etag: &self.etag,
            last_modified: self.last_modified.as_bytes(),
            modified_seconds: self.stamp.modified.as_secs(),
            len: self.stamp.len,
        }
    }

    fn weight(&self) -> u64 {
        OVERHEAD_BYTES
            + match &self.source {
                Source::Memory(bytes) => bytes.len() as u64,
                Source::File(_) => OPEN_FILE_BYTES,
            }
    }
}

/// Modification time, length and coding. Without the inode, so that the same file has the same tag
/// in every pod.
pub(crate) fn etag(stamp: Stamp, coding: Coding) -> Vec<u8> {
    let Stamp { modified, len, .. } = stamp;
    let (seconds, nanos) = (modified.as_secs(), modified.subsec_nanos());
    let mut etag = format!("\"{seconds:x}.{nanos:x}-{len:x}");
    if coding != Coding::Identity {
        etag.push('-');
        etag.push_str(coding.token());
    }
    etag.push('"');
    etag.into_bytes()
}
