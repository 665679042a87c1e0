//! What is known of the session of one request.

use std::{net::IpAddr, sync::Arc};

use http::HeaderValue;

use super::{
    changes::{self, Change, Changes, Entries},
    error::{SessionError, SessionErrorKind},
    sessions::Engine,
};
use crate::{
    credential::Channel,
    event::EventKind,
    secret::Secret,
    store::{JsonError, LoginRecord},
    text::TokenId,
    token::Standing,
    verify::Renewal,
};

/// What a request came with.
pub(super) enum Presented {
    /// No cookie, or one that nobody could have issued.
    Nothing,
    /// A cookie that was not looked up yet.
    Cookie(Secret),
    /// The login that an `AuthLayer` has verified by this cookie.
    Verified(Arc<LoginRecord>),
    /// Something for which the session must not be used, and the login that it names.
    Refused(SessionErrorKind, Option<TokenId>),
}

pub(super) struct State {
    presented: Presented,
    stage: Stage,
    /// The session as it was read or made.
    pub(super) current: Option<Arc<LoginRecord>>,
    /// The current data with our changes, for those who read.
    view: Option<Entries>,
    pub(super) changes: Changes,
    /// What a login, a rekey or a logout has earned: it is sent whatever becomes of the rest.
    pub(super) earned: Option<HeaderValue>,
    pub(super) renewal: Option<Renewal>,
    /// The browser may be about to get another cookie, which must not be overwritten.
    pub(super) fading: bool,
    pub(super) logged_out: bool,
    pub(super) client_ip: Option<IpAddr>,
    /// The last refusal that operators were told of.
    pub(super) told: Option<EventKind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nobody has asked for it.
    Untouched,
    LookedUp,
    /// The response is on its way.
    Answered,
}

impl State {
    pub(super) fn new(presented: Presented, client_ip: Option<IpAddr>) -> Self {
        Self {
            presented,
            stage: Stage::Untouched,
            current: None,
            view: None,
            changes: Changes::default(),
            earned: None,
            renewal: None,
            fading: false,
            logged_out: false,
            client_ip,
            told: None,
        }
    }

    /// Looks the session up, once.
    pub(super) async fn open(&mut self, engine: &Engine) -> Result<(), SessionError> {
        self.look_up(engine).await.map_err(|error| self.tell(engine, error, None))
    }

    async fn look_up(&mut self, engine: &Engine) -> Result<(), SessionError> {
        match self.stage {
            Stage::Answered => return Err(SessionError::new(SessionErrorKind::Answered)),
            Stage::LookedUp => return Ok(()),
            Stage::Untouched => {}
        }
        match &self.presented {
            Presented::Refused(kind, _) => return Err(engine.refuse(*kind)),
            Presented::Nothing => {}
            Presented::Verified(record) => self.current = Some(Arc::clone(record)),
            Presented::Cookie(text) => {
                match engine.tokens.open_session(text.expose()).await.map_err(SessionError::unavailable)? {
                    Standing::Open(record, renewal) => {
                        self.tell_success(engine, &record);
                        self.current = Some(record);
                        self.renewal = renewal;
                    }
                    Standing::Fading(reason) => {
                        self.fading = true;
                        self.tell_invalid(engine, reason);
                    }
                    Standing::OfTenant => return Err(engine.refuse(SessionErrorKind::OfTenant)),
                    Standing::Gone(reason) => self.tell_invalid(engine, reason),
                }
            }
        }
        self.stage = Stage::LookedUp;
        Ok(())
    }

    /// No more changes from here on. Says whether the session was asked for.
    pub(super) fn close(&mut self) -> bool {
        std::mem::replace(&mut self.stage, Stage::Answered) == Stage::LookedUp
    }

    /// Whether this layer, and none in front of it, has looked at the cookie.
    pub(super) fn is_read_here(&self) -> bool {
        !matches!(self.presented, Presented::Verified(_))
    }

    /// The login that the cookie names. It proves nothing.
    pub(super) fn named(&self, engine: &Engine) -> Option<TokenId> {
        match &self.presented {
            Presented::Cookie(text) => engine.tokens.named_login(text.expose()),
            Presented::Refused(_, named) => *named,
            Presented::Verified(record) => Some(record.id()),
            Presented::Nothing => None,
        }
    }

    /// The session that the browser came with, or that was made since: also one that has expired.
    pub(super) async fn to_end(&self, engine: &Engine) -> Result<Option<TokenId>, SessionError> {
        match (&self.current, &self.presented) {
            (Some(record), _) => Ok(Some(record.id())),
            (None, Presented::Cookie(text)) => {
                let proven = engine.tokens.login_of(text.expose(), Channel::Cookie).await?;
                Ok(proven.filter(|record| record.revoked().is_none()).map(|record| record.id()))
            }
            (None, _) => Ok(None),
        }
    }

    pub(super) fn entries(&mut self) -> Result<&mut Entries, JsonError> {
        if self.view.is_none() {
            let mut entries = changes::entries(self.current.as_deref())?;
            self.changes.apply(&mut entries)?;
            self.view = Some(entries);
        }
        Ok(self.view.get_or_insert_default())
    }

    /// Makes a change, if the session can keep what comes of it.
    pub(super) fn change(&mut self, mut change: Change) -> Result<&Entries, JsonError> {
        let mut after = self.entries()?.clone();
        change.apply(&mut after)?;
        changes::check(&after)?;
        self.changes.push(change);
        Ok(self.view.insert(after))
    }

    /// Another session, or a new cookie of the same, takes the place of the current one.
    pub(super) fn replace(&mut self, record: LoginRecord, cookie: HeaderValue) {
        self.current = Some(Arc::new(record));
        self.view = None;
        self.earned = Some(cookie);
        self.renewal = None;
        self.logged_out = false;
    }

    /// The session is over, and what was to be saved with it.
    pub(super) fn end(&mut self, cookie: HeaderValue) {
        self.forget_changes();
        self.presented = Presented::Nothing;
        self.current = None;
        self.earned = Some(cookie);
        self.renewal = None;
        self.fading = false;
        self.logged_out = true;
    }

    pub(super) fn forget_changes(&mut self) {
        self.changes.forget();
        self.view = None;
    }
}

impl Engine {
    pub(super) fn refuse(&self, kind: SessionErrorKind) -> SessionError {
        SessionError::new(kind).challenged(&self.settings.challenges)
    }
}
