//! reqwest's body, read along.

use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::BodyExt;
use reqwest::Body;

use crate::outbound::{Rebox, Teed};

impl Rebox for Body {
    fn rebox(body: Teed<Self>) -> Self {
        Self::wrap(body)
    }

    /// A body of bytes: wrapped, it would be a stream, which reqwest itself does not repeat.
    fn twin(&mut self) -> Option<Self> {
        self.as_bytes()?;
        let bytes = chunk(self)?;
        *self = Self::from(bytes.clone());
        Some(Self::from(bytes))
    }
}

/// What a body in memory consists of: one chunk, which is there.
pub(super) fn chunk<B: http_body::Body<Data = Bytes> + Unpin>(body: &mut B) -> Option<Bytes> {
    body.frame().now_or_never()??.ok()?.into_data().ok()
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    #[test]
    fn r117_bytes_are_kept_as_a_second_handle_and_streams_are_not() {
        let bytes = Bytes::from(vec![7; 100]);
        let mut body = Body::from(bytes.clone());
        let twin = body.twin().unwrap();
        for body in [body, twin] {
            assert_eq!(body.as_bytes().unwrap().as_ptr(), bytes.as_ptr(), "the same memory");
            assert_eq!(body.as_bytes().unwrap(), bytes);
        }
        let mut stream = Body::wrap(Full::new(bytes));
        assert!(stream.twin().is_none());
        assert_eq!(stream.collect().now_or_never().unwrap().unwrap().to_bytes().len(), 100, "left alone");
    }
}
