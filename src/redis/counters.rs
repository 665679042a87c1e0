//! Counters on a server.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use data_encoding::BASE64URL_NOPAD;
use redis::pipe;

use super::{
    RedisStore,
    link::{Again, Step},
    scripts::steps,
};
use crate::{
    clock::Timestamp,
    maybe_ready::MaybeReady,
    store::{CounterKey, CounterStore, Hit, Limit, StoreError},
};

/// A hundred years: with longer windows the numbers of the script would not be exact.
const WINDOW_MICROS_MAX: u128 = 100 * 365 * 86_400_000_000;

#[async_trait]
impl CounterStore for RedisStore {
    fn hit(&self, key: &CounterKey, limit: Limit, now: Timestamp) -> MaybeReady<Result<Hit, StoreError>> {
        if limit.count() == 0 {
            return MaybeReady::Now(Ok(Hit::refused(limit.window())));
        }
        let interval = interval_micros(limit);
        let mut step = steps::HIT.key(self.counter(key));
        step.arg(now.as_millis().saturating_mul(1000))
            .arg(interval)
            .arg(interval * u64::from(limit.count() - 1));
        let link = Arc::clone(self.link());
        MaybeReady::later(async move {
            let wait: u64 = link.ask(Step::Script(&step), Again::Never).await?;
            Ok(if wait == 0 { Hit::allowed() } else { Hit::refused(Duration::from_millis(wait)) })
        })
    }

    async fn forget(&self, key: &CounterKey) -> Result<(), StoreError> {
        let mut forget = pipe();
        forget.del(self.counter(key)).ignore();
        self.link().ask(Step::Commands(&forget), Again::Harmless).await
    }
}

impl RedisStore {
    fn counter(&self, key: &CounterKey) -> String {
        self.key_of("counter", &BASE64URL_NOPAD.encode(key.as_bytes()))
    }
}

/// As [`Limit::step`] has it.
fn interval_micros(limit: Limit) -> u64 {
    let window = limit.window().as_micros().clamp(1, WINDOW_MICROS_MAX);
    u64::try_from(window.div_ceil(u128::from(limit.count().max(1)))).expect("at most a hundred years")
}
