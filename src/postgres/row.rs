//! Rows as they are kept, and the records that they are.

use std::sync::Arc;

use tokio_postgres::{Row, types::FromSql};

use super::value::Value;
use crate::{
    clock::Timestamp,
    credential::Channel,
    event::RevokeReason,
    identity::{Issuer, Subject},
    scope::Scope,
    secret::SecretBytes,
    store::{
        Context, Data, Digest, Epoch, Found, KeyRecord, Life, LoginColumns, LoginRecord, Revocation,
        StoreError,
    },
    text::TokenId,
};

/// In the order in which they are read.
pub(super) const LOGIN_COLUMNS: [&str; 33] = [
    "id",
    "format",
    "issuer",
    "subject",
    "channel",
    "browser_session",
    "tenant",
    "client",
    "key_thumbprint",
    "scope",
    "label",
    "context",
    "data",
    "version",
    "access",
    "refresh",
    "previous",
    "nonce",
    "lineage",
    "generation",
    "rotated_at",
    "confirmed_at",
    "grace_hits",
    "created",
    "last_seen",
    "access_ttl",
    "refresh_ttl",
    "access_expires",
    "refresh_expires",
    "absolute_expires",
    "epoch",
    "revoked_at",
    "revoked_reason",
];

/// In the order in which they are read.
pub(super) const KEY_COLUMNS: [&str; 16] = [
    "id",
    "format",
    "issuer",
    "owner",
    "kind",
    "tenant",
    "scope",
    "label",
    "context",
    "version",
    "digest",
    "created",
    "expires",
    "last_used",
    "revoked_at",
    "revoked_reason",
];

/// Reads one column after the other.
struct Columns<'a> {
    row: &'a Row,
    names: &'static [&'static str],
    at: usize,
}

/// A login, with its subject's epoch behind it.
pub(super) fn found(row: &Row) -> Result<Found, StoreError> {
    let epoch: Option<i64> =
        row.try_get(LOGIN_COLUMNS.len()).map_err(|_shows_the_row| StoreError::damaged("epoch"))?;
    let epoch = epoch.map(|epoch| Epoch::from_number(epoch.cast_unsigned()));
    Ok(Found::new(Arc::new(login(row)?), epoch))
}

/// A login.
pub(super) fn login(row: &Row) -> Result<LoginRecord, StoreError> {
    let mut read = Columns { row, names: &LOGIN_COLUMNS, at: 0 };
    let id = read.id()?;
    read.format(LoginRecord::FORMAT)?;
    let subject = read.subject()?;
    let channel = read.parsed(Channel::from_name)?;
    let browser_session = read.next()?;
    let (tenant, client, key_thumbprint) = (read.text()?, read.text()?, read.text()?);
    let (scope, label) = (read.scope()?, read.text()?);
    let context = read.parsed(|text| Context::from_json(text).ok())?;
    let data = read.maybe_parsed(|text| Data::from_json(text).ok())?.unwrap_or_default();
    let version = read.number()?;
    let (access, refresh, previous) = (read.digest()?, read.maybe_digest()?, read.maybe_digest()?);
    let (nonce, lineage) = (read.maybe_secret()?, read.maybe_secret()?);
    let lineage = lineage.ok_or_else(|| StoreError::damaged("lineage"))?;
    let mut columns = LoginColumns::new(id, subject, channel, access, lineage, Timestamp::NEVER);
    columns.browser_session = browser_session;
    (columns.tenant, columns.client, columns.key_thumbprint) = (tenant, client, key_thumbprint);
    (columns.scope, columns.label, columns.context) = (scope, label, context);
    (columns.data, columns.version) = (data, version);
    (columns.refresh, columns.previous, columns.nonce) = (refresh, previous, nonce);
    columns.generation = read.small()?;
    columns.rotated_at = read.moment()?;
    columns.confirmed_at = read.moment()?;
    columns.grace_hits = read.small()?;
    columns.created = read.moment()?;
    columns.last_seen = read.moment()?;
    columns.access_ttl = Life::from_millis(read.next()?);
    columns.refresh_ttl = Life::from_millis(read.next()?);
    columns.access_expires = read.moment()?;
    columns.refresh_expires = read.moment()?;
    columns.absolute_expires = read.moment()?;
    columns.epoch = Epoch::from_number(read.number()?);
    columns.revoked = read.revocation()?;
    Ok(columns.into())
}

