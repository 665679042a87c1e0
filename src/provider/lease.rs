//! A token that is ready to be sent.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use http::{HeaderMap, HeaderName, HeaderValue};

/// A token, as the finished value of the header that carries it.
///
/// The value is a copy of the token that cannot be wiped from memory when it is dropped: header values of `http` are
/// shared with every request that they were put into. It is marked sensitive, which keeps it out of `Debug`.
pub struct Lease {
    value: HeaderValue,
    generation: u64,
    fixed: bool,
    accepted: AtomicBool,
    rejected: AtomicBool,
    /// What a composite has put together; empty for a lease of its own.
    parts: Box<[Part]>,
}

/// One member's lease in a composite.
pub(super) struct Part {
    /// The member's place in the composite.
    pub(super) member: usize,
    pub(super) header: HeaderName,
    pub(super) lease: Arc<Lease>,
}

// ===== impl Lease =====

impl Lease {
    /// A header value with a token of this generation; it is marked sensitive.
    pub fn new(value: HeaderValue, generation: u64) -> Self {
        Self::of(value, generation, false)
    }

    /// A header value that nothing newer will ever replace; it is marked sensitive. A request with it is never
    /// repeated, so nothing is kept of it.
    pub fn fixed(value: HeaderValue) -> Self {
        Self::of(value, 0, true)
    }

    /// What a composite sends. There is at least one part.
    pub(super) fn joined(parts: Box<[Part]>, generation: u64) -> Self {
        let value = parts.first().map_or(HeaderValue::from_static(""), |part| part.lease.value.clone());
        let fixed = parts.iter().all(|part| part.lease.fixed);
        Self { parts, ..Self::of(value, generation, fixed) }
    }

    fn of(mut value: HeaderValue, generation: u64, fixed: bool) -> Self {
        value.set_sensitive(true);
        Self {
            value,
            generation,
            fixed,
            accepted: AtomicBool::new(false),
            rejected: AtomicBool::new(false),
            parts: Box::default(),
        }
    }

    /// The header's value: a secret, marked sensitive. Of several headers, the first one's.
    pub fn value(&self) -> &HeaderValue {
        &self.value
    }

    /// Rises with every token.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether nothing newer will ever replace it.
    pub fn is_fixed(&self) -> bool {
        self.fixed
    }

    /// Whether a request with it was answered with success.
    pub fn was_accepted(&self) -> bool {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Whether an answer has rejected it.
    pub fn was_rejected(&self) -> bool {
        self.rejected.load(Ordering::Relaxed)
    }

    pub(crate) fn mark_accepted(&self) {
        mark(&self.accepted);
        self.parts.iter().for_each(|part| part.lease.mark_accepted());
    }

    pub(crate) fn mark_rejected(&self) {
        mark(&self.rejected);
        self.parts.iter().for_each(|part| part.lease.mark_rejected());
    }

    /// Puts it into the headers of a request. `own` is the header of a lease that no composite has made.
    pub(crate) fn attach(&self, own: &HeaderName, headers: &mut HeaderMap) {
        if self.parts.is_empty() {
            headers.insert(own, self.value.clone());
        }
        self.parts.iter().for_each(|part| part.lease.attach(&part.header, headers));
    }

    /// Whether both put the same into a request. It is asked of leases of one provider.
    pub(crate) fn has_text_of(&self, other: &Self) -> bool {
        let same = |(one, two): (&Part, &Part)| one.header == two.header && one.lease.has_text_of(&two.lease);
        self.value == other.value
            && self.parts.len() == other.parts.len()
            && self.parts.iter().zip(&other.parts).all(same)
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }
}

/// Only the first one writes, so that threads do not fight over the cache line.
fn mark(flag: &AtomicBool) {
    if !flag.load(Ordering::Relaxed) {
        flag.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("generation", &self.generation).finish_non_exhaustive()
    }
}
