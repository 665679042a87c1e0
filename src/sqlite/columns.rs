//! Rows, column by column.

use std::sync::Arc;

use rusqlite::{Row, types::ValueRef};

use super::failure::{Failure, Stop};
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

/// Reads a row from left to right.
pub(super) struct Columns<'a> {
    row: &'a Row<'a>,
    next: usize,
}

/// A login's epoch is the sum of its subject's and of everyone's. Both only rise, so two sums are the same only if both
/// parts are.
pub(super) fn epoch(own: i64, everyone: i64) -> Epoch {
    Epoch::from_number(own.cast_unsigned().wrapping_add(everyone.cast_unsigned()))
}

/// The subject's part of an epoch that is to be this one.
pub(super) fn own_part(epoch: Epoch, everyone: i64) -> i64 {
    epoch.number().wrapping_sub(everyone.cast_unsigned()).cast_signed()
}

/// A login and the epoch of its subject.
pub(super) fn found(row: &Row<'_>) -> Result<Found, Stop> {
    let mut columns = Columns { row, next: 0 };
    columns.format(LoginRecord::FORMAT)?;
    let (id, subject, channel) = (columns.id()?, columns.subject()?, columns.channel()?);
    let browser_session = columns.int("browser_session")? != 0;
    let (tenant, client) = (columns.maybe_text("tenant")?, columns.maybe_text("client")?);
    let (key_thumbprint, scope) = (columns.maybe_text("key_thumbprint")?, columns.scope()?);
    let (label, context) = (columns.maybe_text("label")?, columns.context()?);
    let (data, version) = (columns.data()?, columns.int("version")?.cast_unsigned());
    let (access, refresh) = (columns.digest("access")?, columns.maybe_digest("refresh")?);
    let (previous, nonce) = (columns.maybe_digest("previous")?, columns.maybe_secret("nonce")?);
    let lineage = columns.maybe_secret("lineage")?.ok_or_else(|| damaged("lineage"))?;
    let generation = columns.small("generation")?;
    let mut login = LoginColumns::new(id, subject, channel, access, lineage, Timestamp::NEVER);
    (login.browser_session, login.tenant, login.client) = (browser_session, tenant, client);
    (login.key_thumbprint, login.scope, login.label) = (key_thumbprint, scope, label);
    (login.context, login.data, login.version) = (context, data, version);
    (login.refresh, login.previous, login.nonce) = (refresh, previous, nonce);
    login.generation = generation;
    login.rotated_at = columns.time("rotated_at")?;
    login.confirmed_at = columns.time("confirmed_at")?;
    login.grace_hits = columns.small("grace_hits")?;
    login.created = columns.time("created")?;
    login.last_seen = columns.time("last_seen")?;
    login.access_ttl = Life::from_millis(columns.int("access_ttl")?);
    login.refresh_ttl = Life::from_millis(columns.int("refresh_ttl")?);
    login.access_expires = columns.time("access_expires")?;
    login.refresh_expires = columns.time("refresh_expires")?;
    login.absolute_expires = columns.time("absolute_expires")?;
    login.epoch = epoch(columns.int("epoch")?, columns.int("everyone")?);
    login.revoked = columns.revocation()?;
    let (own, everyone) = (columns.maybe_int("epoch")?, columns.maybe_int("everyone")?);
    let current = own.zip(everyone).map(|(own, everyone)| epoch(own, everyone));
    Ok(Found::new(Arc::new(LoginRecord::from(login)), current))
}

/// An API key.
pub(super) fn key(row: &Row<'_>) -> Result<Arc<KeyRecord>, Stop> {
    let mut columns = Columns { row, next: 0 };
    columns.format(KeyRecord::FORMAT)?;
    let (id, owner) = (columns.id()?, columns.subject()?);
    let kind: Arc<str> = columns.text("kind")?.into();
    let (tenant, scope) = (columns.maybe_text("tenant")?, columns.scope()?);
    let (label, context) = (columns.maybe_text("label")?, columns.context()?);
    let (version, digest) = (columns.int("version")?.cast_unsigned(), columns.digest("digest")?);
    let mut record = KeyRecord::new(id, owner, kind, digest, columns.time("created")?);
    (record.tenant, record.scope, record.label) = (tenant, scope, label);
    (record.context, record.version) = (context, version);
    record.expires = columns.time("expires")?;
    record.last_used = columns.time("last_used")?;
    record.revoked = columns.revocation()?;
    Ok(Arc::new(record))
}

