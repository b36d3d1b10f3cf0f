//! Files that an application hands out by name: X-Sendfile and X-Accel-Redirect.
//!
//! The application decides who gets a file, and says of what type and under which name it is
//! saved; what the file itself tells (length, validators, ranges) is ours.

use std::path::Path;
use std::sync::Arc;

use hurricane_http::{File, Head};

use crate::asset::Rendered;
use crate::condition::{Verdict, judge};
use crate::media_type;
use crate::mount::{Audience, Mount};
use crate::path::Relative;
use crate::search::{Outcome, Refused, Search, Source};

/// Fields of the application's response that the file's own take the place of.
const REPLACED: [&[u8]; 9] = [
    b"content-length",
    b"content-encoding",
    b"etag",
    b"last-modified",
    b"accept-ranges",
    b"content-range",
    b"x-sendfile",
    b"x-accel-redirect",
    b"x-accel-buffering",
];

/// Why a file that an application names cannot be handed out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandingError {
    /// Not below any directory that was configured for it.
    #[error("it is not below a --sendfile-path")]
    Outside,
    /// There is none, or it may not be read.
    #[error("there is no such file")]
    Missing,
    /// The system has failed us.
    #[error("{0}")]
    Failed(String),
}

/// A file to be handed out.
#[derive(Debug)]
pub struct Handed {
    /// The status code of the answer.
    pub status: u16,
    /// What the file tells of itself.
    pub fields: Vec<(&'static str, Vec<u8>)>,
    /// The type that its name stands for.
    pub media_type: String,
    /// What is sent; nothing of it after a 304, 412 or 416.
    pub part: Option<File>,
}

impl Handed {
    /// Whether a field of the application's response is not sent along.
    pub fn replaces(name: &[u8]) -> bool {
        REPLACED.iter().any(|replaced| name.eq_ignore_ascii_case(replaced))
    }
}

/// How the application names a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named<'a> {
    /// X-Accel-Redirect: a URL, percent-encoded.
    Url(&'a [u8]),
    /// X-Sendfile: a path of the file system.
    Path(&'a [u8]),
}

/// Finds the file that the application has named in its answer to `head`. Waits for the disk.
///
/// # Errors
/// When there is none that it may hand out.
pub fn hand_out(mounts: &[Mount], named: Named<'_>, head: &Head) -> Result<Handed, HandingError> {
    let internal = mounts.iter().filter(|mount| mount.audience == Audience::Application);
    let (mount, relative) = internal
        .filter_map(|mount| Some((mount, relative(mount, named)?)))
        .max_by_key(|(mount, _)| mount.prefix().len())
        .ok_or(HandingError::Outside)?;
    let search =
        Search { mount: Arc::new(mount.clone()), relative, known: Vec::new(), memory_bytes_max: 0 };
    let mut findings = match search.wait() {
        Outcome::Found(findings) => findings,
        Outcome::Refused(Refused::Failed(cause)) => return Err(HandingError::Failed(cause)),
        _ => return Err(HandingError::Missing),
    };
    let media_type = media_type::of(search.relative.as_bytes());
    let original = findings.representations.swap_remove(0);
    Ok(answer(Rendered::new(original, &media_type, false), media_type, head))
}

/// The name below the mount's directory, of a URL below its prefix or a path below the directory.
fn relative(mount: &Mount, named: Named<'_>) -> Option<Relative> {
    match named {
        Named::Url(url) => {
            let path = url.split(|byte| *byte == b'?').next().unwrap_or_default();
            Relative::parse(path.strip_prefix(mount.prefix().as_bytes())?).ok()
        }
        Named::Path(path) => {
            let directory = &mount.roots.first()?.directory;
            let path = Path::new(std::str::from_utf8(path).ok()?);
            let below = path.strip_prefix(directory).ok()?;
            Relative::plain(below.as_os_str().as_encoded_bytes()).ok()
        }
    }
}

fn answer(rendered: Rendered, media_type: String, head: &Head) -> Handed {
    let mut fields = Vec::with_capacity(4);
    let len = rendered.stamp.len;
    let (status, part) = match judge(head, &rendered.entity()) {
        Verdict::Full => (200, Some((0, len))),
        Verdict::Part(range) => {
            let place = format!("bytes {}-{}/{len}", range.first, range.last);
            fields.push(("Content-Range", place.into_bytes()));
            (206, Some((range.first, range.len())))
        }
        Verdict::NotModified => (304, None),
        Verdict::Failed => (412, None),
        Verdict::Unsatisfiable => {
            fields.push(("Content-Range", format!("bytes */{len}").into_bytes()));
            (416, None)
        }
    };
    if status < 400 {
        let entity = rendered.entity();
        fields.push(("Last-Modified", entity.last_modified.to_vec()));
        fields.push(("ETag", entity.etag.to_vec()));
        fields.push(("Accept-Ranges", b"bytes".to_vec()));
    }
    let part = match (part, rendered.source) {
        (Some((offset, len)), Source::File(file)) => {
            Arc::into_inner(file).map(|file| File { file: file.into_file(), offset, len })
        }
        _ => None,
    };
    Handed { status, fields, media_type, part }
}
