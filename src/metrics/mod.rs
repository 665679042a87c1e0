//! Events counted on the [`metrics`](https://docs.rs/metrics) facade.

mod meter;

pub use meter::Metrics;

#[cfg(test)]
mod tests;
