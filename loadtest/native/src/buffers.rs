//! A ring of buffers that the kernel takes one of whenever a connection has received something.

use std::alloc::{Layout, alloc_zeroed, handle_alloc_error};
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

const COUNT: u16 = 512;
const BYTES: u32 = 4096;

/// The group that receives name.
pub const GROUP: u16 = 1;

/// Registered memory lives as long as the program, so it is never given back.
pub struct Buffers {
    /// `COUNT` entries that the kernel reads.
    entries: *mut BufRingEntry,
    /// `COUNT * BYTES` bytes, the buffer `id` at `id * BYTES`.
    memory: &'static mut [u8],
    /// How many were handed out since the start.
    tail: u16,
}

impl Buffers {
    /// Makes the buffers and hands all of them to the kernel.
    #[expect(unsafe_code, reason = "the ring is memory that the kernel shares")]
    pub fn register(submitter: &Submitter<'_>) -> std::io::Result<Self> {
        let size = usize::from(COUNT) * size_of::<BufRingEntry>();
        let layout = Layout::from_size_align(size, 4096).expect("a page is a power of two");
        // SAFETY: the layout is not empty.
        let entries = unsafe { alloc_zeroed(layout) }.cast::<BufRingEntry>();
        if entries.is_null() {
            handle_alloc_error(layout);
        }
        // SAFETY: the entries are page-aligned, zeroed and live as long as the program.
        unsafe { submitter.register_buf_ring_with_flags(entries as u64, COUNT, GROUP, 0)? };
        let memory = vec![0; usize::from(COUNT) * BYTES as usize].leak();
        let mut buffers = Self { entries, memory, tail: 0 };
        for id in 0..COUNT {
            buffers.give_back(id);
        }
        Ok(buffers)
    }

    /// What the kernel has put into a buffer.
    pub fn received(&self, id: u16, length: usize) -> &[u8] {
        &self.memory[usize::from(id) * BYTES as usize..][..length]
    }

    /// Lets the kernel fill a buffer again.
    #[expect(unsafe_code, reason = "the ring is memory that the kernel shares")]
    pub fn give_back(&mut self, id: u16) {
        let address = &raw const self.memory[usize::from(id) * BYTES as usize];
        // SAFETY: the index is below COUNT, and the kernel reads no entry beyond the tail.
        let entry = unsafe { &mut *self.entries.add(usize::from(self.tail & (COUNT - 1))) };
        entry.set_addr(address as u64);
        entry.set_len(BYTES);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail is inside the registered memory; the kernel only reads it.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.entries).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}
