//! One-time values on a server.

use async_trait::async_trait;
use data_encoding::BASE64URL_NOPAD;
use redis::pipe;

use super::{
    RedisStore,
    fields::number,
    link::{Again, Step},
    scripts::steps,
};
use crate::{
    clock::Timestamp,
    store::{OnceKey, OnceStore, OnceValue, StoreError},
};

/// The clock of the node that takes a value may be behind that of the one that put it: the server forgets it later than
/// either would.
const MARGIN_MILLIS: u64 = 5 * 60 * 1000;

/// A hundred years: what ends later than that stays.
const MILLIS_MAX: u64 = 100 * 365 * 86_400_000;

#[async_trait]
impl OnceStore for RedisStore {
    async fn put(
        &self,
        key: &OnceKey,
        value: &OnceValue,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let left = expires.as_millis().saturating_sub(now.as_millis());
        let stays = match u64::try_from(left).unwrap_or(0) {
            0 => "0".to_owned(),
            left if expires == Timestamp::NEVER || left > MILLIS_MAX => String::new(),
            left => (left + MARGIN_MILLIS).to_string(),
        };
        let mut step = steps::PUT_ONCE.key(self.once(key));
        step.arg(now.as_millis()).arg(expires.as_millis()).arg(value.as_bytes()).arg(stays);
        self.link().ask(Step::Script(&step), Again::Never).await
    }

    async fn take(&self, key: &OnceKey, now: Timestamp) -> Result<Option<OnceValue>, StoreError> {
        let mut take = pipe();
        take.get_del(self.once(key));
        let (kept,): (Option<Vec<u8>>,) = self.link().ask(Step::Commands(&take), Again::Never).await?;
        let Some(kept) = kept else {
            return Ok(None);
        };
        let damaged = || StoreError::damaged("once");
        let colon = kept.iter().position(|byte| *byte == b':').ok_or_else(damaged)?;
        let (expires, value) = (&kept[..colon], kept[colon + 1..].to_vec());
        let expires = number(expires).map(Timestamp::from_millis).ok_or_else(damaged)?;
        if expires != Timestamp::NEVER && expires <= now {
            return Ok(None);
        }
        OnceValue::new(value).map(Some).map_err(|_too_long| damaged())
    }

    /// The server does it.
    async fn purge_once(&self, _before: Timestamp, _limit: usize) -> Result<u64, StoreError> {
        Ok(0)
    }
}

impl RedisStore {
    fn once(&self, key: &OnceKey) -> String {
        self.key_of("once", &BASE64URL_NOPAD.encode(key.as_bytes()))
    }
}
