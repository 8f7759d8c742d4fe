//! Asking for a cache line before it is needed. At 100,000 queues a pick waits for memory, not for
//! arithmetic: node, family and heap of a tenant are each cold, and each is found through the other.

/// Starts to load the line at which a value begins.
#[inline]
pub(super) fn prefetch<T>(value: Option<&T>) {
    #[cfg(target_arch = "x86_64")]
    if let Some(value) = value {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch has no effect but on the cache, and the reference is valid.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}
