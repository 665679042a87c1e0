//! axum: extractors and answers, on `axum-core`.

mod extract;
mod rebox;
mod reply;
mod require;
mod session;

pub use require::Require;
