//! A request's body, received before the application is called: in memory while it is short, in
//! an unlinked temporary file beyond.
//!
//! A thread of the application is never held by a slow upload, and a body of any allowed size
//! costs the worker no more memory than `body_memory_bytes_max`, and none where the requests of the
//! worker have taken what they may have together.

use std::io;

use hurricane_http::{Body, Limits};
use monoio::fs;

use crate::connection::Ending;
use crate::memory::Taken;

/// Collects the decoded bytes of one body.
pub(crate) struct Spool {
    memory: Vec<u8>,
    taken: Taken,
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
    pub(crate) fn new(taken: Taken) -> Self {
        Self { memory: Vec::new(), taken, file: None }
    }

    /// Where the decoder puts its next bytes.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.memory
    }

    /// Moves the buffer to the file when it has become too long or no memory is left, or whenever
    /// there is one.
    ///
    /// # Errors
    /// When no temporary file can be made or written: no writable TMPDIR, disk full.
    pub(crate) async fn settle(&mut self, limits: &Limits) -> Result<(), Ending> {
        let is_short = self.file.is_none() && self.memory.len() <= limits.body_memory_bytes_max;
        if is_short && self.taken.grow_to(self.memory.capacity()) {
            return Ok(());
        }
        let moved = self.move_to_file().await;
        // A short one needs no file but for lack of memory.
        moved.map_err(|error| if is_short { Ending::NoMemory } else { Ending::NoSpace(error) })
    }

    async fn move_to_file(&mut self) -> io::Result<()> {
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
        // As long as a read at most.
        self.taken.set(bytes.capacity());
        self.memory = bytes;
        Ok(())
    }

    /// The body, when all of it has been received and settled, and the memory that it takes until
    /// it is dropped.
    pub(crate) fn finish(self) -> (Body, Option<Taken>) {
        match self.file {
            Some(file) => (Body::File { file: file.reader, len: file.len }, None),
            None if self.memory.is_empty() => (Body::Empty, None),
            None => (Body::Memory(self.memory), Some(self.taken)),
        }
    }
}
