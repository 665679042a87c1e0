//! Waiting for the end of a login, for streams that outlive their request.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use super::service::TokenService;
use crate::{
    clock::Timestamp,
    identity::{Ended, Evidence},
    store::Found,
    text::TokenId,
};

/// How often the store is asked whether another node has ended the login.
pub(super) const WATCH_EVERY: Duration = Duration::from_secs(30);

/// Who waits for which login. What this process ends is heard of at once.
#[derive(Default)]
pub(super) struct Watchers(Mutex<HashMap<TokenId, Arc<Notify>>>);

/// A place among the watchers.
struct Watching<'a> {
    watchers: &'a Watchers,
    id: TokenId,
    ended: Arc<Notify>,
}

// ===== impl TokenService =====

impl<I: Send + Sync + 'static> TokenService<I> {
    /// Waits until the login has ended: revoked here (at once) or elsewhere (within 30 s), its user gone, or its
    /// access token past its end. A refresh in between moves that end; what cannot be found out changes nothing
    /// before it.
    pub(super) async fn ended(self, evidence: Evidence) -> Ended {
        let Some(id) = evidence.record() else {
            return Ended::Revoked;
        };
        let watching = self.parts.watchers.join(id);
        let mut end = evidence.expires();
        loop {
            let notified = watching.ended.notified();
            tokio::pin!(notified);
            // From here on no notice is missed.
            notified.as_mut().enable();
            if let Ok(found) = self.parts.store.find(&id).wait().await {
                match self.living(found).await {
                    Some(later) => end = later,
                    None if self.parts.clock.now() >= end => return Ended::Expired,
                    None => return Ended::Revoked,
                }
            }
            let now = self.parts.clock.now();
            if now >= end {
                return Ended::Expired;
            }
            let pause = end.since(now).min(WATCH_EVERY);
            // Only a reason to look again sooner.
            let _sooner = tokio::time::timeout(pause, notified).await;
        }
    }

    /// The end of a login that lives.
    async fn living(&self, found: Option<Found>) -> Option<Timestamp> {
        let Found { record, epoch, .. } = found?;
        let ended = record.revoked.is_some()
            || epoch != Some(record.epoch)
            || self.parts.policy.is_before_floor(&record);
        if ended {
            return None;
        }
        match self.lookup.find(&record.subject).wait().await {
            Ok(None) => None,
            Ok(Some(_)) | Err(_) => Some(record.access_expires()),
        }
    }
}

// ===== impl Watchers =====

impl Watchers {
    fn join(&self, id: TokenId) -> Watching<'_> {
        let ended = Arc::clone(self.lock().entry(id).or_default());
        Watching { watchers: self, id, ended }
    }

    /// Tells those who wait for this login to look.
    pub(super) fn wake(&self, id: &TokenId) {
        if let Some(ended) = self.lock().get(id) {
            ended.notify_waiters();
        }
    }

    /// Tells everybody to look.
    pub(super) fn wake_all(&self) {
        self.lock().values().for_each(|ended| ended.notify_waiters());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TokenId, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        let mut waiting = self.watchers.lock();
        // The map's and ours: nobody else is left.
        if waiting.get(&self.id).is_some_and(|ended| Arc::strong_count(ended) == 2) {
            waiting.remove(&self.id);
        }
    }
}