/// An API key.
pub(super) fn key(row: &Row) -> Result<KeyRecord, StoreError> {
    let mut read = Columns { row, names: &KEY_COLUMNS, at: 0 };
    let id = read.id()?;
    read.format(KeyRecord::FORMAT)?;
    let owner = read.subject()?;
    let kind = read.text()?.ok_or_else(|| StoreError::damaged("kind"))?;
    let (tenant, scope, label) = (read.text()?, read.scope()?, read.text()?);
    let context = read.parsed(|text| Context::from_json(text).ok())?;
    let (version, digest, created) = (read.number()?, read.digest()?, read.moment()?);
    let mut record = KeyRecord::new(id, owner, kind, digest, created);
    (record.tenant, record.scope, record.label) = (tenant, scope, label);
    (record.context, record.version) = (context, version);
    record.expires = read.moment()?;
    record.last_used = read.moment()?;
    record.revoked = read.revocation()?;
    Ok(record)
}

/// What is written of a scope; an empty one is no list that could be parsed.
pub(super) fn scope_text(scope: Option<&Scope>) -> Option<String> {
    scope.map(Scope::to_string)
}

/// What is written of a text that may hold any character.
pub(super) fn text_value<'a>(text: Option<&'a Arc<str>>) -> Value<'a> {
    text.map(|text| text.as_bytes()).into()
}

// ===== impl Columns =====

impl<'a> Columns<'a> {
    fn next<T: FromSql<'a>>(&mut self) -> Result<T, StoreError> {
        let at = self.at;
        self.at += 1;
        self.row.try_get(at).map_err(|_shows_the_column| StoreError::damaged(self.names[at]))
    }

    /// The name of the column that was read last.
    fn damaged(&self) -> StoreError {
        StoreError::damaged(self.names[self.at - 1])
    }

    fn parsed<T>(&mut self, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, StoreError> {
        let text: &str = self.next()?;
        parse(text).ok_or_else(|| self.damaged())
    }

    fn maybe_parsed<T>(&mut self, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, StoreError> {
        let text: Option<&str> = self.next()?;
        text.map(|text| parse(text).ok_or_else(|| self.damaged())).transpose()
    }

    fn id(&mut self) -> Result<TokenId, StoreError> {
        self.parsed(TokenId::parse)
    }

    /// Columns that this version does not know may mean anything: what cannot be read as it was meant is not read.
    fn format(&mut self, known: u16) -> Result<(), StoreError> {
        let format: i16 = self.next()?;
        let is_known = u16::try_from(format).is_ok_and(|format| format <= known);
        if is_known { Ok(()) } else { Err(self.damaged()) }
    }

    fn bytes_as_text(&mut self) -> Result<Option<&'a str>, StoreError> {
        let bytes: Option<&[u8]> = self.next()?;
        bytes.map(std::str::from_utf8).transpose().map_err(|_shows_a_position| self.damaged())
    }

    fn text(&mut self) -> Result<Option<Arc<str>>, StoreError> {
        Ok(self.bytes_as_text()?.map(Arc::from))
    }

    fn subject(&mut self) -> Result<Subject, StoreError> {
        let issuer = self.bytes_as_text()?.and_then(Issuer::from_name).ok_or_else(|| self.damaged())?;
        let id = self.bytes_as_text()?.ok_or_else(|| self.damaged())?;
        Ok(Subject::new(issuer, id))
    }

    fn scope(&mut self) -> Result<Option<Arc<Scope>>, StoreError> {
        let parse =
            |text: &str| if text.is_empty() { Some(Scope::default()) } else { Scope::parse(text).ok() };
        Ok(self.maybe_parsed(parse)?.map(Arc::new))
    }

    fn maybe_digest(&mut self) -> Result<Option<Digest>, StoreError> {
        let bytes: Option<&[u8]> = self.next()?;
        bytes.map(|bytes| Digest::from_bytes(bytes).ok_or_else(|| self.damaged())).transpose()
    }

    fn digest(&mut self) -> Result<Digest, StoreError> {
        self.maybe_digest()?.ok_or_else(|| self.damaged())
    }

    fn maybe_secret(&mut self) -> Result<Option<SecretBytes>, StoreError> {
        let bytes: Option<&[u8]> = self.next()?;
        let secret = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).ok().map(SecretBytes::new);
        bytes.map(|bytes| secret(bytes).ok_or_else(|| self.damaged())).transpose()
    }

    /// All of 64 bits.
    fn number(&mut self) -> Result<u64, StoreError> {
        self.next().map(i64::cast_unsigned)
    }

    fn small(&mut self) -> Result<u32, StoreError> {
        let number: i64 = self.next()?;
        u32::try_from(number).map_err(|_out_of_range| self.damaged())
    }

    fn moment(&mut self) -> Result<Timestamp, StoreError> {
        self.next().map(Timestamp::from_millis)
    }

    fn revocation(&mut self) -> Result<Option<Revocation>, StoreError> {
        let at: Option<i64> = self.next()?;
        let reason: Option<&str> = self.next()?;
        let reason = reason.map_or(RevokeReason::Other, RevokeReason::from_name);
        Ok(at.map(|at| Revocation::new(Timestamp::from_millis(at), reason)))
    }
}
