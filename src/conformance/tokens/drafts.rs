//! What a store is asked to keep and to write.

use super::bench::HOUR;
use crate::{
    clock::{ManualClock, Timestamp},
    identity::Subject,
    random,
    secret::SecretBytes,
    store::{Digest, HashBytes, LoginRecord, MemoryStore, Rekey, Rotation, Touch},
    text::TokenId,
    token::{IssueOptions, Issued, TokenPolicy, TokenService},
};

/// A login, and the tokens that were handed out with it.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) record: LoginRecord,
    pub(super) issued: Issued,
}

impl Login {
    pub(super) fn id(&self) -> TokenId {
        self.record.id()
    }
}

/// Makes logins and changes for a store that has not seen them.
pub(super) struct Drafts {
    now: Timestamp,
    time: ManualClock,
    tokens: TokenService,
}

impl Drafts {
    pub(super) fn new(now: Timestamp) -> Self {
        let time = ManualClock::new(now);
        let tokens = TokenService::new(MemoryStore::new(), TokenPolicy::default()).clock(time.clock());
        Self { now, time, tokens }
    }

    pub(super) async fn login(&self, subject: Subject, options: IssueOptions) -> Login {
        let issued = self.tokens.issue_for_header(subject, options).await.unwrap();
        Login { record: issued.record().clone(), issued }
    }

    /// Of this generation, an hour later: the ends are a day and seven days after that.
    pub(super) fn rotation(&self, generation: u32) -> Rotation {
        Rotation {
            generation,
            access: digest(),
            refresh: digest(),
            nonce: bytes(),
            now: self.now.plus(HOUR),
            access_expires: self.now.plus(25 * HOUR),
            refresh_expires: self.now.plus((7 * 24 + 1) * HOUR),
        }
    }

    /// Of this generation, an hour later, for a login that was not seen since the login.
    pub(super) fn touch(&self, generation: u32) -> Touch {
        Touch {
            generation,
            seen_before: self.now,
            now: self.now.plus(HOUR),
            access_expires: Some(self.now.plus(25 * HOUR)),
            refresh_expires: Some(self.now.plus((7 * 24 + 1) * HOUR)),
            access: None,
            wipe_nonce: false,
        }
    }

    /// Of this generation, an hour later, with ends of an hour and two after that.
    pub(super) fn rekey(&self, generation: u32) -> Rekey {
        Rekey {
            generation,
            access: digest(),
            refresh: Some(digest()),
            lineage: bytes(),
            now: self.now.plus(HOUR),
            access_expires: self.now.plus(2 * HOUR),
            refresh_expires: self.now.plus(3 * HOUR),
        }
    }

    /// The moment of the drafts.
    pub(super) fn time(&self) -> &ManualClock {
        &self.time
    }
}

/// Of a token that nobody has.
pub(super) fn digest() -> Digest {
    Digest::new(None, HashBytes::Sha256(*bytes().expose()))
}

pub(super) fn bytes() -> SecretBytes {
    SecretBytes::new(random::bytes::<32>().unwrap())
}
