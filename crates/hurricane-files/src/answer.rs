//! The answer to a request for a file that is there: its head in bytes, and which bytes follow.

use std::sync::Arc;

use bytes::Bytes;
use hurricane_http::{Head, HttpDate, RequestFacts, end_head};

use crate::asset::{Asset, Rendered};
use crate::coding::{Coding, Codings};
use crate::condition::{Verdict, judge};
use crate::freshness::{add_versioned, names_version};
use crate::opened::Opened;
use crate::range::ByteRange;
use crate::search::Source;

/// What follows the head.
#[derive(Clone, Debug)]
pub enum Content {
    /// Nothing.
    None,
    /// These bytes.
    Memory(Bytes),
    /// So many bytes of a file.
    File {
        /// Which.
        file: Arc<Opened>,
        /// First byte.
        offset: u64,
        /// Number of bytes.
        len: u64,
    },
}

/// An answer whose head has been encoded.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status code.
    pub status: u16,
    /// Its body.
    pub content: Content,
}

impl Asset {
    /// Appends the head that answers a GET or HEAD to `out`; returns what follows it.
    pub fn answer(
        &self,
        head: &Head,
        facts: RequestFacts<'_>,
        date: &HttpDate,
        out: &mut Vec<u8>,
    ) -> Answer {
        let chosen = self.choose(head);
        let verdict = judge(head, &chosen.entity());
        let (status, content) = match verdict {
            Verdict::Full => {
                out.extend_from_slice(&chosen.full);
                (200, chosen.part(0, chosen.stamp.len))
            }
            Verdict::Part(range) => {
                chosen.begin_part(range, out);
                (206, chosen.part(range.first, range.len()))
            }
            Verdict::NotModified => {
                out.extend_from_slice(b"HTTP/1.1 304 Not Modified\r\n");
                out.extend_from_slice(&chosen.validators);
                (304, Content::None)
            }
            Verdict::Failed => {
                out.extend_from_slice(b"HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n");
                (412, Content::None)
            }
            Verdict::Unsatisfiable => {
                out.extend_from_slice(
                    b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */",
                );
                out.extend_from_slice(itoa::Buffer::new().format(chosen.stamp.len).as_bytes());
                out.extend_from_slice(b"\r\nContent-Length: 0\r\n");
                (416, Content::None)
            }
        };
        if status < 400 {
            if names_version(head.query()) {
                add_versioned(out, date);
            } else {
                out.extend_from_slice(&self.freshness);
            }
        }
        end_head(out, facts, date);
        Answer { status, content: if facts.is_head { Content::None } else { content } }
    }

    /// The representation that the peer likes best.
    fn choose(&self, head: &Head) -> &Rendered {
        let original = &self.rendered[0];
        if self.rendered.len() == 1 {
            return original;
        }
        let mut codings = Codings::default();
        for (name, value) in head.fields() {
            if name.len() == 15 && name.eq_ignore_ascii_case(b"accept-encoding") {
                codings.add(value);
            }
        }
        let available = self.rendered.iter().map(|rendered| rendered.coding);
        let chosen = codings.choose(available);
        let is_chosen = |rendered: &&Rendered| rendered.coding == chosen;
        if chosen == Coding::Identity {
            return original;
        }
        self.rendered.iter().find(is_chosen).unwrap_or(original)
    }
}

impl Rendered {
    fn begin_part(&self, range: ByteRange, out: &mut Vec<u8>) {
        let mut number = itoa::Buffer::new();
        out.extend_from_slice(b"HTTP/1.1 206 Partial Content\r\n");
        out.extend_from_slice(&self.description);
        out.extend_from_slice(&self.validators);
        out.extend_from_slice(b"Content-Range: bytes ");
        out.extend_from_slice(number.format(range.first).as_bytes());
        out.push(b'-');
        out.extend_from_slice(number.format(range.last).as_bytes());
        out.push(b'/');
        out.extend_from_slice(number.format(self.stamp.len).as_bytes());
        out.extend_from_slice(b"\r\nContent-Length: ");
        out.extend_from_slice(number.format(range.len()).as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// `offset + len` is not above the length.
    fn part(&self, offset: u64, len: u64) -> Content {
        match &self.source {
            Source::Memory(bytes) => {
                // A length in memory fits.
                let (first, end) = (offset as usize, (offset + len) as usize);
                Content::Memory(bytes.slice(first..end))
            }
            Source::File(file) => Content::File { file: Arc::clone(file), offset, len },
        }
    }
}
