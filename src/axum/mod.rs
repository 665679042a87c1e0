//! axum: extractors and answers, on `axum-core`.

mod extract;
mod reply;
mod require;
mod session;

pub use require::Require;
