//! The throttle and what it charges.

use std::{fmt, net::IpAddr, sync::Arc};

use super::{ThrottlePolicy, Throttled};
use crate::{
    client_ip::IpBucket,
    clock::{Clock, Timestamp},
    store::{CounterKey, CounterStore, Hit, Limit},
};

/// Limits attempts. Cheap to clone; clones share everything. See the module docs.
#[derive(Clone)]
pub struct Throttle {
    store: Arc<dyn CounterStore>,
    policy: ThrottlePolicy,
    clock: Clock,
}

// ===== impl Throttle =====

impl Throttle {
    /// A throttle over this store.
    pub fn new(store: impl CounterStore, policy: ThrottlePolicy) -> Self {
        Self { store: Arc::new(store), policy, clock: Clock::system() }
    }

    /// Replaces the clock; the default is [`Clock::system`].
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Counts an attempt and says whether it may go on. Attempts in different scopes (`"login"`, `"refresh"`) are
    /// counted apart.
    ///
    /// `client_ip` is an address that a client cannot choose. An IPv4 address counts alone, also when it is written
    /// as an IPv6 one; of an IPv6 address the first 64 bits count.
    ///
    /// Without an address, only attempts for the same identifier are counted together: one bucket for all
    /// attempts would let anybody lock out everybody. It is then one bucket for all who try this identifier, so
    /// anybody can lock out one user. Without an identifier too, nothing is counted: do not ask without both.
    ///
    /// `identifier` is what the client names as its own, as it was typed, whether or not there is such a user. It
    /// is compared without ASCII case and by its first 256 bytes, and only hashed. An application that finds a user
    /// by other spellings too (spaces, other alphabets, parts of an address) hands in the one it looks for, or
    /// each spelling gets a bucket of its own.
    ///
    /// # Errors
    /// [`Throttled::TooMany`] over a limit, [`Throttled::Unavailable`] if the store did not answer. Let neither
    /// through.
    ///
    /// # Cancel safety
    /// A call that is dropped may have counted the attempt, in one bucket or in both.
    pub async fn admit(
        &self,
        scope: &'static str,
        client_ip: Option<IpAddr>,
        identifier: Option<&str>,
    ) -> Result<(), Throttled> {
        let now = self.clock.now();
        let network = client_ip.map(|ip| IpBucket::of(ip).to_string());
        if let (Some(limit), Some(network)) = (self.policy.per_client_ip, &network) {
            let key = key(scope, limit, &[b"client_ip", network.as_bytes()]);
            let hit = self.hit(&key, limit, now).await?;
            if !hit.is_allowed() {
                return Err(Throttled::TooMany { retry_after: Some(hit.retry_after()) });
            }
        }
        if let (Some(limit), Some(identifier)) = (self.policy.per_identifier, identifier) {
            let place = network.as_deref().unwrap_or("unknown").as_bytes();
            let key = key(scope, limit, &[b"identifier", place, &folded(identifier)]);
            let hit = self.hit(&key, limit, now).await?;
            if !hit.is_allowed() {
                return Err(Throttled::TooMany { retry_after: network.map(|_| hit.retry_after()) });
            }
        }
        Ok(())
    }

    /// Whether the address decides anything: without it the limit for each address counts nothing, and the bucket of an
    /// identifier is everybody's.
    pub(crate) fn needs_client_ip(&self) -> bool {
        self.policy.per_client_ip.is_some() || self.policy.per_identifier.is_some()
    }

    async fn hit(&self, key: &CounterKey, limit: Limit, now: Timestamp) -> Result<Hit, Throttled> {
        self.store.hit(key, limit, now).wait().await.map_err(Throttled::Unavailable)
    }
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// The limit is a part of the key: while nodes with an old and a new policy share a store, neither misreads the
/// other's counts.
fn key(scope: &'static str, limit: Limit, what: &[&[u8]]) -> CounterKey {
    let count = limit.count().to_be_bytes();
    let window = limit.window().as_micros().to_be_bytes();
    CounterKey::new(scope, &[&[&count, &window[..]], what].concat())
}

/// The bytes of an identifier that count, without ASCII case.
fn folded(identifier: &str) -> Vec<u8> {
    let typed = identifier.as_bytes();
    typed[..typed.len().min(CounterKey::PART_MAX)].to_ascii_lowercase()
}
