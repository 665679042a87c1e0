//! Waiting for the service below, without sending what has ended meanwhile.

use std::{future::poll_fn, sync::Arc};

use http::Request;
use tower_service::Service;

use super::{error::InjectError, patience::Patience, rules::Rules};
use crate::{
    error::BoxError,
    maybe_ready::MaybeReady,
    provider::{Ask, Lease},
};

/// A token that takes long may make the service busy again, and the other way round.
const ROUNDS: usize = 3;

/// Waits until the service is ready; returns the lease to send, a later one if it had to wait.
///
/// If no later one can be had, or not in time, the lease at hand is sent: whether it has ended is the API's to say.
pub(super) async fn ready<S, B>(
    service: &mut S,
    rules: &Rules,
    ask: Ask<'_>,
    mut lease: Arc<Lease>,
    patience: &mut Patience,
) -> Result<Arc<Lease>, InjectError>
where
    S: Service<Request<B>> + Clone,
    S::Error: Into<BoxError>,
{
    for _ in 0..ROUNDS {
        let waited = readied(service).await?;
        if !waited || lease.is_fixed() {
            return Ok(lease);
        }
        let current = rules.provider.lease(&ask);
        match current {
            MaybeReady::Now(current) => return Ok(current.map_or(Arc::clone(&lease), |it| later(lease, it))),
            MaybeReady::Later(current) => {
                // Whoever waits for a token holds no place.
                *service = service.clone();
                if let Some(Ok(current)) = patience.wait(current).await {
                    lease = later(lease, current);
                }
            }
        }
    }
    readied(service).await.map(|_waited| lease)
}

/// Returns whether it had to wait.
pub(super) async fn readied<S, B>(service: &mut S) -> Result<bool, InjectError>
where
    S: Service<Request<B>>,
    S::Error: Into<BoxError>,
{
    let mut waited = false;
    let ready = poll_fn(|cx| {
        let polled = service.poll_ready(cx);
        waited |= polled.is_pending();
        polled
    });
    ready.await.map_err(InjectError::inner)?;
    Ok(waited)
}

fn later(one: Arc<Lease>, other: Arc<Lease>) -> Arc<Lease> {
    if other.generation() > one.generation() { other } else { one }
}
