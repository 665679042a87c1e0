//! JSON that an application keeps with a login. Kept as text: parsed it would take many times the room, in every
//! record of the store.

use std::{fmt, sync::Arc};

use serde::{
    Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::{Map, Value};

/// The longest context, in bytes of JSON: parts of it, such as the user agent, come from outside.
pub const CONTEXT_MAX: usize = 8 * 1024;
/// The longest data, in bytes of JSON.
pub const DATA_MAX: usize = 64 * 1024;

const EMPTY: &str = "{}";

/// What the application noted at the login: device, address, user agent. A JSON object, empty by default, that
/// nothing changes afterwards.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Context(Option<Arc<str>>);

/// What the application keeps with a login and may change: one JSON value, or none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Data(Option<Arc<str>>);

/// The JSON is not what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JsonError {
    /// The context is no JSON object.
    NotAnObject,
    /// Longer than [`CONTEXT_MAX`] or [`DATA_MAX`].
    TooLong,
    /// The value cannot be written as JSON.
    Unwritable,
    /// The value is not of the type that was asked for.
    WrongType,
    /// The key is not there.
    MissingKey,
}

// ===== impl Context =====

impl Context {
    /// The context of any value that is written as a JSON object.
    ///
    /// # Errors
    /// [`JsonError::NotAnObject`], [`JsonError::Unwritable`], and [`JsonError::TooLong`] above 8 KiB.
    pub fn new(object: &impl Serialize) -> Result<Self, JsonError> {
        match serde_json::to_value(object) {
            Ok(Value::Object(map)) => Self::of(&map),
            Ok(_) => Err(JsonError::NotAnObject),
            Err(_says_nothing_to_act_on) => Err(JsonError::Unwritable),
        }
    }

    /// The context of this JSON text, for a store that reads one back.
    ///
    /// # Errors
    /// [`JsonError::NotAnObject`] for any other text, and [`JsonError::TooLong`] above 8 KiB.
    pub fn from_json(text: &str) -> Result<Self, JsonError> {
        if text == EMPTY {
            return Ok(Self::default());
        }
        check(text, CONTEXT_MAX)?;
        if !text.starts_with('{') {
            return Err(JsonError::NotAnObject);
        }
        Ok(Self(Some(text.into())))
    }

    fn of(map: &Map<String, Value>) -> Result<Self, JsonError> {
        if map.is_empty() {
            return Ok(Self::default());
        }
        write(map, CONTEXT_MAX).map(|text| Self(Some(text)))
    }

    /// A value by its key; `None` if the key is not there. Reads the whole text: keep what you need more than
    /// once.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.to_object().remove(key)
    }

    /// [`get`](Self::get) for those who cannot go on without the key.
    ///
    /// # Errors
    /// [`JsonError::MissingKey`], [`JsonError::WrongType`].
    pub fn require<T: DeserializeOwned>(&self, key: &str) -> Result<T, JsonError> {
        let value = self.get(key).ok_or(JsonError::MissingKey)?;
        serde_json::from_value(value).map_err(|_says_what_is_in_it| JsonError::WrongType)
    }

    /// The whole object as a type of the application's.
    ///
    /// # Errors
    /// [`JsonError::WrongType`].
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, JsonError> {
        serde_json::from_str(self.as_json()).map_err(|_says_what_is_in_it| JsonError::WrongType)
    }

    /// The whole object.
    pub fn to_object(&self) -> Map<String, Value> {
        self.0.as_deref().map_or_else(Map::new, |text| serde_json::from_str(text).unwrap_or_default())
    }

    /// The object as JSON text.
    pub fn as_json(&self) -> &str {
        self.0.as_deref().unwrap_or(EMPTY)
    }
}

/// Shows the length: the values are the application's.
impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({} bytes)", self.as_json().len())
    }
}

// ===== impl Data =====

impl Data {
    /// Any value that can be written as JSON.
    ///
    /// # Errors
    /// [`JsonError::Unwritable`], and [`JsonError::TooLong`] above 64 KiB.
    pub fn new(value: &impl Serialize) -> Result<Self, JsonError> {
        write(value, DATA_MAX).map(|text| Self(Some(text)))
    }

    /// The data of this JSON text, for a store that reads one back.
    ///
    /// # Errors
    /// [`JsonError::Unwritable`] for what is no JSON, and [`JsonError::TooLong`] above 64 KiB.
    pub fn from_json(text: &str) -> Result<Self, JsonError> {
        check(text, DATA_MAX)?;
        Ok(Self(Some(text.into())))
    }

    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// The value as a type of the application's; `None` if there is none.
    ///
    /// # Errors
    /// [`JsonError::WrongType`].
    pub fn parse<T: DeserializeOwned>(&self) -> Result<Option<T>, JsonError> {
        let Some(text) = &self.0 else {
            return Ok(None);
        };
        serde_json::from_str(text).map(Some).map_err(|_says_what_is_in_it| JsonError::WrongType)
    }

    /// The value as JSON text.
    pub fn as_json(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

/// Shows the length: the value is the application's.
impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Data({} bytes)", self.0.as_deref().map_or(0, str::len))
    }
}

fn write(value: &impl Serialize, max: usize) -> Result<Arc<str>, JsonError> {
    let text = serde_json::to_string(value).map_err(|_says_nothing_to_act_on| JsonError::Unwritable)?;
    if text.len() > max { Err(JsonError::TooLong) } else { Ok(text.into()) }
}

fn check(text: &str, max: usize) -> Result<(), JsonError> {
    if text.len() > max {
        return Err(JsonError::TooLong);
    }
    serde_json::from_str::<IgnoredAny>(text).map_err(|_says_what_is_in_it| JsonError::Unwritable)?;
    Ok(())
}

// ===== impl JsonError =====

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAnObject => "a context is a JSON object",
            Self::TooLong => "the JSON is too long to be kept with a login",
            Self::Unwritable => "the value cannot be written as JSON",
            Self::WrongType => "the JSON is not of the type that was asked for",
            Self::MissingKey => "the context has no such key",
        })
    }
}

impl std::error::Error for JsonError {}
