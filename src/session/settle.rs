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
    cookie: Option<HeaderValue>,
    clear_site_data: Option<HeaderValue>,
    /// The answer may depend on the cookie, and nobody in front says so.
    varies: bool,
    /// The changes were not saved: the response must not claim that they were.
    pub(super) failure: Option<SessionError>,
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
                Err(error) => {
                    state.tell_unsaved(engine, &error);
                    state.settled(engine, used, None, Some(error))
                }
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

    /// `begun` is the cookie of a session that began or was renewed by the way: it gives way to that of a login or a
    /// rekey, but not to the removal of a logout that was before it.
    fn settled(
        &mut self,
        engine: &Engine,
        used: bool,
        begun: Option<HeaderValue>,
        failure: Option<SessionError>,
    ) -> Settled {
        let out = self.logged_out && begun.is_none();
        let earned = self.earned.take();
        Settled {
            cookie: if self.logged_out { begun.or(earned) } else { earned.or(begun) },
            clear_site_data: out.then(|| engine.settings.clear_site_data()).flatten(),
            varies: used && self.is_read_here(),
            failure,
        }
    }
}

impl Settled {
    pub(super) fn apply(self, engine: &Engine, headers: &mut HeaderMap) {
        if let Some(line) = self.cookie {
            engine.settings.cookie.put(headers, line);
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
