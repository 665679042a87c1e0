//! Logins on a server.

use std::sync::Arc;

use async_trait::async_trait;
use data_encoding::HEXLOWER;
use redis::{ScriptInvocation, Value};

use super::{
    RedisStore,
    fields::{list, parts},
    link::{Again, Step},
    login_fields::{read, read_epoch, read_found, write},
    scripts::steps,
    store::{behind, name_of},
};
use crate::{
    clock::Timestamp,
    identity::Subject,
    maybe_ready::MaybeReady,
    random,
    store::{
        Data, Found, Inserted, Insertion, Keep, ListQuery, LiveLimit, LoginColumns, LoginRecord, Purge,
        Rekey, Revocation, Rotation, StoreError, StoreErrorKind, SubjectRevocation, TokenStore, Touch,
    },
    text::TokenId,
};

/// Logins that one step looks at, where a call needs many: the server does nothing else meanwhile.
const BATCH: usize = 250;

#[async_trait]
impl TokenStore for RedisStore {
    fn find(&self, id: &TokenId) -> MaybeReady<Result<Option<Found>, StoreError>> {
        let step = self.step(&steps::FIND, self.key_of("login", id.as_str()));
        let link = Arc::clone(self.link());
        MaybeReady::later(async move {
            match link.ask(Step::Script(&step), Again::Harmless).await? {
                Value::Nil => Ok(None),
                found => read_found(found).map(Some),
            }
        })
    }

    async fn insert(&self, record: LoginRecord, insertion: Insertion) -> Result<Inserted, StoreError> {
        let mut login = LoginColumns::from(&record);
        let mut step = self.login(&steps::INSERT, &login.id);
        step.arg(name_of(&login.subject))
            .arg(insertion.first_epoch.number().cast_signed())
            .arg(new_era()?)
            .arg(insertion.now.as_millis())
            .arg(insertion.purge_before.as_millis());
        match insertion.limit {
            LiveLimit::Unlimited => step.arg("").arg(0),
            LiveLimit::Refuse(max) => step.arg("yes").arg(max),
            LiveLimit::EndOldest(max) => step.arg("no").arg(max),
        };
        step.arg(insertion.replaces.as_ref().map_or("", |id| id.as_str()));
        write(&mut step, &login);
        let answer = match self.link().ask(Step::Script(&step), Again::Never).await? {
            Value::BulkString(refusal) if refusal == b"taken" => {
                return Err(StoreError::new(StoreErrorKind::Conflict));
            }
            Value::BulkString(refusal) if refusal == b"limit" => {
                return Err(StoreError::new(StoreErrorKind::LimitReached));
            }
            answer => answer,
        };
        let [epoch, replaced, ended, purged] = parts(answer)?;
        let Value::BulkString(epoch) = epoch else {
            return Err(StoreError::damaged("epoch"));
        };
        login.epoch = read_epoch(&epoch)?;
        Ok(Inserted {
            record: Arc::new(login.into()),
            ended: list(ended)?.into_iter().map(read_id).collect::<Result<_, _>>()?,
            replaced: replaced == Value::Int(1),
            purged: read_all(purged)?,
        })
    }

    async fn rotate(&self, id: &TokenId, rotation: Rotation) -> Result<bool, StoreError> {
        let mut step = self.login(&steps::ROTATE, id);
        step.arg(rotation.generation)
            .arg(rotation.generation.saturating_add(1))
            .arg(rotation.access.to_bytes())
            .arg(rotation.refresh.to_bytes())
            .arg(rotation.nonce.expose().as_slice())
            .arg(rotation.now.as_millis())
            .arg(rotation.access_expires.as_millis())
            .arg(rotation.refresh_expires.as_millis());
        self.link().ask(Step::Script(&step), Again::Never).await
    }

    async fn grace_hit(&self, id: &TokenId, generation: u32, cap: u32) -> Result<bool, StoreError> {
        let mut step = steps::GRACE_HIT.key(self.key_of("login", id.as_str()));
        step.arg(generation).arg(cap);
        self.link().ask(Step::Script(&step), Again::Never).await
    }

    fn confirm(&self, id: &TokenId, generation: u32, now: Timestamp) -> MaybeReady<Result<(), StoreError>> {
        let mut step = self.login(&steps::CONFIRM, id);
        step.arg(generation).arg(now.as_millis());
        let link = Arc::clone(self.link());
        MaybeReady::later(async move {
            let _changed: bool = link.ask(Step::Script(&step), Again::Harmless).await?;
            Ok(())
        })
    }

