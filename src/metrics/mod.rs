//! Events, and what becomes of outgoing tokens, counted on the [`metrics`](https://docs.rs/metrics) facade.

mod meter;
mod tokens;

pub use meter::Metrics;

#[cfg(test)]
mod tests;
