//! Where settings come from.

use std::{collections::BTreeMap, env, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

/// Settings by their names, as text, not read yet. Hand them to a builder's `settings`.
///
/// Deserializes from any map of texts, numbers, booleans and lists of them. The builders deserialize like it, so
/// that they can stand in a configuration of the application's own.
#[derive(Clone, Default)]
pub struct Settings {
    pub(super) values: BTreeMap<String, String>,
    /// What stood before the names where they are a part of others.
    pub(super) prefix: String,
}

impl Settings {
    pub(super) fn new(values: BTreeMap<String, String>) -> Self {
        Self { values, prefix: String::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The variables of the process's environment whose names start with `prefix`. The rest of the name, in lower
    /// case, is the setting's.
    ///
    /// A value that is not UTF-8 is read with its odd bytes replaced, and is then refused like any other text that
    /// fits no setting.
    pub fn from_env(prefix: &str) -> Self {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        Self::from_vars(prefix, env::vars_os().map(|(name, value)| (text(name), text(value))))
    }

    /// [`from_env`](Self::from_env) for variables from elsewhere.
    pub fn from_vars<N, V>(prefix: &str, vars: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: AsRef<str>,
        V: Into<String>,
    {
        let named = |(name, value): (N, V)| {
            let name = name.as_ref().strip_prefix(prefix)?.to_ascii_lowercase();
            Some((name, value.into()))
        };
        Self::new(vars.into_iter().filter_map(named).collect())
    }
}

/// Shows the names: a secret may have been put here by mistake.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Settings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of settings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Settings, A::Error> {
                let mut settings = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Text>()? {
                    if settings.insert(name, value.0).is_some() {
                        return Err(serde::de::Error::custom("a setting came twice"));
                    }
                }
                Ok(Settings::new(settings))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

/// Lets a builder stand in a configuration of the application's own.
macro_rules! deserialize_builder {
    ($builder:ty, $start:expr) => {
        /// Reads the settings that are there; faults are reported by `build`.
        impl<'de> serde::Deserialize<'de> for $builder {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::settings::Settings::deserialize(deserializer)
                    .map(|settings| $start.settings(settings))
            }
        }
    };
}
pub(crate) use deserialize_builder;

/// A scalar, or a list of them, as the text that stands for it in the environment.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;

        impl<'de> Visitor<'de> for Scalar {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, a boolean, or a list of them")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Text, E> {
                Ok(Text(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Text, A::Error> {
                let mut items = Vec::new();
                while let Some(Text(item)) = list.next_element()? {
                    items.push(item);
                }
                Ok(Text(items.join(",")))
            }
        }

        deserializer.deserialize_any(Scalar)
    }
}