    fn touch(&self, id: &TokenId, touch: Touch) -> MaybeReady<Result<bool, StoreError>> {
        let end = |end: Option<Timestamp>| end.map_or_else(String::new, |end| end.as_millis().to_string());
        let mut step = self.login(&steps::TOUCH, id);
        step.arg(touch.generation)
            .arg(touch.seen_before.as_millis())
            .arg(touch.now.as_millis())
            .arg(end(touch.access_expires))
            .arg(end(touch.refresh_expires))
            .arg(touch.access.map_or_else(Vec::new, |access| access.to_bytes()))
            .arg(u8::from(touch.wipe_nonce));
        let link = Arc::clone(self.link());
        MaybeReady::later(async move { link.ask(Step::Script(&step), Again::Never).await })
    }

    async fn rekey(&self, id: &TokenId, rekey: Rekey) -> Result<bool, StoreError> {
        let mut step = self.login(&steps::REKEY, id);
        step.arg(rekey.generation);
        write_rekey(&mut step, &rekey);
        self.link().ask(Step::Script(&step), Again::Never).await
    }

    async fn save_data(&self, id: &TokenId, version: u64, data: Data) -> Result<bool, StoreError> {
        let mut step = self.login(&steps::SAVE_DATA, id);
        step.arg(version.cast_signed()).arg(version.wrapping_add(1).cast_signed());
        if let Some(json) = data.as_json() {
            step.arg(json);
        }
        self.link().ask(Step::Script(&step), Again::Never).await
    }

    async fn set_label(&self, id: &TokenId, label: Option<Arc<str>>) -> Result<bool, StoreError> {
        let mut step = self.login(&steps::SET_LABEL, id);
        if let Some(label) = label {
            step.arg(&*label);
        }
        self.link().ask(Step::Script(&step), Again::Harmless).await
    }

    async fn revoke(&self, id: &TokenId, revocation: Revocation) -> Result<bool, StoreError> {
        let mut step = self.login(&steps::REVOKE, id);
        write_revocation(&mut step, revocation);
        self.link().ask(Step::Script(&step), Again::Never).await
    }

    /// One step, however many logins there are.
    async fn revoke_subject(
        &self,
        subject: &Subject,
        what: SubjectRevocation,
    ) -> Result<Option<Vec<TokenId>>, StoreError> {
        let subject = name_of(subject);
        let mut step = self.step(&steps::REVOKE_SUBJECT, self.key_of("subject", &subject));
        step.arg(subject);
        write_revocation(&mut step, what.revocation);
        match &what.keep {
            Keep::Nothing => {
                step.arg("");
            }
            Keep::Untouched(id) => {
                step.arg(id.as_bytes());
            }
            Keep::Rekeyed(id, rekey) => {
                step.arg(id.as_bytes()).arg(rekey.generation);
                write_rekey(&mut step, rekey);
            }
        }
        match self.link().ask(Step::Script(&step), Again::Never).await? {
            Value::Nil => Ok(None),
            ended => list(ended)?.into_iter().map(read_id).collect::<Result<_, _>>().map(Some),
        }
    }

