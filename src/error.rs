//! Errors that belong to no single room: faults of configuration, and the boxed error of a foreign part.

use std::{error::Error, fmt};

/// An error of somebody else's part, kept as the cause of one of ours.
pub type BoxError = Box<dyn Error + Send + Sync + 'static>;

/// A request was not sent. It is among the causes of errors of layers that have refused a request themselves, so that
/// layers around them can tell those from failures of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct NotSent;

/// An error and its causes, from the outermost inwards.
pub(crate) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// Everything that is wrong with a configuration, found by one `build()`.
///
/// Setters take any value and never fail; `build()` checks them all and reports every fault at once,
/// so that a configuration is mended in one go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    faults: Vec<ConfigFault>,
}

/// One broken rule of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    field: &'static str,
    /// Where it came as text and is called otherwise there.
    key: Option<String>,
    value: String,
    rule: &'static str,
}

// ===== impl NotSent =====

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was not sent")
    }
}

impl Error for NotSent {}

// ===== impl ConfigError =====

impl ConfigError {
    /// The faults, in the order in which the fields are checked; never empty.
    pub fn faults(&self) -> &[ConfigFault] {
        &self.faults
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid configuration: ")?;
        for (i, fault) in self.faults.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl Error for ConfigError {}

// ===== impl ConfigFault =====

impl ConfigFault {
    /// The setting, by the name of its setter.
    pub fn field(&self) -> &'static str {
        self.field
    }

    /// The setting as whoever wrote it calls it: where it came [as text](crate::settings), the key there, the prefix of its
    /// policy included; else the [`field`](Self::field).
    pub fn key(&self) -> &str {
        self.key.as_deref().unwrap_or(self.field)
    }

    /// The offending value, as text.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The rule it breaks.
    pub fn rule(&self) -> &'static str {
        self.rule
    }
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}: {}", self.key(), self.value, self.rule)
    }
}

/// Collects faults while a `build()` runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Faults(Vec<ConfigFault>);

impl Faults {
    /// Adds a fault. Never hand it a secret as `value`: the text is printed.
    pub(crate) fn add(&mut self, field: &'static str, value: impl fmt::Debug, rule: &'static str) {
        let value = format!("{value:?}");
        self.0.push(ConfigFault { field, key: None, value, rule });
    }

    /// [`add`](Self::add) for a value that was read under this prefix and the name of the field.
    #[cfg(feature = "config")]
    pub(crate) fn add_read(&mut self, prefix: &str, field: &'static str, value: &str, rule: &'static str) {
        let key = (!prefix.is_empty()).then(|| format!("{prefix}{field}"));
        self.0.push(ConfigFault { field, key, value: format!("{value:?}"), rule });
    }

    pub(crate) fn check(
        &mut self,
        holds: bool,
        field: &'static str,
        value: impl fmt::Debug,
        rule: &'static str,
    ) {
        if !holds {
            self.add(field, value, rule);
        }
    }

    /// Takes over the faults of a part.
    pub(crate) fn append(&mut self, error: ConfigError) {
        self.0.extend(error.faults);
    }

    /// Adds those that a part has collected, and still has.
    pub(crate) fn extend(&mut self, part: &Self) {
        self.0.extend_from_slice(&part.0);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn finish(self) -> Result<(), ConfigError> {
        if self.is_empty() { Ok(()) } else { Err(ConfigError { faults: self.0 }) }
    }
}
