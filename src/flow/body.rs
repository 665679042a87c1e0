//! The fields of a request's body: JSON or a form, short, each name once.

use std::{collections::BTreeMap, fmt, pin::pin};

use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body::Body;
use http_body_util::BodyExt;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

use super::form;
use crate::{
    maybe_ready::BoxFuture,
    problem::{Reason, Rejection, RejectionKind},
    secret::Secret,
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

/// The fields of a body.
#[derive(Default)]
pub(super) struct Fields(BTreeMap<String, Field>);

/// A value. What has no use here is not kept.
pub(super) enum Field {
    Text(Secret),
    Flag(bool),
    Null,
    Other,
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
        Fields::parse(format, &self.text.await?)
    }

    /// The fields, none for an empty body, whatever its type is said to be: scripts like to send a content type
    /// without a body.
    pub(super) async fn fields_if_any(self) -> Result<Fields, Rejection> {
        let text = self.text.await?;
        if text.is_empty() {
            return Ok(Fields::default());
        }
        Fields::parse(self.format.ok_or_else(unsupported)?, &text)
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
        use bytes::Buf;
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
        let plain = |coding: &http::HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"identity");
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
}

// ===== impl Fields =====

impl Fields {
    fn parse(format: Format, text: &[u8]) -> Result<Self, Rejection> {
        let Pairs(pairs) = match format {
            Format::Json => serde_json::from_slice(text).map_err(|_may_quote_the_text| malformed())?,
            Format::Form => Pairs(form::parse(text).ok_or_else(malformed)?),
        };
        let mut fields = BTreeMap::new();
        for (name, value) in pairs {
            if fields.insert(name, value).is_some() {
                return Err(bad_request(Reason::DuplicateField));
            }
        }
        Ok(Self(fields))
    }

    /// A text; `None` if it is not there, or `null`.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<Secret>, Rejection> {
        match self.0.remove(name) {
            None | Some(Field::Null) => Ok(None),
            Some(Field::Text(text)) => Ok(Some(text)),
            Some(Field::Flag(_) | Field::Other) => Err(missing()),
        }
    }

    /// A text that must be there and say something.
    pub(super) fn required(&mut self, name: &str) -> Result<Secret, Rejection> {
        self.text(name)?.filter(|text| !text.expose().is_empty()).ok_or_else(missing)
    }

    /// Yes or no; forms, which have no other way, say it in words.
    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, Rejection> {
        match self.0.remove(name) {
            None | Some(Field::Null) => Ok(None),
            Some(Field::Flag(flag)) => Ok(Some(flag)),
            Some(Field::Text(text)) => match text.expose() {
                "true" | "on" | "1" => Ok(Some(true)),
                "false" | "off" | "0" | "" => Ok(Some(false)),
                _ => Err(missing()),
            },
            Some(Field::Other) => Err(missing()),
        }
    }
}

/// The members of a JSON object, duplicates included.
struct Pairs(Vec<(String, Field)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<Pairs, M::Error> {
                let mut pairs = Vec::new();
                while let Some(member) = members.next_entry()? {
                    pairs.push(member);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Field;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_str<E>(self, text: &str) -> Result<Field, E> {
                Ok(Field::Text(Secret::new(text)))
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Field, E> {
                Ok(Field::Flag(flag))
            }

            fn visit_unit<E>(self) -> Result<Field, E> {
                Ok(Field::Null)
            }

            fn visit_i64<E>(self, _number: i64) -> Result<Field, E> {
                Ok(Field::Other)
            }

            fn visit_u64<E>(self, _number: u64) -> Result<Field, E> {
                Ok(Field::Other)
            }

            fn visit_f64<E>(self, _number: f64) -> Result<Field, E> {
                Ok(Field::Other)
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<Field, S::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Field::Other)
            }

            fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<Field, M::Error> {
                while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Field::Other)
            }
        }

        deserializer.deserialize_any(Any)
    }
}

// ===== refusals =====

fn bad_request(reason: Reason) -> Rejection {
    Rejection::new(RejectionKind::InvalidRequest, reason)
}

fn malformed() -> Rejection {
    bad_request(Reason::MalformedBody)
}

/// A field that is needed is not there, or of no use.
pub(super) fn missing() -> Rejection {
    bad_request(Reason::MissingField)
}

fn unsupported() -> Rejection {
    Rejection::new(RejectionKind::UnsupportedMediaType, Reason::UnsupportedContent)
}
