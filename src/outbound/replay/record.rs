//! What has been read of a body so far, within a limit.

use std::mem;

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;

/// The beginning of a body, or all of it: a copy, so that it holds as much memory as it has bytes, whatever buffers
/// the chunks were parts of.
pub(super) struct Record {
    limit: usize,
    /// With the trailers.
    length: usize,
    data: Vec<u8>,
    trailers: Option<HeaderMap>,
}

/// What a record held, to be sent.
pub(super) struct Recorded {
    data: Bytes,
    pub(super) trailers: Option<HeaderMap>,
    /// The body had declared its length. Only then may the repeat declare one: with a length, HTTP/1 has no room
    /// for trailers.
    pub(super) exact: bool,
}

// ===== impl Record =====

impl Record {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, length: 0, data: Vec::new(), trailers: None }
    }

    /// Returns whether the frame has found room.
    pub(super) fn frame(&mut self, frame: &Frame<Bytes>) -> bool {
        match (frame.data_ref(), frame.trailers_ref()) {
            (Some(chunk), _) => self.data(chunk),
            (None, Some(trailers)) => self.trailers(trailers),
            // A kind that does not exist yet: it cannot be repeated.
            (None, None) => false,
        }
    }

    fn data(&mut self, chunk: &Bytes) -> bool {
        let fits = self.grow(chunk.len());
        if fits {
            self.reserve(chunk.len());
            self.data.extend_from_slice(chunk);
        }
        fits
    }

    /// Doubles as vectors do, and never beyond the limit.
    fn reserve(&mut self, more: usize) {
        let (length, capacity) = (self.data.len(), self.data.capacity());
        if length + more > capacity {
            let wanted = (length + more).max(capacity.saturating_mul(2)).min(self.limit);
            self.data.reserve_exact(wanted - length);
        }
    }

    fn trailers(&mut self, trailers: &HeaderMap) -> bool {
        let length = trailers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        let fits = self.grow(length);
        self.trailers = fits.then(|| trailers.clone());
        fits
    }

    pub(super) fn finish(self, exact: bool) -> Recorded {
        Recorded { data: self.data.into(), trailers: self.trailers, exact }
    }

    fn grow(&mut self, length: usize) -> bool {
        self.length = self.length.saturating_add(length);
        self.length <= self.limit
    }
}

// ===== impl Recorded =====

impl Recorded {
    pub(super) fn is_empty(&self) -> bool {
        self.data.is_empty() && self.trailers.is_none()
    }

    /// The bytes that were not taken yet.
    pub(super) fn length(&self) -> u64 {
        self.data.len() as u64
    }

    /// Takes the data.
    pub(super) fn next_chunk(&mut self) -> Option<Bytes> {
        if self.data.is_empty() { None } else { Some(mem::take(&mut self.data)) }
    }
}
