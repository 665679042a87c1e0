//! What a store is tested with.

use std::{any::Any, sync::Arc, time::Duration};

use super::{
    super::fixture::{Dump, TokenFixture},
    drafts::{Drafts, Login},
};
use crate::{
    clock::{Clock, ManualClock, Timestamp},
    event::RevokeReason,
    identity::Subject,
    store::{Epoch, Found, Insertion, ListQuery, LiveLimit, LoginRecord, Purge, Revocation, TokenStore},
    text::TokenId,
    token::{IssueOptions, TokenPolicy, TokenService},
    verify::Refusal,
};

pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// Two handles of one empty store that nobody else uses, as two processes have them.
pub(super) struct Bench {
    pub(super) one: Arc<dyn TokenStore>,
    pub(super) two: Arc<dyn TokenStore>,
    pub(super) dump: Option<Box<Dump>>,
    pub(super) drafts: Drafts,
    /// Judges tokens by the other handle, and notes no use.
    pub(super) tokens: TokenService,
    /// The moment of the logins: today, because a store may itself remove what has ended.
    pub(super) now: Timestamp,
    _kept: Vec<Box<dyn Any + Send + Sync>>,
}

impl Bench {
    pub(super) fn over(fixture: TokenFixture) -> Self {
        // In whole seconds, so that no engine rounds it.
        let now = Timestamp::from_millis(Clock::system().now().as_millis() / 1_000 * 1_000);
        let TokenFixture { one, two, dump, kept, .. } = fixture;
        let policy = TokenPolicy::builder().touch_every(None).build().unwrap();
        let tokens = TokenService::over(Arc::clone(&two), policy).clock(ManualClock::new(now).clock());
        Self { one, two, dump, drafts: Drafts::new(now), tokens, now, _kept: kept }
    }

    /// A handle for the task of this number.
    pub(super) fn handle(&self, number: usize) -> Arc<dyn TokenStore> {
        Arc::clone(if number.is_multiple_of(2) { &self.one } else { &self.two })
    }

    pub(super) fn after(&self, span: Duration) -> Timestamp {
        self.now.plus(span)
    }

    pub(super) fn insertion(&self) -> Insertion {
        Insertion::new(Epoch::from_number(7), self.now)
    }

    pub(super) fn limited(&self, limit: LiveLimit) -> Insertion {
        let mut insertion = self.insertion();
        insertion.limit = limit;
        insertion
    }

    /// A login of this user, not in the store: its access token ends after a day, its refresh token after seven.
    pub(super) async fn draft(&self, user: &str) -> Login {
        self.drafts.login(Subject::local(user), IssueOptions::default()).await
    }

    /// A new login in the store.
    pub(super) async fn login(&self, user: &str) -> Login {
        let login = self.draft(user).await;
        self.one.insert(login.record.clone(), self.insertion()).await.unwrap();
        login
    }

    /// What the other handle finds.
    pub(super) async fn look(&self, id: &TokenId) -> Option<Found> {
        self.two.find(id).wait().await.unwrap()
    }

    pub(super) async fn found(&self, id: &TokenId) -> Arc<LoginRecord> {
        self.look(id).await.expect("the login is there").record
    }

    /// The state of the subject's credentials, as the other handle finds it with this login.
    pub(super) async fn epoch(&self, id: &TokenId) -> Option<Epoch> {
        self.look(id).await.expect("the login is there").epoch
    }

    /// Whether the login's first access token is valid.
    pub(super) async fn lives(&self, login: &Login) -> bool {
        match self.tokens.verify(login.issued.access().expose(), None).await {
            Ok(_) => true,
            Err(Refusal::Invalid(_)) => false,
            Err(Refusal::Unavailable(error)) => panic!("could not check: {error}"),
        }
    }

    pub(super) fn ended(&self) -> Revocation {
        Revocation::new(self.after(HOUR), RevokeReason::Logout)
    }

    pub(super) async fn ids(&self) -> Vec<TokenId> {
        let all = self.two.list(&ListQuery::new(None, 10_000)).await.unwrap();
        all.iter().map(|found| found.record.id()).collect()
    }

    pub(super) async fn purge(&self, before: Timestamp, limit: usize) -> Vec<TokenId> {
        let purged = self.one.purge(&Purge::new(None, before, limit)).await.unwrap();
        purged.iter().map(|record| record.id()).collect()
    }
}

/// All that a record shows.
pub(super) fn shown(record: &LoginRecord) -> String {
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {} {} {:?} {:?} {} {:?} {:?} {:?} {:?} {:?}",
        record.id(),
        record.subject(),
        record.tenant(),
        record.channel(),
        record.scope(),
        record.client(),
        record.key_thumbprint(),
        record.label(),
        record.context().as_json(),
        record.data().as_json(),
        record.version(),
        record.is_browser_session(),
        record.created(),
        record.last_seen(),
        record.generation(),
        record.refreshed(),
        record.access_expires(),
        record.refresh_expires(),
        record.absolute_expires(),
        record.revoked(),
    )
}
