//! A token as it is shared, and its fields as bytes.

use std::{fmt, sync::Arc, time::Duration};

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::super::token::AccessToken;
use crate::{
    clock::{Monotonic, Timestamp},
    secret::Secret,
    store::LeaseVersion,
};

/// The first byte of every record.
const FORMAT: u8 = 1;

/// A token that is shared, or that could not be.
#[derive(Clone)]
pub struct SharedToken {
    pub(super) token: Arc<AccessToken>,
    pub(super) version: Option<LeaseVersion>,
    pub(super) received: Monotonic,
    /// What was left of its life then.
    pub(super) left: Duration,
    /// Its life when it was fetched.
    pub(super) life: Duration,
    pub(super) made_at: Timestamp,
    pub(super) made_from: Arc<[LeaseVersion]>,
    pub(super) fetched: bool,
}

/// What of a token is kept. Everything but the moments is the token's own.
pub(super) struct Fields {
    pub(super) token: Arc<AccessToken>,
    /// The access token's life when it was written.
    pub(super) life: Duration,
    /// The record's life when it was written.
    pub(super) kept: Duration,
    /// The access token's end by the writer's clock.
    pub(super) expires_at: Timestamp,
    /// When its fetch began, by the writer's clock.
    pub(super) made_at: Timestamp,
    pub(super) made_from: Arc<[LeaseVersion]>,
}

/// Each field is its tag, its length in four bytes, and its bytes; numbers have eight, big-endian. A reader passes
/// over tags that it does not know, so that processes of two releases can share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Tag {
    Value = 1,
    Type = 2,
    Life = 3,
    Kept = 4,
    ExpiresAt = 5,
    MadeAt = 6,
    Refresh = 7,
    Scope = 8,
    Extra = 9,
    RefreshIn = 10,
    MadeFrom = 11,
}

// ===== impl SharedToken =====

impl SharedToken {
    /// The token. Its lifetime is what was left when it was [received](Self::received).
    pub fn token(&self) -> &AccessToken {
        &self.token
    }

    /// Its version in the store. `None` if it is not there: this process alone knows it.
    pub fn version(&self) -> Option<LeaseVersion> {
        self.version
    }

    /// When this process got it.
    pub fn received(&self) -> Monotonic {
        self.received
    }

    /// When its fetch began, by the clock of whoever fetched it.
    pub fn made_at(&self) -> Timestamp {
        self.made_at
    }

    /// The versions of the shared tokens that it was made from, in the order in which its step names them.
    pub fn made_from(&self) -> &[LeaseVersion] {
        &self.made_from
    }

    /// Whether this process has fetched it, rather than taken it over.
    pub fn was_fetched(&self) -> bool {
        self.fetched
    }

    /// What is left of its life.
    pub(in crate::pipeline) fn remaining(&self, now: Monotonic) -> Duration {
        self.left.saturating_sub(now.since(self.received))
    }

    /// Its life when it was fetched, by whomever.
    pub(in crate::pipeline) fn life(&self) -> Duration {
        self.life
    }

    /// One that this process has just fetched and nobody else knows.
    pub(in crate::pipeline) fn own(
        token: AccessToken,
        life: Duration,
        received: Monotonic,
        made_at: Timestamp,
    ) -> Self {
        let made_from = Arc::default();
        let token = Arc::new(token);
        Self { token, version: None, received, left: life, life, made_at, made_from, fetched: true }
    }
}

impl fmt::Debug for SharedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedToken")
            .field("token", &self.token)
            .field("version", &self.version)
            .field("fetched", &self.fetched)
            .finish_non_exhaustive()
    }
}

// ===== impl Fields =====

