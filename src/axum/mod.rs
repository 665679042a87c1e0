//! axum: extractors and answers, on `axum-core`.

mod extract;
mod reply;
mod require;

pub use require::Require;
