//! One line of a golden file.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use serde_json::Value;

use crate::{
    clock::Timestamp,
    credential::Channel,
    event::RevokeReason,
    identity::{Issuer, Subject},
    keyring::Key,
    scope::Scope,
    secret::{Secret, SecretBytes},
    store::{Context, Data, Digest, Epoch, HashAlgorithm, Life, LoginColumns, Revocation},
    text::TokenId,
};

/// A login, the texts of its tokens, and what they were made with.
pub(super) struct Golden {
    pub(super) name: String,
    /// The moment of the last change.
    pub(super) now: Timestamp,
    pub(super) hash: HashAlgorithm,
    pub(super) pepper: Option<Key>,
    pub(super) columns: LoginColumns,
    pub(super) access: String,
    pub(super) refresh: Option<String>,
    /// The refresh token that gave the current pair, where it can be repeated.
    pub(super) previous: Option<String>,
    /// The refresh token before that.
    pub(super) ancestor: Option<String>,
    /// Access tokens of before.
    pub(super) dead: Vec<String>,
}

/// The columns of one line.
struct Columns<'a>(&'a Value);

// ===== impl Golden =====

impl Golden {
    pub(super) fn parse(line: &str) -> Self {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| line[name].as_str().map(ToOwned::to_owned);
        let hash = HashAlgorithm::ALL.into_iter().find(|hash| Some(hash.as_str()) == line["hash"].as_str());
        let dead = line["dead"].as_array().unwrap();
        Self {
            name: text("name").unwrap(),
            now: Timestamp::from_millis(line["now"].as_i64().unwrap()),
            hash: hash.unwrap(),
            pepper: text("pepper").map(|key| Key::parse(&Secret::new(key)).unwrap()),
            columns: Columns(&line["columns"]).read(),
            access: text("access").unwrap(),
            refresh: text("refresh"),
            previous: text("previous"),
            ancestor: text("ancestor"),
            dead: dead.iter().map(|text| text.as_str().unwrap().to_owned()).collect(),
        }
    }
}

// ===== impl Columns =====

impl Columns<'_> {
    fn read(&self) -> LoginColumns {
        let subject = Subject::new(Issuer::from_name(self.text("issuer")).unwrap(), self.text("subject"));
        let revoked = (!self.0["revoked_at"].is_null()).then(|| {
            Revocation::new(self.time("revoked_at"), RevokeReason::from_name(self.text("revoked_reason")))
        });
        LoginColumns {
            id: TokenId::parse(self.text("id")).unwrap(),
            subject: Arc::new(subject),
            channel: Channel::from_name(self.text("channel")).unwrap(),
            browser_session: self.0["browser_session"].as_bool().unwrap(),
            tenant: self.maybe("tenant").map(Into::into),
            client: self.maybe("client").map(Into::into),
            key_thumbprint: self.maybe("key_thumbprint").map(Into::into),
            scope: self.maybe("scope").map(|scope| Arc::new(Scope::parse(scope).unwrap())),
            label: self.maybe("label").map(Into::into),
            context: Context::from_json(self.text("context")).unwrap(),
            data: self.maybe("data").map(|data| Data::from_json(data).unwrap()).unwrap_or_default(),
            version: self.number("version"),
            access: self.digest("access").unwrap(),
            refresh: self.digest("refresh"),
            previous: self.digest("previous"),
            nonce: self.bytes("nonce"),
            lineage: self.bytes("lineage").unwrap(),
            generation: u32::try_from(self.number("generation")).unwrap(),
            rotated_at: self.time("rotated_at"),
            confirmed_at: self.time("confirmed_at"),
            grace_hits: u32::try_from(self.number("grace_hits")).unwrap(),
            created: self.time("created"),
            last_seen: self.time("last_seen"),
            access_ttl: Life::from_millis(self.time("access_ttl").as_millis()),
            refresh_ttl: Life::from_millis(self.time("refresh_ttl").as_millis()),
            access_expires: self.time("access_expires"),
            refresh_expires: self.time("refresh_expires"),
            absolute_expires: self.time("absolute_expires"),
            epoch: Epoch::from_number(self.number("epoch")),
            revoked,
        }
    }

    fn maybe(&self, name: &str) -> Option<&str> {
        self.0[name].as_str()
    }

    fn text(&self, name: &str) -> &str {
        self.maybe(name).unwrap_or_else(|| panic!("{name} is missing"))
    }

    fn number(&self, name: &str) -> u64 {
        self.0[name].as_u64().unwrap_or_else(|| panic!("{name} is missing"))
    }

    fn time(&self, name: &str) -> Timestamp {
        Timestamp::from_millis(self.0[name].as_i64().unwrap_or_else(|| panic!("{name} is missing")))
    }

    fn hex(&self, name: &str) -> Option<Vec<u8>> {
        self.maybe(name).map(|text| HEXLOWER.decode(text.as_bytes()).unwrap())
    }

    fn digest(&self, name: &str) -> Option<Digest> {
        self.hex(name).map(|bytes| Digest::from_bytes(&bytes).unwrap())
    }

    fn bytes(&self, name: &str) -> Option<SecretBytes> {
        self.hex(name).map(|bytes| SecretBytes::new(<[u8; 32]>::try_from(bytes).unwrap()))
    }
}
