//! The contracts of the stores as tests, for stores of this crate and of others alike. Feature `test-util`, for
//! dev-dependencies.
//!
//! Each port has a suite: [`tokens`], [`keys`], [`once`], [`counters`] and [`leases`]. A suite is a list of named tests. Every test gets an
//! empty store of its own as a [`Fixture`]: two handles, as two processes have them. A name begins with the row of
//! [the features](crate::docs::features) that it belongs to.
//!
//! With a macro for each port, every test of the suite is one `#[tokio::test]` of your crate, on a runtime of two threads
//! (tokio with `macros` and `rt-multi-thread` among your dev-dependencies):
//!
//! ```
//! use std::sync::Arc;
//! use portcullis::{MemoryStore, conformance::TokenFixture};
//!
//! async fn empty() -> TokenFixture {
//!     let store = MemoryStore::new(); // yours, empty, and nobody else's
//!     TokenFixture::new(Arc::new(store.clone()), Arc::new(store))
//! }
//!
//! portcullis::conformance::token_store_tests!(empty);
//! # fn main() {}
//! ```
//!
//! The others are `key_store_tests!`, `once_store_tests!`, `counter_store_tests!` and `lease_store_tests!`. Two suites in one module have no name twice.
//!
//! [`tokens::run`] and its like run a whole suite and give a [`Report`]:
//!
//! ```
//! # use std::sync::Arc;
//! # use portcullis::{MemoryStore, conformance::{TokenFixture, tokens}};
//! # async fn empty() -> TokenFixture {
//! #     let store = MemoryStore::new();
//! #     TokenFixture::new(Arc::new(store.clone()), Arc::new(store))
//! # }
//! # #[tokio::main(flavor = "multi_thread", worker_threads = 2)]
//! # async fn main() {
//! let report = tokens::run(empty).await;
//! report.assert_passed();
//! # }
//! ```
//!
//! Each test is a task of its own: a panic is the failure of this test, and so is a test that is not done after two
//! minutes. The suites read the system's clock and wait by tokio's, which must not be paused.
//!
//! A test may be added in any version: a store that passes one version need not pass the next.
#![allow(clippy::unwrap_used)] // a test that meets an error has failed

mod fixture;
mod report;
mod run;

pub mod counters;
pub mod keys;
pub mod leases;
pub mod once;
pub mod tokens;

pub use self::{
    fixture::{CounterFixture, Fixture, KeyFixture, LeaseFixture, OnceFixture, TokenFixture},
    report::{Outcome, Report, Verdict},
};
pub use crate::{
    __portcullis_counter_store_tests as counter_store_tests, __portcullis_key_store_tests as key_store_tests,
    __portcullis_lease_store_tests as lease_store_tests, __portcullis_once_store_tests as once_store_tests,
    __portcullis_token_store_tests as token_store_tests,
};
