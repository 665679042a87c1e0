//! The way back: what the response says about the session.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CACHE_CONTROL, VARY},
};

use super::{error::SessionError, handle::Session, sessions::Engine, state::State};
use crate::maybe_ready::MaybeReady;

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const PRIVATE: HeaderValue = HeaderValue::from_static("private");
const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// What to add to one response.
pub(super) struct Settled {
    cookie: Option<SetCookie>,
    clear_site_data: Option<HeaderValue>,
    /// The answer may depend on the cookie, and nobody in front says so.
    varies: bool,
    /// The changes were not saved: the response must not claim that they were.
    pub(super) failure: Option<SessionError>,
}

enum SetCookie {
    /// Of a login, a rekey or a logout: the newest there is.
    Earned(HeaderValue),
    /// Of a session that began or was renewed by the way: a handler that writes the cookie itself knows better.
    Incidental(HeaderValue),
}

impl Session {
    /// Saves what was changed. `written` says whether the response writes the cookie already.
    pub(super) fn settle(&self, written: bool) -> MaybeReady<Settled> {
        if let Ok(mut state) = self.shared.state.try_lock()
            && state.changes.is_empty()
            && state.renewal.is_none()
        {
            let used = state.close();
            return MaybeReady::Now(state.settled(&self.shared.engine, used, None, None));
        }
        let this = self.clone();
        MaybeReady::later(async move {
            // A task of the handler's may be using it.
            let mut state = this.shared.state.lock().await;
            let used = state.close();
            let engine = &this.shared.engine;
            match state.save(engine, !written).await {
                Ok(begun) => {
                    let begun = match begun {
                        Some(cookie) => Some(cookie),
                        None if written => None,
                        None => state.renewed(engine).await,
                    };
                    state.settled(engine, used, begun, None)
                }
                Err(error) => state.settled(engine, used, None, Some(error)),
            }
        })
    }
}

impl State {
    /// The cookie of a session that lives longer now: unless it was replaced or ended since, when an old value must not
    /// come back.
    async fn renewed(&mut self, engine: &Engine) -> Option<HeaderValue> {
        let renewal = self.renewal.take()?;
        if !renewal.is_current().wait().await {
            return None;
        }
        engine.settings.cookie.write(renewal.text(), renewal.max_age()).ok()
    }

    fn settled(
        &mut self,
        engine: &Engine,
        used: bool,
        incidental: Option<HeaderValue>,
        failure: Option<SessionError>,
    ) -> Settled {
        let begun = incidental.map(SetCookie::Incidental);
        // After a logout only a session that has begun since knows better.
        let cookie = match self.earned.take() {
            Some(removal) if self.logged_out && begun.is_none() => Some(SetCookie::Earned(removal)),
            Some(_) if self.logged_out => begun,
            Some(earned) => Some(SetCookie::Earned(earned)),
            None => begun,
        };
        let out = self.logged_out && matches!(cookie, Some(SetCookie::Earned(_)));
        Settled {
            cookie,
            clear_site_data: out.then(|| engine.settings.clear_site_data()).flatten(),
            varies: used && self.is_read_here(),
            failure,
        }
    }
}

impl Settled {
    pub(super) fn apply(self, engine: &Engine, headers: &mut HeaderMap) {
        let settings = &engine.settings.cookie;
        let cookie = match self.cookie {
            Some(SetCookie::Incidental(_)) if settings.is_set_by(headers) => None,
            Some(SetCookie::Earned(line) | SetCookie::Incidental(line)) => Some(line),
            None => None,
        };
        if let Some(line) = cookie {
            settings.put(headers, line);
            headers.insert(CACHE_CONTROL, NO_STORE);
        }
        if let Some(value) = self.clear_site_data {
            headers.insert(CLEAR_SITE_DATA, value);
        }
        if self.varies {
            headers.entry(CACHE_CONTROL).or_insert(PRIVATE);
            // Appended: what the handler varies by stays.
            headers.append(VARY, HeaderValue::from_static("cookie"));
        }
    }
}
