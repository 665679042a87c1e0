//! A new login, and what happens to others for it.

use std::sync::Arc;

use rusqlite::params;

use super::{
    columns, ends,
    failure::Stop,
    link::Db,
    logins::{self, BATCH, all, changed, one, readable},
};
use crate::{
    event::RevokeReason,
    store::{
        Inserted, Insertion, LiveLimit, LoginColumns, LoginRecord, Revocation, StoreError, StoreErrorKind,
        SubjectKey,
    },
    text::TokenId,
};

/// All of it, or none.
pub(super) fn insert(db: &Db, record: &LoginRecord, insertion: &Insertion) -> Result<Inserted, Stop> {
    let sql = db.sql();
    let mut login = LoginColumns::from(record);
    if one(db, &sql.is_taken, [login.id.as_str()], |_row| Ok(()))?.is_some() {
        return Err(StoreError::new(StoreErrorKind::Conflict).into());
    }
    let mut purged = make_room(db, insertion)?;
    let subject = SubjectKey::of(&login.subject);
    let everyone =
        one(db, &sql.everyone, [], |row| Ok(row.get(0)?))?.ok_or(StoreError::damaged("everyone"))?;
    let known: Option<i64> = one(db, &sql.subject, [subject.as_bytes()], |row| Ok(row.get(0)?))?;
    let (ended, over) = match known {
        Some(_) => room_for(db, &subject, insertion)?,
        None => (Vec::new(), Vec::new()),
    };
    for id in over.iter().map(|record| record.id()) {
        changed(db, &sql.remove, [id.as_str()])?;
    }
    let superseded = Revocation::new(insertion.now, RevokeReason::Superseded);
    for id in &ended {
        logins::revoke(db, id, superseded)?;
    }
    let replaced = match &insertion.replaces {
        Some(id) => logins::revoke(db, id, superseded)?,
        None => false,
    };
    let own = match known {
        Some(own) => own,
        None => {
            let own = columns::own_part(insertion.first_epoch, everyone);
            let (issuer, id) = (login.subject.issuer().to_name(), login.subject.id());
            changed(db, &sql.add_subject, params![subject.as_bytes(), issuer, id, own])?;
            own
        }
    };
    login.epoch = columns::epoch(own, everyone);
    add(db, &login, &subject, (own, everyone))?;
    purged.extend(over);
    Ok(Inserted { record: Arc::new(LoginRecord::from(login)), ended, replaced, purged })
}

/// Returns what had to go for it.
fn make_room(db: &Db, insertion: &Insertion) -> Result<Vec<Arc<LoginRecord>>, Stop> {
    let mut purged = Vec::new();
    db.make_room(|| {
        let batch = ends::purge(db, None, insertion.purge_before, BATCH)?;
        let some = !batch.is_empty();
        purged.extend(batch);
        Ok(some)
    })?;
    Ok(purged)
}

/// What makes room for a login of this subject under its limit: the logins that have to end for it, and those that have
/// ended long enough ago to be removed. The subject's own go first: else a loop of logins and logouts would make each login
/// dearer than the one before.
fn room_for(
    db: &Db,
    subject: &SubjectKey,
    insertion: &Insertion,
) -> Result<(Vec<TokenId>, Vec<Arc<LoginRecord>>), Stop> {
    let (max, refuse) = match insertion.limit {
        LiveLimit::Unlimited => return Ok((Vec::new(), Vec::new())),
        LiveLimit::Refuse(max) => (max as usize, true),
        LiveLimit::EndOldest(max) => (max as usize, false),
    };
    let (sql, now) = (db.sql(), insertion.now.as_millis());
    let replaced = insertion.replaces.as_ref().map(TokenId::as_str);
    let live = all(db, &sql.live, (subject.as_bytes(), now, replaced), ends::id)?;
    let surplus = (live.len() + 1).saturating_sub(max);
    if surplus > 0 && refuse {
        return Err(StoreError::new(StoreErrorKind::LimitReached).into());
    }
    let ended = live.into_iter().take(surplus).collect();
    let before = insertion.purge_before.as_millis();
    let over = readable(db, &sql.over, (subject.as_bytes(), before, now), BATCH, columns::found)?;
    Ok((ended, over.into_iter().map(|found| found.record).collect()))
}

fn add(
    db: &Db,
    login: &LoginColumns,
    subject: &SubjectKey,
    (own, everyone): (i64, i64),
) -> Result<bool, Stop> {
    changed(
        db,
        &db.sql().add,
        params![
            login.id.as_str(),
            LoginRecord::FORMAT,
            subject.as_bytes(),
            login.channel.as_str(),
            login.browser_session,
            login.tenant.as_deref(),
            login.client.as_deref(),
            login.key_thumbprint.as_deref(),
            login.scope.as_ref().map(ToString::to_string),
            login.label.as_deref(),
            login.context.as_json(),
            login.data.as_json(),
            login.version.cast_signed(),
            login.access.to_bytes(),
            login.refresh.as_ref().map(|digest| digest.to_bytes()),
            login.previous.as_ref().map(|digest| digest.to_bytes()),
            login.nonce.as_ref().map(|nonce| nonce.expose()),
            login.lineage.expose(),
            login.generation,
            login.rotated_at.as_millis(),
            login.confirmed_at.as_millis(),
            login.grace_hits,
            login.created.as_millis(),
            login.last_seen.as_millis(),
            login.access_ttl.as_millis(),
            login.refresh_ttl.as_millis(),
            login.access_expires.as_millis(),
            login.refresh_expires.as_millis(),
            login.absolute_expires.as_millis(),
            own,
            everyone,
            login.revoked.map(|revocation| revocation.at().as_millis()),
            login.revoked.map(|revocation| revocation.reason().as_str()),
        ],
    )
}
