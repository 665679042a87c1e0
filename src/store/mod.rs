//! Where logins, counters and shared tokens rest: the ports, the records, and the stores in memory.
//!
//! 1. Every change is one atomic step that names the columns it writes and the state it expects: `rotate`
//!    changes a record only where the generation is still the one that was read and nothing was revoked. There
//!    is no "put the record".
//! 2. What is gone stays gone: no operation creates a record but `insert`, and `insert` never replaces one.
//! 3. "Never" is [`Timestamp::NEVER`](crate::clock::Timestamp::NEVER), not an absent value, so that the later
//!    of two ends is a plain maximum.
//! 4. Every subject has an epoch, random at first, written with the first login and raised by `revoke_subject`.
//!    A login whose epoch is not the subject's is dead, and so is one whose subject has none.
//! 5. A counter is one number, and counting is one step: the store judges and writes at once ([`Limit::step`]).
//! 6. A shared token is replaced by whoever names the version that is there, and renewed by whoever holds its lock.
//! 7. A store that cannot answer says so; it never answers "no such record" instead.
//!
//! For those who write one: [what a store has to do](contract).

#[doc = include_str!("contract.md")]
pub mod contract {
    #[allow(unused_imports)] // for the links of the page
    use super::*;
}

mod cached;
mod change;
mod changes;
mod columns;
mod counter;
mod counter_store;
mod digest;
mod error;
mod extras;
mod id_hasher;
mod json;
mod key;
mod key_store;
mod lease;
mod lease_store;
mod memory;
mod memory_counters;
mod memory_keys;
mod memory_leases;
mod memory_once;
mod once;
mod record;
mod revocation;
mod subject_key;
mod token_store;

pub use cached::{CachedStore, CachedStoreBuilder};
pub use change::{
    Inserted, Insertion, Keep, ListQuery, LiveLimit, Purge, Rekey, Rotation, SubjectRevocation, Touch,
};
pub use changes::{Change, ChangeFeed};
pub use columns::LoginColumns;
pub use counter::{CounterKey, CounterState, Hit, Limit};
pub use counter_store::CounterStore;
pub use digest::{Digest, HashAlgorithm};
pub use error::{StoreError, StoreErrorKind};
pub use json::{CONTEXT_MAX, Context, DATA_MAX, Data, JsonError};
pub use key::{KeyQuery, KeyRecord, KeyUpdate};
pub use key_store::KeyStore;
pub use lease::{
    Expect, FoundLease, LeaseKey, LeaseLock, LeaseNamespace, LeaseRecord, LeaseVersion, LeaseWrite,
    LockOwner, LockState,
};
pub use lease_store::LeaseStore;
pub use memory::MemoryStore;
pub use memory_counters::MemoryCounters;
pub use memory_keys::MemoryKeys;
pub use memory_leases::MemoryLeases;
pub use memory_once::MemoryOnce;
pub use once::{OnceKey, OnceStore, OnceValue, ValueTooLong};
pub use record::{Epoch, Life, LoginRecord};
pub use revocation::Revocation;
pub use subject_key::SubjectKey;
pub use token_store::{Found, TokenStore};

pub(crate) use digest::HashBytes;
pub(crate) use extras::Extras;
pub(crate) use record::Binding;
