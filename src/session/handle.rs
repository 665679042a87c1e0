//! What handlers see of a session.

use std::{fmt, net::IpAddr, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::{Mutex, MutexGuard};

use super::{
    acts::{After, Carry},
    changes::Change,
    error::SessionError,
    sessions::Engine,
    state::{Presented, State},
};
use crate::{
    identity::Subject,
    store::{JsonError, LoginRecord},
    text::TokenId,
    token::IssueOptions,
};

/// The session of a request. Clones are the same session.
///
/// The first use looks it up; all uses share that. Data is changed here and saved once, with the response, whatever
/// its status is. If the service fails instead of answering, or the request is dropped, data is not saved.
///
/// As an axum extractor it never fails but for a missing [`SessionLayer`](super::SessionLayer), which is a loud 500.
///
/// # Cancel safety
/// Dropping a call leaves the session as it was, or with the change made, never in between.
#[derive(Clone)]
pub struct Session {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) engine: Arc<Engine>,
    pub(super) state: Mutex<State>,
}

// ===== impl Session: who =====

impl Session {
    pub(super) fn new(engine: Arc<Engine>, presented: Presented, client_ip: Option<IpAddr>) -> Self {
        let state = Mutex::new(State::new(presented, client_ip));
        Self { shared: Arc::new(Shared { engine, state }) }
    }

    async fn open(&self) -> Result<MutexGuard<'_, State>, SessionError> {
        let mut state = self.shared.state.lock().await;
        state.open(&self.shared.engine).await?;
        Ok(state)
    }

    /// The login behind the session; `None` for a visitor for whom nothing is stored. A session that begins in this
    /// request has none before the response, unless it begins with a login.
    ///
    /// # Errors
    /// [`DuplicateCookie`](super::SessionErrorKind::DuplicateCookie),
    /// [`CrossSite`](super::SessionErrorKind::CrossSite), [`Unavailable`](super::SessionErrorKind::Unavailable), and,
    /// after the response, [`Answered`](super::SessionErrorKind::Answered).
    pub async fn record(&self) -> Result<Option<Arc<LoginRecord>>, SessionError> {
        Ok(self.open().await?.current.clone())
    }

    /// The public id of the session. It is not the cookie's value, and gives no power.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub async fn id(&self) -> Result<Option<TokenId>, SessionError> {
        Ok(self.record().await?.map(|record| record.id()))
    }

    /// Who is logged in.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub async fn subject(&self) -> Result<Option<Arc<Subject>>, SessionError> {
        let record = self.record().await?;
        Ok(record.map(|record| Arc::clone(&record.subject)).filter(|subject| !subject.is_anonymous()))
    }

    /// Whether nobody is logged in.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub async fn is_anonymous(&self) -> Result<bool, SessionError> {
        Ok(self.subject().await?.is_none())
    }
}

// ===== impl Session: data =====

impl Session {
    /// A value by its key.
    ///
    /// # Errors
    /// As [`record`](Self::record), and [`Value`](super::SessionErrorKind::Value) if it is of another type.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, SessionError> {
        let mut state = self.open().await?;
        let value = state.entries()?.get(key).map(T::deserialize).transpose();
        value.map_err(|_says_what_is_in_it| JsonError::WrongType.into())
    }

    /// Keeps a value under a key. Of two requests that write one key, the last to be saved wins; see
    /// [`update`](Self::update). All values together are at most 64 KiB of JSON.
    ///
    /// # Errors
    /// As [`record`](Self::record), and [`Value`](super::SessionErrorKind::Value) if the value cannot be kept. Nothing
    /// has changed then.
    pub async fn insert(&self, key: impl Into<String>, value: impl Serialize) -> Result<(), SessionError> {
        let key = key.into();
        let value = serde_json::to_value(value).map_err(|_says_nothing_to_act_on| JsonError::Unwritable)?;
        self.open().await?.change(Change::Set(key, value))?;
        Ok(())
    }

    /// Changes the value of a key, and gives the new one. Where a parallel request has changed the same key, the change
    /// is made again on its value, so nothing is lost: `change` may be called several times.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub async fn update<T>(
        &self,
        key: impl Into<String>,
        mut change: impl FnMut(Option<T>) -> T + Send + 'static,
    ) -> Result<T, SessionError>
    where
        T: Serialize + DeserializeOwned,
    {
        let key = key.into();
        let recompute = move |old: Option<serde_json::Value>| {
            let old = old.map(serde_json::from_value).transpose();
            let new = change(old.map_err(|_says_what_is_in_it| JsonError::WrongType)?);
            serde_json::to_value(new).map_err(|_says_nothing_to_act_on| JsonError::Unwritable)
        };
        let mut state = self.open().await?;
        let after = state.change(Change::Update(key.clone(), Box::new(recompute)))?;
        let new = T::deserialize(&after[&key]);
        new.map_err(|_says_what_is_in_it| JsonError::WrongType.into())
    }

    /// Removes a value; says whether there was one.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub async fn remove(&self, key: &str) -> Result<bool, SessionError> {
        let mut state = self.open().await?;
        let there = state.entries()?.contains_key(key);
        state.change(Change::Remove(key.to_owned()))?;
        Ok(there)
    }

    /// Removes all values, those of parallel requests included.
    ///
    /// # Errors
    /// As [`record`](Self::record).
    pub async fn clear(&self) -> Result<(), SessionError> {
        self.open().await?.change(Change::Clear)?;
        Ok(())
    }
}

