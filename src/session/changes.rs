//! What a request changes in its session's data, kept so that it can be done again on newer data.

use serde_json::{Map, Value};

use crate::store::{Data, JsonError, LoginRecord};

/// The data of a session, by key.
pub(super) type Entries = Map<String, Value>;

type Recompute = Box<dyn FnMut(Option<Value>) -> Result<Value, JsonError> + Send>;

pub(super) enum Change {
    Set(String, Value),
    Update(String, Recompute),
    Remove(String),
    Clear,
}

/// In the order in which they were made.
#[derive(Default)]
pub(super) struct Changes(Vec<Change>);

// ===== impl Change =====

impl Change {
    pub(super) fn apply(&mut self, entries: &mut Entries) -> Result<(), JsonError> {
        match self {
            Self::Set(key, value) => drop(entries.insert(key.clone(), value.clone())),
            Self::Update(key, recompute) => {
                let value = recompute(entries.get(key).cloned())?;
                entries.insert(key.clone(), value);
            }
            Self::Remove(key) => drop(entries.remove(key)),
            Self::Clear => entries.clear(),
        }
        Ok(())
    }

    /// Whether what an earlier change did no longer shows after this one.
    fn hides(&self, earlier: &Self) -> bool {
        match self {
            Self::Clear => true,
            Self::Update(..) => false,
            Self::Set(key, _) | Self::Remove(key) => match earlier {
                Self::Set(other, _) | Self::Update(other, _) | Self::Remove(other) => key == other,
                Self::Clear => false,
            },
        }
    }
}

// ===== impl Changes =====

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one; a loop that writes one key keeps one change.
    pub(super) fn push(&mut self, change: Change) {
        self.0.retain(|earlier| !change.hides(earlier));
        self.0.push(change);
    }

    pub(super) fn apply(&mut self, entries: &mut Entries) -> Result<(), JsonError> {
        self.0.iter_mut().try_for_each(|change| change.apply(entries))
    }

    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

/// The data of a record as entries.
pub(super) fn entries(record: Option<&LoginRecord>) -> Result<Entries, JsonError> {
    record.map_or(Ok(None), |record| record.data().parse()).map(Option::unwrap_or_default)
}

/// Whether a session can keep them.
pub(super) fn check(entries: &Entries) -> Result<(), JsonError> {
    Data::new(entries).map(drop)
}