    /// The first step ends them all; those that mark them let others in between.
    async fn revoke_everyone(&self, revocation: Revocation) -> Result<u64, StoreError> {
        let mut era = self.step(&steps::NEW_ERA, self.key("era"));
        era.arg(new_era()?);
        let _done: bool = self.link().ask(Step::Script(&era), Again::Harmless).await?;
        let (mut marked, mut after) = (0, None);
        loop {
            let mut step = self.step(&steps::MARK_DEAD, self.key("logins"));
            step.arg(behind(after.as_ref())).arg(BATCH);
            write_revocation(&mut step, revocation);
            let (looked, last, ended): (usize, Vec<u8>, u64) =
                self.link().ask(Step::Script(&step), Again::Harmless).await?;
            marked += ended;
            if looked < BATCH {
                return Ok(marked);
            }
            after = Some(read_id(Value::BulkString(last))?);
        }
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Found>, StoreError> {
        let index = match &query.subject {
            Some(subject) => self.key_of("logins", &name_of(subject)),
            None => self.key("logins"),
        };
        let (mut listed, mut after) = (Vec::new(), query.after);
        while listed.len() < query.limit {
            let batch = BATCH.min(query.limit - listed.len());
            let mut step = self.step(&steps::LIST, index.clone());
            step.arg(behind(after.as_ref())).arg(batch);
            let (looked, last, found): (usize, Value, Value) =
                self.link().ask(Step::Script(&step), Again::Harmless).await?;
            for found in list(found)? {
                listed.push(read_found(found)?);
            }
            if looked < batch {
                break;
            }
            after = Some(read_id(last)?);
        }
        Ok(listed)
    }

    async fn purge(&self, purge: &Purge) -> Result<Vec<Arc<LoginRecord>>, StoreError> {
        match &purge.subject {
            Some(subject) => self.purge_subject(&name_of(subject), purge).await,
            None => self.purge_all(purge).await,
        }
    }

    async fn wipe_nonces(&self, settled_before: Timestamp) -> Result<u64, StoreError> {
        let (mut wiped, mut passed) = (0, 0);
        loop {
            let mut step = self.step(&steps::WIPE_NONCES, self.key("nonces"));
            step.arg(settled_before.as_millis()).arg(passed).arg(BATCH);
            let (looked, stay, done): (usize, usize, u64) =
                self.link().ask(Step::Script(&step), Again::Harmless).await?;
            wiped += done;
            passed += stay;
            if looked < BATCH {
                return Ok(wiped);
            }
        }
    }
}

impl RedisStore {
    /// Those that ended first go first.
    async fn purge_all(&self, purge: &Purge) -> Result<Vec<Arc<LoginRecord>>, StoreError> {
        let (mut removed, mut passed) = (Vec::new(), 0);
        while removed.len() < purge.limit {
            let batch = BATCH.min(purge.limit - removed.len());
            let mut step = self.step(&steps::PURGE, self.key("ends"));
            step.arg(purge.before.as_millis()).arg(passed).arg(batch).arg(LoginRecord::FORMAT);
            let (looked, stay, gone): (usize, usize, Value) =
                self.link().ask(Step::Script(&step), Again::Never).await?;
            removed.extend(read_all(gone)?);
            passed += stay;
            if looked < batch {
                break;
            }
        }
        Ok(removed)
    }

    async fn purge_subject(&self, subject: &str, purge: &Purge) -> Result<Vec<Arc<LoginRecord>>, StoreError> {
        let (mut removed, mut after) = (Vec::new(), None);
        while removed.len() < purge.limit {
            let mut step = self.step(&steps::PURGE_SUBJECT, self.key_of("logins", subject));
            step.arg(subject)
                .arg(purge.before.as_millis())
                .arg(behind(after.as_ref()))
                .arg(BATCH)
                .arg(purge.limit - removed.len())
                .arg(LoginRecord::FORMAT);
            let (looked, last, gone): (usize, Value, Value) =
                self.link().ask(Step::Script(&step), Again::Never).await?;
            removed.extend(read_all(gone)?);
            if looked < BATCH {
                break;
            }
            after = Some(read_id(last)?);
        }
        Ok(removed)
    }
}

/// A name that no era had.
fn new_era() -> Result<String, StoreError> {
    let bytes = random::bytes::<16>().map_err(StoreError::unavailable)?;
    Ok(HEXLOWER.encode(bytes.as_slice()))
}

fn write_rekey(step: &mut ScriptInvocation<'_>, rekey: &Rekey) {
    step.arg(rekey.generation.saturating_add(1))
        .arg(rekey.access.to_bytes())
        .arg(rekey.refresh.as_ref().map_or_else(Vec::new, |refresh| refresh.to_bytes()))
        .arg(rekey.lineage.expose().as_slice())
        .arg(rekey.now.as_millis())
        .arg(rekey.access_expires.as_millis())
        .arg(rekey.refresh_expires.as_millis());
}

fn write_revocation(step: &mut ScriptInvocation<'_>, revocation: Revocation) {
    step.arg(revocation.at().as_millis()).arg(revocation.reason().as_str());
}

fn read_all(logins: Value) -> Result<Vec<Arc<LoginRecord>>, StoreError> {
    list(logins)?.into_iter().map(|login| read(login).map(Arc::new)).collect()
}

fn read_id(value: Value) -> Result<TokenId, StoreError> {
    let Value::BulkString(bytes) = value else {
        return Err(StoreError::damaged("id"));
    };
    std::str::from_utf8(&bytes).ok().and_then(TokenId::parse).ok_or_else(|| StoreError::damaged("id"))
}
