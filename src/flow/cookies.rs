//! The cookies of a login: one for the access token and perhaps one for the refresh token.

use http::{HeaderMap, header::SET_COOKIE};

use crate::{
    cookie::{CookieError, CookieSettings},
    error::Faults,
    problem::{Reason, Rejection, RejectionKind},
    token::Issued,
};

/// Cookies as they were asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct CookieChoice {
    pub(super) access: Option<CookieSettings>,
    pub(super) refresh_path: Option<String>,
}

/// Cookies that can be written.
#[derive(Debug, Clone)]
pub(super) struct Cookies {
    pub(super) access: CookieSettings,
    pub(super) refresh: Option<CookieSettings>,
}

// ===== impl CookieChoice =====

impl CookieChoice {
    /// The cookies, unless none are to be used; each fault of theirs is noted.
    pub(super) fn check(&self, faults: &mut Faults) -> Option<Cookies> {
        let Some(access) = &self.access else {
            let alone = self.refresh_path.as_ref();
            faults.check(alone.is_none(), "refresh_cookie", alone, "needs cookie()");
            return None;
        };
        let refresh = self.refresh_path.as_ref().map(|path| access.refresh(path));
        for cookie in [Some(access), refresh.as_ref()].into_iter().flatten() {
            cookie.check(faults);
        }
        Some(Cookies { access: access.clone(), refresh })
    }
}

// ===== impl Cookies =====

impl Cookies {
    /// Stores the pair. The refresh token goes nowhere if it has no cookie of its own.
    pub(super) fn write(&self, issued: &Issued, headers: &mut HeaderMap) {
        const USABLE: &str = "the settings were checked, and tokens fit into cookies";
        let access = self.access.write(issued.access(), issued.cookie_max_age()).expect(USABLE);
        headers.append(SET_COOKIE, access);
        if let (Some(cookie), Some(refresh)) = (&self.refresh, issued.refresh()) {
            // It ends with the browser where the access cookie does.
            let max_age = issued.refresh_expires_in().filter(|_| !issued.record().is_browser_session());
            headers.append(SET_COOKIE, cookie.write(refresh, max_age).expect(USABLE));
        }
    }

    /// Removes all of them.
    pub(super) fn clear(&self, headers: &mut HeaderMap) {
        for cookie in self.all() {
            headers.append(SET_COOKIE, cookie.clear().expect("the settings were checked"));
        }
    }

    /// The tokens that a request presents, that for access first. One that no cookie of ours could hold is none.
    pub(super) fn presented<'a>(&self, headers: &'a HeaderMap) -> Result<Vec<&'a str>, Rejection> {
        let mut texts = Vec::new();
        for cookie in self.all() {
            texts.extend(read(cookie, headers)?);
        }
        Ok(texts)
    }

    fn all(&self) -> impl Iterator<Item = &CookieSettings> {
        std::iter::once(&self.access).chain(&self.refresh)
    }
}

/// The cookie's value; twice the same name is refused everywhere.
pub(super) fn read<'a>(
    cookie: &CookieSettings,
    headers: &'a HeaderMap,
) -> Result<Option<&'a str>, Rejection> {
    match cookie.read(headers) {
        Ok(text) => Ok(text),
        Err(CookieError::Duplicate) => {
            Err(Rejection::new(RejectionKind::InvalidRequest, Reason::DuplicateCookie))
        }
        Err(_unreadable) => Ok(None),
    }
}
