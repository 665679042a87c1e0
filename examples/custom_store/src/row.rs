//! A login as a row, and back.

use portcullis::{
    clock::Timestamp,
    credential::Channel,
    event::RevokeReason,
    identity::{Issuer, Subject},
    scope::Scope,
    secret::SecretBytes,
    store::{
        Context, Data, Digest, Epoch, Found, Life, LoginColumns, LoginRecord, Revocation, StoreError,
        SubjectKey,
    },
    text::TokenId,
};
use sqlx::{Executor, Row, Sqlite, sqlite::SqliteRow};
use std::sync::Arc;

/// Numbers of 64 bits without a sign are kept as the same bits with one.
pub(crate) fn epoch_to_sql(epoch: Epoch) -> i64 {
    epoch.number().cast_signed()
}

pub(crate) fn epoch_from_sql(number: i64) -> Epoch {
    Epoch::from_number(number.cast_unsigned())
}

/// Adds a row. An id that is taken is the database's error.
pub(crate) async fn insert(
    connection: impl Executor<'_, Database = Sqlite>,
    record: &LoginRecord,
) -> Result<(), sqlx::Error> {
    let row = LoginColumns::from(record);
    sqlx::query(
        "insert into logins (
             id, format, subject_key, issuer, subject, channel, browser_session, tenant, client, key_thumbprint,
             scope, label, context, data, version, access, refresh, previous, nonce, lineage, generation,
             rotated_at, confirmed_at, grace_hits, created, last_seen, access_ttl, refresh_ttl, access_expires,
             refresh_expires, absolute_expires, epoch, revoked_at, revoked_for)
         values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(row.id.as_str().to_owned())
    .bind(i64::from(LoginRecord::FORMAT))
    .bind(SubjectKey::of(&row.subject).as_bytes().to_vec())
    .bind(row.subject.issuer().to_name().into_owned())
    .bind(row.subject.id().as_bytes().to_vec())
    .bind(row.channel.as_str())
    .bind(row.browser_session)
    .bind(row.tenant.as_deref().map(|text| text.as_bytes().to_vec()))
    .bind(row.client.as_deref().map(|text| text.as_bytes().to_vec()))
    .bind(row.key_thumbprint.as_deref().map(|text| text.as_bytes().to_vec()))
    .bind(row.scope.as_deref().map(Scope::to_string))
    .bind(row.label.as_deref().map(|text| text.as_bytes().to_vec()))
    .bind(row.context.as_json().to_owned())
    .bind(row.data.as_json().map(str::to_owned))
    .bind(row.version.cast_signed())
    .bind(row.access.to_bytes())
    .bind(row.refresh.as_ref().map(Digest::to_bytes))
    .bind(row.previous.as_ref().map(Digest::to_bytes))
    .bind(row.nonce.as_ref().map(|nonce| nonce.expose().to_vec()))
    .bind(row.lineage.expose().to_vec())
    .bind(i64::from(row.generation))
    .bind(row.rotated_at.as_millis())
    .bind(row.confirmed_at.as_millis())
    .bind(i64::from(row.grace_hits))
    .bind(row.created.as_millis())
    .bind(row.last_seen.as_millis())
    .bind(row.access_ttl.as_millis())
    .bind(row.refresh_ttl.as_millis())
    .bind(row.access_expires.as_millis())
    .bind(row.refresh_expires.as_millis())
    .bind(row.absolute_expires.as_millis())
    .bind(epoch_to_sql(row.epoch))
    .bind(row.revoked.map(|revoked| revoked.at().as_millis()))
    .bind(row.revoked.map(|revoked| revoked.reason().as_str()))
    .execute(connection)
    .await?;
    Ok(())
}

/// A login with its subject's epoch, which the query calls `subject_epoch`.
pub(crate) fn found(row: &SqliteRow) -> Result<Found, StoreError> {
    let epoch: Option<i64> = column(row, "subject_epoch")?;
    Ok(Found::new(Arc::new(record(row)?), epoch.map(epoch_from_sql)))
}