impl Fields {
    /// What is left of the access token: by its end as the writer's clock had it, and by how long the store has
    /// kept it, whichever is less. A clock that is behind adds nothing.
    pub(super) fn remaining(&self, now: Timestamp, left_in_store: Duration) -> Duration {
        let in_store = self.kept.saturating_sub(left_in_store);
        self.expires_at.since(now).min(self.life.saturating_sub(in_store)).min(left_in_store)
    }

    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let token = &self.token;
        let extra = if token.extra().is_empty() { Vec::new() } else { json(token.extra()) };
        let extra = Zeroizing::new(extra);
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX).to_be_bytes();
        let (life, kept) = (millis(self.life), millis(self.kept));
        let refresh_in = token.refresh_in().map(millis);
        let made_from: Vec<u8> = self.made_from.iter().flat_map(|from| from.get().to_be_bytes()).collect();
        let (end, made) = (self.expires_at.as_millis().to_be_bytes(), self.made_at.as_millis().to_be_bytes());
        let fields: [(Tag, Option<&[u8]>); 11] = [
            (Tag::Value, Some(token.value().expose().as_bytes())),
            (Tag::Type, token.token_type().map(str::as_bytes)),
            (Tag::Life, Some(&life)),
            (Tag::Kept, Some(&kept)),
            (Tag::ExpiresAt, Some(&end)),
            (Tag::MadeAt, Some(&made)),
            (Tag::Refresh, token.refresh().map(|refresh| refresh.expose().as_bytes())),
            (Tag::Scope, token.scope().map(str::as_bytes)),
            (Tag::Extra, (!extra.is_empty()).then_some(extra.as_slice())),
            (Tag::RefreshIn, refresh_in.as_ref().map(<[u8; 8]>::as_slice)),
            (Tag::MadeFrom, (!made_from.is_empty()).then_some(made_from.as_slice())),
        ];
        let present = || fields.iter().filter_map(|(tag, field)| field.map(|field| (*tag, field)));
        // Made as large as it will be: a grown-out buffer would be left behind unwiped.
        let mut out = Zeroizing::new(Vec::with_capacity(
            1 + present().map(|(_, field)| 5 + field.len()).sum::<usize>(),
        ));
        out.push(FORMAT);
        for (tag, field) in present() {
            out.push(tag as u8);
            let len = u32::try_from(field.len()).expect("answers are bounded far below 4 GiB");
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(field);
        }
        out
    }

    /// `None` if the bytes are not a whole token.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let [FORMAT, rest @ ..] = bytes else { return None };
        let fields = split(rest)?;
        let find = |tag: Tag| fields.iter().find(|(found, _)| *found == tag as u8).map(|(_, field)| *field);
        let text = |tag| find(tag).map(|field| std::str::from_utf8(field).ok());
        let number = |tag| Some(u64::from_be_bytes(find(tag)?.try_into().ok()?));
        let span = |tag| number(tag).map(Duration::from_millis);
        let moment = |tag| Some(Timestamp::from_millis(i64::from_be_bytes(find(tag)?.try_into().ok()?)));
        let mut token = AccessToken::new(text(Tag::Value)??).ok()?;
        if let Some(token_type) = text(Tag::Type) {
            token = token.with_type(token_type?);
        }
        if let Some(refresh) = text(Tag::Refresh) {
            token = token.with_refresh(Secret::new(refresh?));
        }
        if let Some(scope) = text(Tag::Scope) {
            token = token.with_scope(scope?);
        }
        if let Some(extra) = find(Tag::Extra) {
            let extra: Map<String, Value> = serde_json::from_slice(extra).ok()?;
            token = token.with_extra(extra);
        }
        if find(Tag::RefreshIn).is_some() {
            token = token.with_refresh_in(span(Tag::RefreshIn)?);
        }
        let (made_from, []) = find(Tag::MadeFrom).unwrap_or_default().as_chunks::<8>() else { return None };
        let made_from = made_from.iter().map(|from| LeaseVersion::new(u64::from_be_bytes(*from)));
        Some(Self {
            token: Arc::new(token),
            life: span(Tag::Life)?,
            kept: span(Tag::Kept)?,
            expires_at: moment(Tag::ExpiresAt)?,
            made_at: moment(Tag::MadeAt)?,
            made_from: made_from.collect(),
        })
    }
}

fn json(extra: &Map<String, Value>) -> Vec<u8> {
    serde_json::to_vec(extra).expect("an object of JSON values is JSON")
}

fn split(mut rest: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut fields = Vec::new();
    while let Some((tag, after)) = rest.split_first() {
        let (len, after) = after.split_first_chunk::<4>()?;
        let (field, after) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
        fields.push((*tag, field));
        rest = after;
    }
    Some(fields)
}