fn damaged(column: &'static str) -> Stop {
    StoreError::damaged(column).into()
}

// ===== impl Columns =====

impl<'a> Columns<'a> {
    fn value(&mut self) -> Result<ValueRef<'a>, Failure> {
        let value = self.row.get_ref(self.next)?;
        self.next += 1;
        Ok(value)
    }

    fn maybe_int(&mut self, column: &'static str) -> Result<Option<i64>, Stop> {
        self.value()?.as_i64_or_null().map_err(|_other| damaged(column))
    }

    fn int(&mut self, column: &'static str) -> Result<i64, Stop> {
        self.value()?.as_i64().map_err(|_other| damaged(column))
    }

    fn small(&mut self, column: &'static str) -> Result<u32, Stop> {
        self.int(column)?.try_into().map_err(|_range| damaged(column))
    }

    fn time(&mut self, column: &'static str) -> Result<Timestamp, Stop> {
        self.int(column).map(Timestamp::from_millis)
    }

    fn text(&mut self, column: &'static str) -> Result<&'a str, Stop> {
        self.value()?.as_str().map_err(|_other| damaged(column))
    }

    fn maybe_str(&mut self, column: &'static str) -> Result<Option<&'a str>, Stop> {
        self.value()?.as_str_or_null().map_err(|_other| damaged(column))
    }

    fn maybe_text(&mut self, column: &'static str) -> Result<Option<Arc<str>>, Stop> {
        Ok(self.maybe_str(column)?.map(Arc::from))
    }

    fn maybe_bytes(&mut self, column: &'static str) -> Result<Option<&'a [u8]>, Stop> {
        self.value()?.as_blob_or_null().map_err(|_other| damaged(column))
    }

    /// A row of a later format has columns that are not known here.
    fn format(&mut self, known: u16) -> Result<(), Stop> {
        let format = self.int("format")?;
        if format > i64::from(known) { Err(damaged("format")) } else { Ok(()) }
    }

    fn id(&mut self) -> Result<TokenId, Stop> {
        TokenId::parse(self.text("id")?).ok_or_else(|| damaged("id"))
    }

    fn subject(&mut self) -> Result<Subject, Stop> {
        let issuer = Issuer::from_name(self.text("issuer")?).ok_or_else(|| damaged("issuer"))?;
        Ok(Subject::new(issuer, self.text("subject")?))
    }

    fn channel(&mut self) -> Result<Channel, Stop> {
        Channel::from_name(self.text("channel")?).ok_or_else(|| damaged("channel"))
    }

    fn scope(&mut self) -> Result<Option<Arc<Scope>>, Stop> {
        let text = self.maybe_str("scope")?;
        // A scope without words is no text that could be parsed.
        let scope = text.map(|text| if text.is_empty() { Ok(Scope::default()) } else { Scope::parse(text) });
        Ok(scope.transpose().map_err(|_other| damaged("scope"))?.map(Arc::new))
    }

    fn context(&mut self) -> Result<Context, Stop> {
        Context::from_json(self.text("context")?).map_err(|_other| damaged("context"))
    }

    fn data(&mut self) -> Result<Data, Stop> {
        let data = self.maybe_str("data")?.map(Data::from_json).transpose();
        Ok(data.map_err(|_other| damaged("data"))?.unwrap_or_default())
    }

    fn digest(&mut self, column: &'static str) -> Result<Digest, Stop> {
        self.maybe_digest(column)?.ok_or_else(|| damaged(column))
    }

    fn maybe_digest(&mut self, column: &'static str) -> Result<Option<Digest>, Stop> {
        let bytes = self.maybe_bytes(column)?;
        bytes.map(|bytes| Digest::from_bytes(bytes).ok_or_else(|| damaged(column))).transpose()
    }

    fn maybe_secret(&mut self, column: &'static str) -> Result<Option<SecretBytes>, Stop> {
        let bytes = self.maybe_bytes(column)?.map(<[u8; 32]>::try_from).transpose();
        Ok(bytes.map_err(|_length| damaged(column))?.map(SecretBytes::new))
    }

    fn revocation(&mut self) -> Result<Option<Revocation>, Stop> {
        let (at, reason) = (self.maybe_int("revoked_at")?, self.maybe_str("revoked_for")?);
        let reason = RevokeReason::from_name(reason.unwrap_or_default());
        Ok(at.map(|at| Revocation::new(Timestamp::from_millis(at), reason)))
    }
}
