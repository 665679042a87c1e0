//! Stores keep the contracts of `portcullis::conformance`.

mod memory;
