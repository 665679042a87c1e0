//! Rights: what a known caller may do, as types, at run time, and as a layer.
//!
//! Whoever asks for a right answers alike: nobody is there, 401 with the layer's challenges; somebody is there
//! and lacks the right, 403 on the presented scheme, with the scope that is missing if it is one.

mod combine;
mod denied;
mod future;
mod layer;
mod permission;
mod policy;
mod service;

pub use combine::{Any, Not};
pub use denied::Denied;
pub use future::AnswerFuture;
pub use layer::{GuardLayer, GuardLayerBuilder};
pub use permission::Permission;
pub use policy::Policy;
pub use service::GuardService;
