//! Everything in one file, for the processes of one machine.
//!
//! 1. One thread of each handle writes. It takes what has come meanwhile into one transaction, each step behind a
//!    savepoint of its own, and answers after the commit: one `fsync` serves all of them.
//! 2. Readers have connections and threads of their own. The file is in WAL mode, so nobody waits for a writer, and a read
//!    that begins after an answer sees what was answered.
//! 3. Every condition is in the statement that writes, or in the same transaction, which has the write lock from its
//!    beginning on.
//! 4. The tables are made and changed when [`SqliteStore::migrate`] is called, and never else.
//! 5. Errors name what failed by a class and the engine's number. Its texts, which may quote what was kept, are dropped.

mod builder;
mod columns;
mod counters;
mod ends;
mod failure;
mod file;
mod group;
mod insert;
mod keys;
mod leases;
mod link;
mod logins;
mod once;
mod queue;
mod schema;
mod sql;
mod store;

pub use builder::SqliteStoreBuilder;
pub use store::SqliteStore;
