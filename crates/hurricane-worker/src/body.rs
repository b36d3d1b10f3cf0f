//! A request's body, received before the application is called: in memory while it is short, in
//! an unlinked temporary file beyond.
//!
//! A thread of the application is never held by a slow upload, and a body of any allowed size
//! costs the worker no more memory than `body_memory_bytes_max`.

use std::io;

use hurricane_http::{Body, Limits};
use monoio::fs;

/// Collects the decoded bytes of one body.
pub(crate) struct Spool {
    memory: Vec<u8>,
    file: Option<SpoolFile>,
}

struct SpoolFile {
    /// For the loop: written through the ring where there is one.
    writer: fs::File,
    /// For the application.
    reader: std::fs::File,
    len: u64,
}

impl Spool {
    pub(crate) fn new() -> Self {
        Self { memory: Vec::new(), file: None }
    }

    /// Where the decoder puts its next bytes.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.memory
    }

    /// Moves the buffer to the file when it has become too long, or whenever there is one.
    ///
    /// # Errors
    /// When no temporary file can be made or written: no writable TMPDIR, disk full.
    pub(crate) async fn settle(&mut self, limits: &Limits) -> io::Result<()> {
        if self.memory.len() <= limits.body_memory_bytes_max && self.file.is_none() {
            return Ok(());
        }
        if self.file.is_none() {
            let reader = tempfile::tempfile()?;
            let writer = fs::File::from_std(reader.try_clone()?)?;
            self.file = Some(SpoolFile { writer, reader, len: 0 });
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let bytes = std::mem::take(&mut self.memory);
        let (result, mut bytes) = file.writer.write_all_at(bytes, file.len).await;
        result?;
        file.len += bytes.len() as u64;
        bytes.clear();
        self.memory = bytes;
        Ok(())
    }

    /// The body, when all of it has been received and settled.
    pub(crate) fn finish(self) -> Body {
        match self.file {
            Some(file) => Body::File { file: file.reader, len: file.len },
            None if self.memory.is_empty() => Body::Empty,
            None => Body::Memory(self.memory),
        }
    }
}
