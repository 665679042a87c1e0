//! The port between a layer and whatever knows credentials.
//!
//! 1. A verifier says from the text alone whether a credential is its own; exactly one verifies it.
//! 2. It answers with an identity, or with *invalid*, or with *could not check*; never with two of them mixed
//!    up.
//! 3. An absent credential never reaches it.

mod attempt;
mod renewal;
mod verified;

use std::sync::Arc;

use crate::{
    error::BoxError,
    identity::{Ended, Evidence, Subject},
    maybe_ready::{BoxFuture, MaybeReady},
    settings::Description,
    text::TokenId,
};

pub use attempt::Attempt;
pub use renewal::{CredentialState, Renewal};
pub use verified::{Outcome, Refusal, Verified};

/// Knows one kind of credential.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot verify credentials",
    note = "`AuthLayer::new` takes a `TokenService` or your own `portcullis::verify::Verify`"
)]
pub trait Verify: Send + Sync + 'static {
    /// Whom a valid credential stands for.
    type Identity: Send + Sync + 'static;

    /// Whether this is the kind of credential to verify here, judged by the text alone and without I/O.
    fn recognises(&self, text: &str) -> bool;

    /// The public id in a text of its own, without I/O: events name a refused credential by it. It is what the
    /// text claims, and proves nothing. By default there is none.
    fn selector(&self, text: &str) -> Option<TokenId> {
        let _ = text;
        None
    }

    /// The settings in force, for people; without any secret. By default there are none.
    fn describe(&self) -> Description {
        Description::default()
    }

    /// Waits until a credential that was found valid has ended. Ask again with the same evidence, and the answer
    /// is the same.
    fn watch(&self, evidence: &Evidence) -> BoxFuture<Ended>;

    /// Verifies. What waits for I/O owns what it needs of the attempt.
    fn verify(&self, attempt: &Attempt<'_>) -> MaybeReady<Outcome<Self::Identity>>;
}

/// Finds the user behind a subject, on every request.
pub trait UserLookup: Send + Sync + 'static {
    /// The identity that handlers see.
    type User: Send + Sync + 'static;

    /// The user; `None` if there is none or it is not active. An error means "could not check" and becomes a
    /// 503.
    fn find(&self, subject: &Arc<Subject>) -> MaybeReady<Result<Option<Arc<Self::User>>, BoxError>>;
}
