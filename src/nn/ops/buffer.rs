//! Memory that is kept from step to step: f32 values on huge pages where the system has them.
//!
//! The first touch of a page costs more than the arithmetic done on it. What a training step needs is mapped once,
//! asked to be huge pages, and used again by the next step.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// Size of a huge page; a mapping starts and ends at multiples of it.
const HUGE: usize = 2 << 20;
/// Bytes below which a mapping of its own is not worth it.
const LEAST: usize = HUGE / 2;

/// f32 values that start as zeros.
pub(crate) struct Buffer {
    memory: Memory,
    length: usize,
}

enum Memory {
    Heap(Vec<f32>),
    Mapped(Mapping),
}

/// A private anonymous mapping, `bytes` long from a huge page's start.
struct Mapping {
    start: NonNull<f32>,
    bytes: usize,
}

// SAFETY: the mapping is owned alone, as a Vec's memory is.
unsafe impl Send for Mapping {}
// SAFETY: shared access only reads.
unsafe impl Sync for Mapping {}

impl Buffer {
    /// `length` zeros.
    pub(crate) fn zeros(length: usize) -> Self {
        let bytes = length * size_of::<f32>();
        let mapped = if bytes >= LEAST { Mapping::new(bytes) } else { None };
        let memory = mapped.map_or_else(|| Memory::Heap(vec![0.0; length]), Memory::Mapped);
        Buffer { memory, length }
    }

    /// A copy of `values`.
    pub(crate) fn copy_of(values: &[f32]) -> Self {
        let mut copy = Buffer::zeros(values.len());
        copy.copy_from_slice(values);
        copy
    }

    /// At least `length` values, whatever stands in them; what was there is lost where the buffer has to grow.
    pub(crate) fn at_least(&mut self, length: usize) -> &mut [f32] {
        if self.length < length {
            // The old memory goes first: both at once would raise the peak.
            *self = Buffer::default();
            *self = Buffer::zeros(length);
        }
        &mut self[..length]
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Buffer { memory: Memory::Heap(Vec::new()), length: 0 }
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        Buffer::copy_of(self)
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer of {} values", self.length)
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &self.memory {
            Memory::Heap(values) => values,
            // SAFETY: the mapping holds at least `length` values, zeros at first, and lives as long as `self`.
            Memory::Mapped(mapping) => unsafe { std::slice::from_raw_parts(mapping.start.as_ptr(), self.length) },
        }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        match &mut self.memory {
            Memory::Heap(values) => values,
            // SAFETY: as above, and `self` is borrowed alone.
            Memory::Mapped(mapping) => unsafe { std::slice::from_raw_parts_mut(mapping.start.as_ptr(), self.length) },
        }
    }
}

impl Mapping {
    /// None where the system gives no mapping: the heap serves then.
    fn new(bytes: usize) -> Option<Self> {
        let bytes = bytes.checked_next_multiple_of(HUGE)?;
        let (flags, access) = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, libc::PROT_READ | libc::PROT_WRITE);
        // SAFETY: a fresh anonymous mapping anywhere touches no memory of others.
        let found = unsafe { libc::mmap(std::ptr::null_mut(), bytes + HUGE, access, flags, -1, 0) };
        if found == libc::MAP_FAILED {
            return None;
        }
        let before = found.addr().next_multiple_of(HUGE) - found.addr();
        // SAFETY: both ends lie inside the mapping just made and are whole pages; nothing points into them. The advice
        // changes no content, and a system without huge pages ignores it.
        let start = unsafe {
            let start = found.byte_add(before);
            if before > 0 {
                libc::munmap(found, before);
            }
            if before < HUGE {
                libc::munmap(start.byte_add(bytes), HUGE - before);
            }
            #[cfg(target_os = "linux")]
            libc::madvise(start, bytes, libc::MADV_HUGEPAGE);
            start
        };
        Some(Mapping { start: NonNull::new(start.cast())?, bytes })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: made by `new` with this size, and nothing borrows it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_as_zeros_keeps_what_is_written_and_grows() {
        for length in [0, 1, 1_000, 700_000] {
            let mut buffer = Buffer::zeros(length);
            assert!(buffer.len() == length && buffer.iter().all(|&value| value == 0.0));
            buffer.iter_mut().enumerate().for_each(|(at, value)| *value = at as f32);
            let copy = buffer.clone();
            assert_eq!(copy[..], buffer[..]);
            assert_eq!(buffer.at_least(length / 2).len(), length / 2);
            assert_eq!(buffer.at_least(length + 600_000).len(), length + 600_000);
        }
    }

    #[test]
    fn a_large_buffer_starts_at_a_huge_page() {
        let buffer = Buffer::zeros(HUGE);
        assert!(matches!(buffer.memory, Memory::Mapped(_)));
        assert!(buffer.as_ptr().addr().is_multiple_of(HUGE));
    }
}
