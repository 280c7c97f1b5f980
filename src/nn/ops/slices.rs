//! From tensors to the flat slices that kernels read, and from their results back to tensors.

use candle_core::{CpuStorage, Device, Layout, Result, Shape, Storage, Tensor, bail};
use std::marker::PhantomData;
use std::ops::Deref;

/// The f32 values of a contiguous storage; an error that names the op otherwise.
pub(super) fn contiguous<'a>(op: &str, storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let CpuStorage::F32(values) = storage else { bail!("{op}: the kernel takes f32") };
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => bail!("{op}: the kernel takes contiguous tensors"),
    }
}

/// Calls `body` with the f32 values of a tensor on the CPU, made contiguous where it is not.
pub(super) fn with_values<R>(op: &str, tensor: &Tensor, body: impl FnOnce(&[f32]) -> Result<R>) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => body(contiguous(op, storage, layout)?),
        _ => bail!("{op}: the kernel runs on the CPU"),
    }
}

/// A tensor whose values are held for reading.
pub(super) struct Held<'a> {
    storage: Box<dyn Deref<Target = Storage> + 'a>,
    layout: &'a Layout,
}

impl<'a> Held<'a> {
    pub(super) fn new(tensor: &'a Tensor) -> Self {
        let (storage, layout) = tensor.storage_and_layout();
        Held { storage: Box::new(storage), layout }
    }

    /// Its f32 values; an error that names the op where it is elsewhere, of another type, or not contiguous.
    pub(super) fn values(&self, op: &str) -> Result<&[f32]> {
        match &**self.storage {
            Storage::Cpu(storage) => contiguous(op, storage, self.layout),
            _ => bail!("{op}: the kernel runs on the CPU"),
        }
    }
}

/// Calls `body` with the values of an f32 tensor, row after row; those of another device are copied first.
///
/// # Errors
/// Where it is no f32 tensor, or what copying says.
pub fn with_rows<R>(tensor: &Tensor, body: impl FnOnce(&[f32]) -> R) -> Result<R> {
    with_values("rows", &tensor.to_device(&Device::Cpu)?, |values| Ok(body(values)))
}

/// A tensor on the CPU that takes over `values`.
pub(super) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::from_vec(values, shape.into(), &Device::Cpu)
}

/// Rows that one task works on: fixed by the shape, so that no result depends on the thread count.
pub(super) fn rows_per_task(width: usize) -> usize {
    (16 * 1024 / width.max(1)).clamp(1, 1024)
}

/// A mutable slice that parallel tasks write at places they know to be disjoint.
pub(super) struct Scattered<'a> {
    start: *mut f32,
    length: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

// SAFETY: the pointer is only used through `range`, whose callers promise disjoint ranges.
unsafe impl Send for Scattered<'_> {}
// SAFETY: as above.
unsafe impl Sync for Scattered<'_> {}

impl<'a> Scattered<'a> {
    pub(super) fn new(values: &'a mut [f32]) -> Self {
        Scattered { start: values.as_mut_ptr(), length: values.len(), lifetime: PhantomData }
    }

    /// The `length` values from `start`.
    ///
    /// # Safety
    /// No two tasks may hold overlapping ranges at the same time.
    #[expect(clippy::mut_from_ref, reason = "disjoint parts of one exclusive borrow, as the caller promises")]
    pub(super) unsafe fn range(&self, start: usize, length: usize) -> &mut [f32] {
        assert!(start + length <= self.length, "a kernel's range lies outside its buffer");
        // SAFETY: inside the allocation by the assertion; disjoint by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), length) }
    }
}
