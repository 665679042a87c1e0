//! What has been read of a body so far, within a limit.

use std::vec;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;

/// Shorter chunks are copied together: a handle for each of them could take more memory than the chunks, and
/// would keep the buffer alive that they are a small part of.
const SMALL: usize = 1024;

/// The beginning of a body, or all of it.
pub(super) struct Record {
    limit: usize,
    length: usize,
    chunks: Vec<Bytes>,
    tail: BytesMut,
    trailers: Option<HeaderMap>,
}

/// What a record held, to be sent.
pub(super) struct Recorded {
    chunks: vec::IntoIter<Bytes>,
    /// The bytes in `chunks`.
    pub(super) length: u64,
    pub(super) trailers: Option<HeaderMap>,
    /// The body had declared its length. Only then may the repeat declare one: with a length, HTTP/1 has no room
    /// for trailers.
    pub(super) exact: bool,
}

// ===== impl Record =====

impl Record {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, length: 0, chunks: Vec::new(), tail: BytesMut::new(), trailers: None }
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
        if !self.grow(chunk.len()) {
            return false;
        }
        if chunk.len() < SMALL {
            self.tail.extend_from_slice(chunk);
        } else {
            self.close_tail();
            self.chunks.push(chunk.clone());
        }
        true
    }

    fn trailers(&mut self, trailers: &HeaderMap) -> bool {
        let length = trailers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        let fits = self.grow(length);
        self.trailers = fits.then(|| trailers.clone());
        fits
    }

    pub(super) fn finish(mut self, exact: bool) -> Recorded {
        self.close_tail();
        let length = self.chunks.iter().map(|chunk| chunk.len() as u64).sum();
        Recorded { chunks: self.chunks.into_iter(), length, trailers: self.trailers, exact }
    }

    fn grow(&mut self, length: usize) -> bool {
        self.length = self.length.saturating_add(length);
        self.length <= self.limit
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push(self.tail.split().freeze());
        }
    }
}

// ===== impl Recorded =====

impl Recorded {
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.as_slice().is_empty() && self.trailers.is_none()
    }

    pub(super) fn next_chunk(&mut self) -> Option<Bytes> {
        let chunk = self.chunks.next()?;
        self.length -= chunk.len() as u64;
        Some(chunk)
    }
}
