//! Stores keep the contracts of `portcullis::conformance`.

mod cached;
mod faults;
mod memory;
mod plain;
