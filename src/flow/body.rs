//! The body of a request: JSON or a form, and short.

use std::pin::pin;

use bytes::Buf;
use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body::Body;
use http_body_util::BodyExt;
use zeroize::Zeroizing;

use super::{
    fields::{self, Fields},
    form,
};
use crate::{
    maybe_ready::BoxFuture,
    problem::{Reason, Rejection, RejectionKind},
};

/// The longest body that is read.
pub(super) const BODY_MAX: usize = 16 * 1024;

type Text = Zeroizing<Vec<u8>>;

/// A body that was not read yet. Dropped, it never will be.
pub(super) struct Content {
    format: Option<Format>,
    text: BoxFuture<Result<Text, Rejection>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Form,
}

// ===== impl Content =====

impl Content {
    pub(super) fn new<B: Body<Data: Send> + Send + 'static>(headers: &HeaderMap, body: B) -> Self {
        let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        Self { format: Format::of(headers), text: Box::pin(read(body, announced)) }
    }

    /// The fields of a body that must be there.
    pub(super) async fn fields(self) -> Result<Fields, Rejection> {
        let format = self.format.ok_or_else(unsupported)?;
        format.read(&self.text.await?)
    }

    /// The fields, none for an empty body, whatever its type is said to be: scripts like to send a content type
    /// without a body.
    pub(super) async fn fields_if_any(self) -> Result<Fields, Rejection> {
        let text = self.text.await?;
        if text.is_empty() {
            return Ok(Fields::default());
        }
        self.format.ok_or_else(unsupported)?.read(&text)
    }
}

async fn read<B: Body>(body: B, announced: Option<u64>) -> Result<Text, Rejection> {
    let too_large = || Rejection::new(RejectionKind::ContentTooLarge, Reason::TooLong);
    let max = BODY_MAX as u64;
    let least = announced.unwrap_or(0).max(body.size_hint().lower());
    if least > max {
        return Err(too_large());
    }
    // All the room at once: a text that grows would leave its password behind wherever it was before.
    let room = body.size_hint().exact().map_or(BODY_MAX, |exact| usize::try_from(exact).unwrap_or(BODY_MAX));
    let mut text = Zeroizing::new(Vec::with_capacity(room.min(BODY_MAX)));
    let mut body = pin!(body);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Err(malformed()) };
        // Trailers are no part of the content.
        let Ok(mut data) = frame.into_data() else { continue };
        while data.has_remaining() {
            let chunk = data.chunk();
            if chunk.len() > BODY_MAX - text.len() {
                return Err(too_large());
            }
            text.extend_from_slice(chunk);
            let length = chunk.len();
            data.advance(length);
        }
    }
    Ok(text)
}

// ===== impl Format =====

impl Format {
    /// `None` for everything that is not read: other types, compressed bodies, and two types at once.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let plain = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"identity");
        if !headers.get_all(CONTENT_ENCODING).iter().all(plain) {
            return None;
        }
        let mut types = headers.get_all(CONTENT_TYPE).iter();
        let (Some(content_type), None) = (types.next(), types.next()) else { return None };
        // Parameters change nothing: JSON has no charset (RFC 8259 §11), and neither has a form of the web.
        let essence = content_type.as_bytes().split(|byte| *byte == b';').next()?.trim_ascii();
        if essence.eq_ignore_ascii_case(b"application/json") {
            Some(Self::Json)
        } else if essence.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
            Some(Self::Form)
        } else {
            None
        }
    }

    fn read(self, text: &[u8]) -> Result<Fields, Rejection> {
        let pairs = match self {
            Self::Json => fields::members(text),
            Self::Form => form::parse(text),
        };
        Fields::of(pairs.ok_or_else(malformed)?)
    }
}

// ===== refusals =====

pub(super) fn bad_request(reason: Reason) -> Rejection {
    Rejection::new(RejectionKind::InvalidRequest, reason)
}

pub(super) fn malformed() -> Rejection {
    bad_request(Reason::MalformedBody)
}

/// A field that is needed is not there, or of no use.
pub(super) fn missing() -> Rejection {
    bad_request(Reason::MissingField)
}

fn unsupported() -> Rejection {
    Rejection::new(RejectionKind::UnsupportedMediaType, Reason::UnsupportedContent)
}
