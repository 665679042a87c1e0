//! A store on PostgreSQL 13 or later, for any number of machines.
//!
//! 1. Every step is one statement, which commits with its answer. What takes several is a function of the schema, so that
//!    nothing is locked while an answer is on its way.
//! 2. Steps on one row share a few connections and follow one another without waiting for answers. Steps that may wait for
//!    the lock of a subject have connections of their own.
//! 3. Connections are made when they are needed, and again when they broke or stand still. Every step has a limit, on the
//!    server, too.
//! 4. The limit of a subject's live logins and the end of all of them are taken behind the lock of the subject's row.
//! 5. Tables are made when [`migrate`](PostgresStore::migrate) is called, and never otherwise.
//! 6. Errors name what failed. They hold neither address nor password, and nothing of what is kept; nor does the client's
//!    own log.

mod builder;
mod connect;
mod counters;
mod failure;
mod feed;
mod keys;
mod leases;
mod link;
mod logins;
mod once;
mod row;
mod schema;
mod sql;
mod store;
mod value;

pub use builder::PostgresStoreBuilder;
pub use feed::PostgresChanges;
pub use sql::PostgresNotify;
pub use store::PostgresStore;
