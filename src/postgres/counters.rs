//! Counters.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_postgres::Row;

use super::{link::Again, sql::Sql, store::PostgresStore};
use crate::{
    clock::Timestamp,
    maybe_ready::MaybeReady,
    store::{CounterKey, CounterState, CounterStore, Hit, Limit, StoreError},
};

#[async_trait]
impl CounterStore for PostgresStore {
    fn hit(&self, key: &CounterKey, limit: Limit, now: Timestamp) -> MaybeReady<Result<Hit, StoreError>> {
        // What is refused to a full bucket is refused to all.
        let first = match limit.step(CounterState::UNSEEN, now) {
            Ok(first) => first,
            Err(wait) => return MaybeReady::Now(Ok(Hit::refused(wait))),
        };
        let (links, key) = (Arc::clone(&self.0), *key);
        MaybeReady::later(async move {
            let bounds = limit.bounds(now);
            let values = [
                key.as_bytes().into(),
                first.as_micros().into(),
                bounds.allowed_to.into(),
                bounds.now.into(),
                bounds.interval.into(),
                bounds.set_back_to.into(),
                bounds.set_back_above.into(),
            ];
            let rows = links.writes.ask(Sql::CounterHit, &values, Again::Never).await?;
            let state = match rows.first() {
                Some(row) if row.try_get(0).is_ok_and(|allowed: bool| allowed) => return Ok(Hit::allowed()),
                Some(row) => self::state(row, 1)?,
                None => CounterState::UNSEEN,
            };
            if let Err(wait) = limit.step(state, now) {
                return Ok(Hit::refused(wait));
            }
            // Refused by what others have counted at the same moment, which was not to be seen yet.
            let rows = links.writes.ask(Sql::CounterState, &[key.as_bytes().into()], Again::Harmless).await?;
            let state = rows.first().map_or(Ok(CounterState::UNSEEN), |row| self::state(row, 0))?;
            Ok(Hit::refused(limit.step(state, now).err().unwrap_or_else(|| limit.interval())))
        })
    }

    async fn forget(&self, key: &CounterKey) -> Result<(), StoreError> {
        self.0.writes.ask(Sql::CounterForget, &[key.as_bytes().into()], Again::Harmless).await.map(drop)
    }
}

fn state(row: &Row, at: usize) -> Result<CounterState, StoreError> {
    let micros = row.try_get(at).map_err(|_shows_the_column| StoreError::damaged("state"))?;
    Ok(CounterState::from_micros(micros))
}
