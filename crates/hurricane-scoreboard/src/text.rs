//! Text in shared memory: written by one process at a time, read by others without waiting.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use crate::sequence::Sequence;

/// At most `N` bytes of text, guarded by a [`Sequence`] beside them.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Text<const N: usize> {
    len: AtomicU32,
    bytes: [AtomicU8; N],
}

impl<const N: usize> Text<N> {
    /// What is longer is cut at a character.
    pub(crate) fn store(&self, text: &str) {
        let len = text.floor_char_boundary(N);
        for (cell, byte) in self.bytes.iter().zip(&text.as_bytes()[..len]) {
            cell.store(*byte, Ordering::Relaxed);
        }
        self.len.store(u32::try_from(len).unwrap_or(0), Ordering::Relaxed);
    }

    pub(crate) fn load(&self) -> String {
        let len = (self.len.load(Ordering::Relaxed) as usize).min(N);
        let bytes: Vec<u8> =
            self.bytes[..len].iter().map(|cell| cell.load(Ordering::Relaxed)).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A text of at most `N` bytes, empty at first.
#[derive(Debug)]
#[repr(C)]
pub struct TextCell<const N: usize> {
    sequence: Sequence,
    text: Text<N>,
}

impl<const N: usize> Default for TextCell<N> {
    fn default() -> Self {
        let bytes = [const { AtomicU8::new(0) }; N];
        Self { sequence: Sequence::default(), text: Text { len: AtomicU32::new(0), bytes } }
    }
}

impl<const N: usize> TextCell<N> {
    /// Replaces the text; what is longer is cut at a character.
    pub fn set(&self, text: &str) {
        self.sequence.write(|| self.text.store(text));
    }

    /// The whole text; empty when there is none, or a writer was killed inside.
    pub fn get(&self) -> String {
        self.sequence.read(|| self.text.load()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use crate::Scoreboard;

    #[test]
    fn a_text_is_read_as_written_and_cut_at_a_character() {
        let board = Scoreboard::new(1).unwrap();
        let cell = board.server().awaited();
        assert_eq!(cell.get(), "");
        cell.set(&"ä".repeat(400));
        assert_eq!(cell.get(), "ä".repeat(256));
        cell.set("short");
        assert_eq!(cell.get(), "short");
    }

    #[test]
    fn a_writer_killed_half_way_blocks_nobody() {
        let board = Scoreboard::new(1).unwrap();
        let cell = board.server().awaited();
        cell.set("half");
        cell.sequence.begin();
        assert_eq!(cell.get(), "");
        cell.set("whole");
        assert_eq!(cell.get(), "whole");
    }
}
