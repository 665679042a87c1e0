//! The fields of a body, each name once.

use std::{collections::BTreeMap, fmt};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::body::{bad_request, missing};
use crate::{
    problem::{Reason, Rejection},
    secret::Secret,
};

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

// ===== impl Fields =====

impl Fields {
    pub(super) fn of(pairs: Vec<(String, Field)>) -> Result<Self, Rejection> {
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

// ===== JSON =====

/// The members of a JSON object, duplicates included; `None` if the text is none.
pub(super) fn members(text: &[u8]) -> Option<Vec<(String, Field)>> {
    serde_json::from_slice(text).ok().map(|Pairs(pairs)| pairs)
}

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
