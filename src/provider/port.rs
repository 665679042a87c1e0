//! The trait.

use std::{slice, sync::Arc};

use http::HeaderName;

use super::{Ask, Lease, TokenError};
use crate::maybe_ready::MaybeReady;

/// Has tokens.
pub trait TokenProvider: Send + Sync + 'static {
    /// The header that carries them; the first one, if there are several. It is asked for when a layer is built, and
    /// does not change.
    fn header(&self) -> &HeaderName;

    /// All headers that a lease may fill. A request that brings one of them has a credential of its own.
    fn headers(&self) -> &[HeaderName] {
        slice::from_ref(self.header())
    }

    /// A token to send now. [`TokenErrorKind::Absent`](super::TokenErrorKind::Absent) if there is none for this
    /// request.
    fn lease(&self, ask: &Ask<'_>) -> MaybeReady<Result<Arc<Lease>, TokenError>>;

    /// After a 401 for `rejected`: a lease of a later generation with another text, or `None` if there is none
    /// worth sending.
    ///
    /// Once polled, the fetch must go on by itself: a request that cannot be repeated polls it once and does
    /// not wait. It is not asked for a [fixed](Lease::fixed) lease.
    ///
    /// # Errors
    /// [`TokenError`] if getting a newer one failed.
    fn newer_than(&self, rejected: &Arc<Lease>) -> MaybeReady<Result<Option<Arc<Lease>>, TokenError>>;

    /// A request was repeated with `newer`, and that was rejected, too. Nothing is asked for, because the request
    /// will not be sent a third time. By default nothing is done about it.
    fn rejected_again(&self, newer: &Arc<Lease>) {
        let _ = newer;
    }
}

impl<P: TokenProvider + ?Sized> TokenProvider for Arc<P> {
    fn header(&self) -> &HeaderName {
        (**self).header()
    }

    fn headers(&self) -> &[HeaderName] {
        (**self).headers()
    }

    fn lease(&self, ask: &Ask<'_>) -> MaybeReady<Result<Arc<Lease>, TokenError>> {
        (**self).lease(ask)
    }

    fn newer_than(&self, rejected: &Arc<Lease>) -> MaybeReady<Result<Option<Arc<Lease>>, TokenError>> {
        (**self).newer_than(rejected)
    }

    fn rejected_again(&self, newer: &Arc<Lease>) {
        (**self).rejected_again(newer);
    }
}
