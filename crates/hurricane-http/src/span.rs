//! Places in a head: where each part of it begins and ends.

/// Where something stands in a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// `start..end`. A head is never longer than `u32::MAX` bytes; see [`HeadParser`].
    pub(crate) fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end && u32::try_from(end).is_ok());
        Self { start: start as u32, end: end as u32 }
    }

    /// Where `part`, which borrows from `head`, stands in it.
    #[inline]
    pub(crate) fn within(head: &[u8], part: &[u8]) -> Self {
        let start = part.as_ptr().addr() - head.as_ptr().addr();
        Self::new(start, start + part.len())
    }

    /// The first byte's offset.
    #[inline]
    pub(crate) fn start(self) -> usize {
        self.start as usize
    }

    /// The bytes of `head` that it spans.
    #[inline]
    pub(crate) fn of(self, head: &[u8]) -> &[u8] {
        &head[self.start as usize..self.end as usize]
    }
}

/// Where a field stands in a head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldSpan {
    /// A token, so ASCII.
    pub(crate) name: Span,
    /// Trimmed.
    pub(crate) value: Span,
}
