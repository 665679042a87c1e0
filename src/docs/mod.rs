//! Longer reading.

#[doc = include_str!("architecture.md")]
pub mod architecture {}

#[doc = include_str!("client_layers.md")]
pub mod client_layers {}

#[doc = include_str!("security.md")]
pub mod security {}

#[doc = include_str!("features.md")]
pub mod features {}
