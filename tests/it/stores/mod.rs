//! Stores keep the contracts of `portcullis::conformance`.

mod faults;
mod memory;
mod plain;
