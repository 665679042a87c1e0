//! The fields of a hash, and what is read from them.

use std::{str::FromStr, sync::Arc};

use redis::{ScriptInvocation, Value};

use crate::{
    clock::Timestamp,
    event::RevokeReason,
    identity::{Issuer, Subject},
    scope::Scope,
    store::{Context, Digest, Revocation, StoreError},
};

/// The longest number.
const DIGITS_MAX: usize = 20;

/// A hash as it was read: names and values, in any order.
pub(super) struct Fields(Vec<(Vec<u8>, Vec<u8>)>);

impl Fields {
    /// Of names and values, one after the other, or in pairs as RESP3 has them.
    pub(super) fn of(value: Value) -> Result<Self, StoreError> {
        let mut fields = Vec::new();
        let mut push = |pair| match pair {
            (Value::BulkString(name), Value::BulkString(value)) => {
                fields.push((name, value));
                Ok(())
            }
            _ => Err(StoreError::damaged("fields")),
        };
        match value {
            Value::Map(pairs) => pairs.into_iter().try_for_each(push)?,
            values => {
                let mut values = list(values)?.into_iter();
                while let (Some(name), Some(value)) = (values.next(), values.next()) {
                    push((name, value))?;
                }
            }
        }
        Ok(Self(fields))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Vec<u8>> {
        let place = self.0.iter().position(|(field, _)| field == name.as_bytes())?;
        Some(self.0.swap_remove(place).1)
    }

    pub(super) fn need(&mut self, name: &'static str) -> Result<Vec<u8>, StoreError> {
        self.take(name).ok_or_else(|| StoreError::damaged(name))
    }

    pub(super) fn number<T: FromStr>(&mut self, name: &'static str) -> Result<T, StoreError> {
        let value = self.need(name)?;
        number(&value).ok_or_else(|| StoreError::damaged(name))
    }

    pub(super) fn moment(&mut self, name: &'static str) -> Result<Timestamp, StoreError> {
        self.number(name).map(Timestamp::from_millis)
    }

    /// A number of 64 bits without sign, kept as one with.
    pub(super) fn wide(&mut self, name: &'static str) -> Result<u64, StoreError> {
        self.number(name).map(i64::cast_unsigned)
    }

    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, StoreError> {
        self.take(name).map(|value| utf8(value, name)).transpose()
    }

    pub(super) fn shared_text(&mut self, name: &'static str) -> Result<Option<Arc<str>>, StoreError> {
        Ok(self.text(name)?.map(Into::into))
    }

    pub(super) fn digest(&mut self, name: &'static str) -> Result<Option<Digest>, StoreError> {
        self.take(name)
            .map(|value| Digest::from_bytes(&value).ok_or_else(|| StoreError::damaged(name)))
            .transpose()
    }

    pub(super) fn subject(&mut self) -> Result<Arc<Subject>, StoreError> {
        let issuer = utf8(self.need("i")?, "i")?;
        let issuer = Issuer::from_name(&issuer).ok_or_else(|| StoreError::damaged("i"))?;
        Ok(Arc::new(Subject::new(issuer, utf8(self.need("u")?, "u")?)))
    }

    pub(super) fn scope(&mut self) -> Result<Option<Arc<Scope>>, StoreError> {
        let Some(text) = self.text("sc")? else {
            return Ok(None);
        };
        // A list of no words is written as no text.
        let scope = if text.is_empty() { Ok(Scope::default()) } else { Scope::parse(&text) };
        scope.map(|scope| Some(Arc::new(scope))).map_err(|_says_nothing_more| StoreError::damaged("sc"))
    }

    pub(super) fn context(&mut self) -> Result<Context, StoreError> {
        let text = self.text("cx")?;
        text.map_or_else(|| Ok(Context::default()), |text| Context::from_json(&text))
            .map_err(|_says_nothing_more| StoreError::damaged("cx"))
    }

    pub(super) fn revocation(&mut self) -> Result<Option<Revocation>, StoreError> {
        let Some(at) = self.take("wa") else {
            return Ok(None);
        };
        let at = number(&at).map(Timestamp::from_millis).ok_or_else(|| StoreError::damaged("wa"))?;
        let reason = self.text("wr")?.map_or(RevokeReason::Other, |name| RevokeReason::from_name(&name));
        Ok(Some(Revocation::new(at, reason)))
    }
}

/// A field that is there, of the arguments of a step.
pub(super) fn put(step: &mut ScriptInvocation<'_>, name: &str, value: impl AsRef<[u8]>) {
    step.arg(name).arg(value.as_ref());
}

/// A field that may be missing.
pub(super) fn put_if(step: &mut ScriptInvocation<'_>, name: &str, value: Option<impl AsRef<[u8]>>) {
    if let Some(value) = value {
        put(step, name, value);
    }
}

pub(super) fn put_number(step: &mut ScriptInvocation<'_>, name: &str, value: i64) {
    step.arg(name).arg(value);
}

pub(super) fn list(value: Value) -> Result<Vec<Value>, StoreError> {
    match value {
        Value::Array(values) => Ok(values),
        _ => Err(StoreError::damaged("answer")),
    }
}

/// As many as were asked for.
pub(super) fn parts<const N: usize>(value: Value) -> Result<[Value; N], StoreError> {
    list(value)?.try_into().map_err(|_of_another_length| StoreError::damaged("answer"))
}

pub(super) fn number<T: FromStr>(bytes: &[u8]) -> Option<T> {
    let short = bytes.len() <= DIGITS_MAX;
    std::str::from_utf8(bytes).ok().filter(|_| short)?.parse().ok()
}

fn utf8(bytes: Vec<u8>, name: &'static str) -> Result<String, StoreError> {
    String::from_utf8(bytes).map_err(|_says_what_is_in_it| StoreError::damaged(name))
}
