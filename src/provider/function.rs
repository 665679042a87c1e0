//! Functions that know the credential of a request.

use std::{fmt, future::Future, sync::Arc};

use http::{HeaderName, HeaderValue};

use super::{Ask, Lease, TokenError, TokenErrorKind, TokenProvider};
use crate::maybe_ready::MaybeReady;

type Found = Result<Option<HeaderValue>, TokenError>;

/// A provider made of a function. See [`provider_fn`].
#[derive(Clone)]
pub struct ProviderFn<F> {
    header: HeaderName,
    function: F,
}

/// A provider made of a function that waits. See [`provider_async_fn`].
#[derive(Clone)]
pub struct AsyncProviderFn<F> {
    header: HeaderName,
    function: F,
}

/// Asks a function on every request for the value of this header. `None` means that it has none for this request:
/// in [`FirstOf`](super::FirstOf) the next provider is asked, otherwise the request fails. What it returns is never
/// renewed.
///
/// ```
/// use http::{HeaderValue, header::AUTHORIZATION};
/// use portcullis::{TokenInjectLayer, provider::{Ask, provider_fn}};
///
/// #[derive(Clone)]
/// struct Caller(HeaderValue);
///
/// let of_the_caller = provider_fn(AUTHORIZATION, |ask: &Ask<'_>| {
///     Ok(ask.extensions().get::<Caller>().map(|caller| caller.0.clone()))
/// });
/// let layer = TokenInjectLayer::new(of_the_caller).allow_origin("https://api.example.com").build()?;
/// # let _ = layer;
/// # Ok::<(), portcullis::error::ConfigError>(())
/// ```
pub fn provider_fn<F>(header: HeaderName, function: F) -> ProviderFn<F>
where
    F: Fn(&Ask<'_>) -> Result<Option<HeaderValue>, TokenError> + Send + Sync + 'static,
{
    ProviderFn { header, function }
}

/// Like [`provider_fn`], for a function that waits. It is called on every request, and what it returns is kept
/// nowhere: a token that can be used again belongs into a step of a pipeline.
pub fn provider_async_fn<F, T>(header: HeaderName, function: F) -> AsyncProviderFn<F>
where
    F: Fn(&Ask<'_>) -> T + Send + Sync + 'static,
    T: Future<Output = Result<Option<HeaderValue>, TokenError>> + Send + 'static,
{
    AsyncProviderFn { header, function }
}

fn lease(found: Found) -> Result<Arc<Lease>, TokenError> {
    let value = found?.ok_or_else(|| TokenError::new(TokenErrorKind::Absent))?;
    Ok(Arc::new(Lease::fixed(value)))
}

// ===== impl ProviderFn =====

impl<F> TokenProvider for ProviderFn<F>
where
    F: Fn(&Ask<'_>) -> Found + Send + Sync + 'static,
{
    fn header(&self) -> &HeaderName {
        &self.header
    }

    fn lease(&self, ask: &Ask<'_>) -> MaybeReady<Result<Arc<Lease>, TokenError>> {
        MaybeReady::Now(lease((self.function)(ask)))
    }

    fn newer_than(&self, _rejected: &Arc<Lease>) -> MaybeReady<Result<Option<Arc<Lease>>, TokenError>> {
        MaybeReady::Now(Ok(None))
    }
}

impl<F> fmt::Debug for ProviderFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderFn").field("header", &self.header).finish_non_exhaustive()
    }
}

// ===== impl AsyncProviderFn =====

impl<F, T> TokenProvider for AsyncProviderFn<F>
where
    F: Fn(&Ask<'_>) -> T + Send + Sync + 'static,
    T: Future<Output = Found> + Send + 'static,
{
    fn header(&self) -> &HeaderName {
        &self.header
    }

    fn lease(&self, ask: &Ask<'_>) -> MaybeReady<Result<Arc<Lease>, TokenError>> {
        let found = (self.function)(ask);
        MaybeReady::later(async move { lease(found.await) })
    }

    fn newer_than(&self, _rejected: &Arc<Lease>) -> MaybeReady<Result<Option<Arc<Lease>>, TokenError>> {
        MaybeReady::Now(Ok(None))
    }
}

impl<F> fmt::Debug for AsyncProviderFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncProviderFn").field("header", &self.header).finish_non_exhaustive()
    }
}
