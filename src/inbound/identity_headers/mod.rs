//! Identity headers: taken off what comes from outside, put on by us.

mod layer;
mod names;
mod service;

pub use layer::{IdentityHeaders, IdentityHeadersBuilder};
pub use service::IdentityHeadersService;
