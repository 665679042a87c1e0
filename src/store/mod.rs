//! Where logins rest: the port, the records, and the store in memory.
//!
//! 1. Every change is one atomic step that names the columns it writes and the state it expects: `rotate`
//!    changes a record only where the generation is still the one that was read and nothing was revoked. There
//!    is no "put the record".
//! 2. What is gone stays gone: no operation creates a record but `insert`, and `insert` never replaces one.
//! 3. "Never" is [`Timestamp::NEVER`](crate::clock::Timestamp::NEVER), not an absent value, so that the later
//!    of two ends is a plain maximum.
//! 4. Every subject has an epoch, random at first, written with the first login and raised by `revoke_subject`.
//!    A login whose epoch is not the subject's is dead, and so is one whose subject has none.
//! 5. A store that cannot answer says so; it never answers "no such record" instead.

mod digest;
mod error;
mod memory;
mod record;
mod token_store;

pub use digest::{Digest, HashAlgorithm};
pub use error::{StoreError, StoreErrorKind};
pub use memory::MemoryStore;
pub use record::{Context, Epoch, LoginRecord, Revocation};
pub use token_store::{Found, Rotation, TokenStore};

pub use crate::event::RevokeReason;

pub(crate) use digest::HashBytes;
pub(crate) use record::Binding;
