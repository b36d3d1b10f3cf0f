//! Models of the scoreboard's sequence numbers: one who writes, one who reads.

use loom::model::Builder;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering, fence};
use loom::thread;

use crate::sequence::Sequence;

/// What is guarded: a writer makes both the same.
#[derive(Default)]
struct Cell {
    sequence: Sequence,
    halves: [AtomicU32; 2],
}

impl Cell {
    fn write(&self, value: u32) {
        self.sequence.write(|| self.store(value));
    }

    fn store(&self, value: u32) {
        self.halves.iter().for_each(|half| half.store(value, Ordering::Relaxed));
    }

    fn load(&self) -> [u32; 2] {
        [&self.halves[0], &self.halves[1]].map(|half| half.load(Ordering::Relaxed))
    }

    fn read(&self) -> Option<[u32; 2]> {
        self.sequence.read(|| self.load())
    }
}

/// A reader beside a writer gets what was there before a write or after it, or nothing.
pub fn a_reader_gets_one_writers_words() {
    let mut model = Builder::new();
    // Without a bound it takes a minute, and has shown the same.
    model.preemption_bound = Some(3);
    model.check(|| {
        let cell = Arc::new(Cell::default());
        let writer = Arc::clone(&cell);
        let writing = thread::spawn(move || {
            writer.write(1);
            writer.write(2);
        });
        if let Some([first, second]) = cell.read() {
            assert_eq!(first, second);
        }
        assert!(writing.join().is_ok());
        assert_eq!(cell.read(), Some([2, 2]));
    });
}

/// A process that was killed inside a write is followed by another, which others may read beside.
pub fn a_successor_goes_on_from_a_killed_writer() {
    loom::model(|| {
        let cell = Arc::new(Cell::default());
        cell.write(1);
        // The killed one got as far as the first half.
        cell.sequence.begin();
        cell.halves[0].store(7, Ordering::Relaxed);
        assert_eq!(cell.read(), None);
        let successor = Arc::clone(&cell);
        let writing = thread::spawn(move || successor.write(2));
        if let Some(read) = cell.read() {
            assert_eq!(read, [2, 2]);
        }
        assert!(writing.join().is_ok());
        assert_eq!(cell.read(), Some([2, 2]));
    });
}

/// The same without the fences: must fail, or the models above would show nothing.
pub fn a_sequence_without_fences_tears() {
    loom::model(|| {
        let cell = Arc::new((AtomicU32::new(0), Cell::default()));
        let writer = Arc::clone(&cell);
        let writing = thread::spawn(move || {
            writer.0.store(1, Ordering::Relaxed);
            writer.1.store(1);
            writer.0.store(2, Ordering::Relaxed);
        });
        let before = cell.0.load(Ordering::Relaxed);
        let [first, second] = cell.1.load();
        if before % 2 == 0 && cell.0.load(Ordering::Relaxed) == before {
            assert_eq!(first, second, "torn");
        }
        assert!(writing.join().is_ok());
        fence(Ordering::SeqCst);
    });
}