pub(crate) fn record(row: &SqliteRow) -> Result<LoginRecord, StoreError> {
    let format: i64 = column(row, "format")?;
    if format > i64::from(LoginRecord::FORMAT) {
        return Err(StoreError::damaged("format"));
    }
    let id = TokenId::parse(column(row, "id")?).ok_or(StoreError::damaged("id"))?;
    let issuer = Issuer::from_name(column(row, "issuer")?).ok_or(StoreError::damaged("issuer"))?;
    let subject = text(row, "subject")?.ok_or(StoreError::damaged("subject"))?;
    let channel = Channel::from_name(column(row, "channel")?).ok_or(StoreError::damaged("channel"))?;
    let access = digest(row, "access")?.ok_or(StoreError::damaged("access"))?;
    let lineage = secret(row, "lineage")?.ok_or(StoreError::damaged("lineage"))?;
    let created = moment(row, "created")?;
    let subject = Subject::new(issuer, &*subject);
    let mut login = LoginColumns::new(id, subject, channel, access, lineage, created);
    login.browser_session = column(row, "browser_session")?;
    login.tenant = text(row, "tenant")?;
    login.client = text(row, "client")?;
    login.key_thumbprint = text(row, "key_thumbprint")?;
    login.label = text(row, "label")?;
    if let Some(scope) = column::<Option<&str>>(row, "scope")? {
        login.scope = Some(Arc::new(Scope::parse(scope).map_err(|_| StoreError::damaged("scope"))?));
    }
    login.context =
        Context::from_json(column(row, "context")?).map_err(|_| StoreError::damaged("context"))?;
    if let Some(data) = column::<Option<&str>>(row, "data")? {
        login.data = Data::from_json(data).map_err(|_| StoreError::damaged("data"))?;
    }
    login.version = column::<i64>(row, "version")?.cast_unsigned();
    login.refresh = digest(row, "refresh")?;
    login.previous = digest(row, "previous")?;
    login.nonce = secret(row, "nonce")?;
    login.generation = small(row, "generation")?;
    login.rotated_at = moment(row, "rotated_at")?;
    login.confirmed_at = moment(row, "confirmed_at")?;
    login.grace_hits = small(row, "grace_hits")?;
    login.last_seen = moment(row, "last_seen")?;
    login.access_ttl = Life::from_millis(column(row, "access_ttl")?);
    login.refresh_ttl = Life::from_millis(column(row, "refresh_ttl")?);
    login.access_expires = moment(row, "access_expires")?;
    login.refresh_expires = moment(row, "refresh_expires")?;
    login.absolute_expires = moment(row, "absolute_expires")?;
    login.epoch = epoch_from_sql(column(row, "epoch")?);
    if let Some(at) = column::<Option<i64>>(row, "revoked_at")? {
        let reason = column::<Option<&str>>(row, "revoked_for")?.unwrap_or_default();
        login.revoked = Some(Revocation::new(Timestamp::from_millis(at), RevokeReason::from_name(reason)));
    }
    Ok(login.into())
}

fn column<'r, T: sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite>>(
    row: &'r SqliteRow,
    name: &'static str,
) -> Result<T, StoreError> {
    row.try_get(name).map_err(|_| StoreError::damaged(name))
}

fn text(row: &SqliteRow, name: &'static str) -> Result<Option<Arc<str>>, StoreError> {
    let Some(bytes) = column::<Option<&[u8]>>(row, name)? else { return Ok(None) };
    let text = std::str::from_utf8(bytes).map_err(|_| StoreError::damaged(name))?;
    Ok(Some(text.into()))
}

fn digest(row: &SqliteRow, name: &'static str) -> Result<Option<Digest>, StoreError> {
    let Some(bytes) = column::<Option<&[u8]>>(row, name)? else { return Ok(None) };
    Digest::from_bytes(bytes).map(Some).ok_or(StoreError::damaged(name))
}

fn secret(row: &SqliteRow, name: &'static str) -> Result<Option<SecretBytes>, StoreError> {
    let Some(bytes) = column::<Option<&[u8]>>(row, name)? else { return Ok(None) };
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| StoreError::damaged(name))?;
    Ok(Some(SecretBytes::new(bytes)))
}

fn moment(row: &SqliteRow, name: &'static str) -> Result<Timestamp, StoreError> {
    Ok(Timestamp::from_millis(column(row, name)?))
}

fn small(row: &SqliteRow, name: &'static str) -> Result<u32, StoreError> {
    u32::try_from(column::<i64>(row, name)?).map_err(|_| StoreError::damaged(name))
}