// ===== impl Session: acts =====

impl Session {
    /// Logs a subject in that has proved who it is: with a new record and a new cookie value, and without any data of
    /// before. The session that the browser came with ends in the same step, whosever it is.
    ///
    /// It happens at once; the cookie goes with the response, whatever its status is. It is told as a session that was
    /// created; whether somebody has proved who he is, and who has failed to, is for the caller to tell
    /// ([`LoginSuccess`](crate::event::EventKind::LoginSuccess), [`LoginFail`](crate::event::EventKind::LoginFail)), or
    /// for a [ready service](crate::flow::LoginService), which does it.
    ///
    /// # Errors
    /// As [`record`](Self::record); [`LoginLimit`](super::SessionErrorKind::LoginLimit),
    /// [`Options`](super::SessionErrorKind::Options). Nothing has changed then.
    pub async fn login(&self, subject: Subject, options: IssueOptions) -> Result<TokenId, SessionError> {
        self.enter(subject, options, Carry::Nothing).await
    }

    /// [`login`](Self::login) that takes the data along that the same browser has left anonymously, or that the same
    /// subject has; never that of somebody else. Whoever planted an anonymous cookie in the browser has chosen that
    /// data.
    ///
    /// # Errors
    /// As [`login`](Self::login).
    pub async fn login_keeping_data(
        &self,
        subject: Subject,
        options: IssueOptions,
    ) -> Result<TokenId, SessionError> {
        self.enter(subject, options, Carry::Data).await
    }

    async fn enter(
        &self,
        subject: Subject,
        options: IssueOptions,
        carry: Carry,
    ) -> Result<TokenId, SessionError> {
        let engine = &*self.shared.engine;
        let mut state = self.open().await?;
        let entered = state.enter(engine, subject.clone(), options, carry).await;
        entered.map_err(|error| state.tell(engine, error, Some(subject)))
    }

    /// A new cookie value for the same session, after a second factor, a renewed authentication or any other change of
    /// what the login may do. The old value is dead at once.
    ///
    /// # Errors
    /// As [`record`](Self::record); [`NoLogin`](super::SessionErrorKind::NoLogin), and
    /// [`Ended`](super::SessionErrorKind::Ended) if the session has ended since. The old value is valid then, as far as
    /// it was.
    pub async fn rekey(&self) -> Result<(), SessionError> {
        self.renew_cookie(After::PrivilegeChange).await
    }

    /// [`rekey`](Self::rekey) that ends all other logins of the subject in the same step: after a change of password,
    /// e-mail address or factors. Change them first, then call this.
    ///
    /// # Errors
    /// As [`rekey`](Self::rekey). No login has ended then.
    pub async fn change_credentials(&self) -> Result<(), SessionError> {
        self.renew_cookie(After::CredentialChange).await
    }

    async fn renew_cookie(&self, after: After) -> Result<(), SessionError> {
        let engine = &*self.shared.engine;
        let mut state = self.open().await?;
        let renewed = state.renew_cookie(engine, after).await;
        renewed.map_err(|error| state.tell(engine, error, None))
    }

    /// Ends the session and removes the cookie. Works without a session, and may be repeated. What this request has
    /// changed in the data is forgotten; what it changes from here on starts a new, anonymous session.
    ///
    /// It happens at once; the removal goes with the response, whatever its status is.
    ///
    /// # Errors
    /// As [`record`](Self::record). The session may live on then, and the cookie stays, so that the logout can be
    /// repeated.
    pub async fn logout(&self) -> Result<(), SessionError> {
        let engine = &*self.shared.engine;
        let mut state = self.open().await?;
        let out = state.log_out(engine).await;
        out.map_err(|error| state.tell(engine, error, None))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}
