//! The ends of many logins, and the removal of what has ended.

use std::sync::Arc;

use rusqlite::Row;

use super::{
    columns,
    failure::Stop,
    link::Db,
    logins::{self, all, changed, limit, one, readable},
};
use crate::{
    clock::Timestamp,
    store::{Keep, LoginRecord, Revocation, StoreError, SubjectKey, SubjectRevocation},
    text::TokenId,
};

/// Logins that are marked at a time when everybody's end: others may write in between.
const MARK_BATCH: usize = 1024;

/// Behind every id: their characters are letters and digits.
const BEHIND_ALL: &str = "~";

/// What marking the logins of one page has come to.
pub(super) struct Page {
    pub(super) marked: u64,
    /// Behind which the next page begins; none after the last.
    pub(super) last: Option<String>,
}

/// The id in the first column.
pub(super) fn id(row: &Row<'_>) -> Result<TokenId, Stop> {
    let text = row.get_ref(0)?.as_str().ok().and_then(TokenId::parse);
    text.ok_or_else(|| StoreError::damaged("id").into())
}

pub(super) fn revoke_subject(
    db: &Db,
    subject: &SubjectKey,
    what: &SubjectRevocation,
) -> Result<Option<Vec<TokenId>>, Stop> {
    let sql = db.sql();
    let raise = || one(db, &sql.raise_subject, [subject.as_bytes()], |row| Ok(row.get::<_, i64>(0)?));
    let kept = match &what.keep {
        Keep::Nothing => {
            raise()?;
            None
        }
        Keep::Untouched(id) => Some(id),
        Keep::Rekeyed(id, rekey) => {
            if !logins::rekey(db, id, rekey, Some(subject))? {
                return Ok(None);
            }
            let raised = raise()?.ok_or_else(|| StoreError::damaged("epoch"))?;
            changed(db, &sql.follow_epoch, (id.as_str(), raised))?;
            Some(id)
        }
    };
    let (at, reason) = (what.revocation.at().as_millis(), what.revocation.reason().as_str());
    let kept = kept.map(TokenId::as_str);
    let mut ended = all(db, &sql.revoke_of, (subject.as_bytes(), at, reason, kept), id)?;
    ended.sort_unstable();
    Ok(Some(ended))
}

/// Marks the logins of one page that are dead already, because everyone's or their subject's epoch was raised.
pub(super) fn mark_page(db: &Db, after: &str, revocation: Revocation) -> Result<Page, Stop> {
    let sql = db.sql();
    let last = one(db, &sql.end_of_page, (after, limit(MARK_BATCH - 1)), |row| Ok(row.get::<_, String>(0)?))?;
    let (at, reason) = (revocation.at().as_millis(), revocation.reason().as_str());
    let end = last.as_deref().unwrap_or(BEHIND_ALL);
    let marked = db.prepare_cached(&sql.mark_page)?.execute((after, end, at, reason))?;
    Ok(Page { marked: marked as u64, last })
}

/// A subject without logins needs no epoch: whatever was issued to it is gone, and the next login starts a random one.
pub(super) fn purge(
    db: &Db,
    subject: Option<&SubjectKey>,
    before: Timestamp,
    count: usize,
) -> Result<Vec<Arc<LoginRecord>>, Stop> {
    let (sql, before) = (db.sql(), before.as_millis());
    let found = match subject {
        Some(key) => readable(db, &sql.purgeable_of, (before, key.as_bytes()), count, columns::found)?,
        None => readable(db, &sql.purgeable, [before], count, columns::found)?,
    };
    for found in &found {
        changed(db, &sql.remove, [found.record.id().as_str()])?;
    }
    for found in &found {
        changed(db, &sql.forget_subject, [SubjectKey::of(found.record.subject()).as_bytes()])?;
    }
    Ok(found.into_iter().map(|found| found.record).collect())
}
