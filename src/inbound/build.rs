//! From settings to a layer: every rule is checked here, and nowhere later.

use std::sync::Arc;

use super::{
    AuthLayer, AuthLayerBuilder,
    builder::Settings,
    door::Door,
    exempt::Exemptions,
    extract::{Place, Sources},
    settle::Settlement,
};
use crate::{
    cookie::CookieSettings,
    error::{ConfigError, Faults},
    identity::{Evidence, Site, Watch},
    path::PathSet,
    problem::Challenges,
    text::is_tchar,
    verify::Verify,
};

impl<I: Send + Sync + 'static, R> AuthLayerBuilder<I, R> {
    /// Checks every rule.
    ///
    /// # Errors
    /// [`ConfigError`] with all faults.
    pub fn build(self) -> Result<AuthLayer<I, R>, ConfigError> {
        let Self { mut settings, maker } = self;
        let mut faults = std::mem::take(&mut settings.faults);
        settings.check(&mut faults);
        let paths = PathSet::parse(&settings.excluded, "exclude", &mut faults);
        faults.finish()?;
        Ok(AuthLayer { door: Arc::new(settings.door(paths)), maker: Arc::new(maker) })
    }
}

impl<I: Send + Sync + 'static> Settings<I> {
    /// The settings have been checked.
    fn door(self, paths: PathSet) -> Door<I> {
        let (site, description) = (self.site(), self.describe());
        let settlement = Settlement {
            header: self.schemes.is_some(),
            cookie: !self.cookies.is_empty(),
            optional: self.optional,
        };
        Door {
            exemptions: Exemptions { paths, preflight: self.preflight },
            sources: Sources { places: self.places(), refuse_foreign: self.refuse_foreign },
            authenticators: self.authenticators,
            hooks: self.hooks,
            tenant: self.tenant,
            client_ip: self.client_ip,
            csrf: self.csrf,
            redirect: self.redirect,
            optional: self.optional,
            invalid_as_anonymous: self.invalid_as_anonymous,
            settlement,
            description,
            site: Arc::new(site),
        }
    }

    fn site(&self) -> Site {
        let schemes = self.schemes.as_deref().unwrap_or_default().iter().map(String::as_str);
        let cookie = self.cookies.first().map(CookieSettings::name);
        let challenges = Challenges::new(&self.realm, schemes, cookie, self.cookies_first)
            .expect("realm, schemes and cookie names are printable");
        Site {
            challenges: Arc::new(challenges),
            reporter: self.reporter.clone(),
            clock: self.clock.clone(),
            watches: self.authenticators.iter().map(watch).collect(),
        }
    }

    /// The places in order, each with the position of its challenge.
    fn places(&self) -> Vec<Place> {
        let schemes = self.schemes.as_deref().unwrap_or_default();
        let behind_the_schemes = u8::try_from(schemes.len()).expect("at most 16 schemes");
        let position = if self.cookies_first { 0 } else { behind_the_schemes };
        let cookie = |settings: &CookieSettings| Place::Cookie { settings: settings.clone(), position };
        let mut places: Vec<Place> = self.cookies.iter().map(cookie).collect();
        if !schemes.is_empty() {
            let header = Place::Header { schemes: schemes.to_vec(), position: u8::from(self.cookies_first) };
            places.insert(if self.cookies_first { places.len() } else { 0 }, header);
        }
        places
    }

    fn check(&self, faults: &mut Faults) {
        let sources = self.schemes.is_some() || !self.cookies.is_empty();
        faults.check(sources, "sources", "none", "name a scheme or a cookie");
        self.check_schemes(faults);
        let printable = self.realm.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        faults.check(printable, "realm", &self.realm, "must be printable ASCII");
        faults.check(self.cookies.len() <= 16, "cookie", self.cookies.len(), "must be at most 16");
        for (index, cookie) in self.cookies.iter().enumerate() {
            cookie.check(faults);
            let again = self.cookies[..index].iter().any(|known| known.name() == cookie.name());
            faults.check(!again, "cookie", cookie.name(), "must not come twice");
        }
        self.csrf.check(faults);
        self.client_ip.check(faults);
        if let Some(redirect) = &self.redirect {
            redirect.check(faults);
        }
        let harmless = self.optional || !self.invalid_as_anonymous;
        faults.check(harmless, "danger_invalid_as_anonymous", true, "needs optional()");
    }

    fn check_schemes(&self, faults: &mut Faults) {
        let Some(schemes) = &self.schemes else { return };
        faults.check(!schemes.is_empty(), "schemes", schemes, "must not be empty");
        faults.check(schemes.len() <= 16, "schemes", schemes.len(), "must be at most 16");
        for (index, scheme) in schemes.iter().enumerate() {
            let token = !scheme.is_empty() && scheme.bytes().all(is_tchar);
            faults.check(token, "schemes", scheme, "must be a token (RFC 9110, section 5.6.2)");
            let again = schemes[..index].iter().any(|known| known.eq_ignore_ascii_case(scheme));
            faults.check(!again, "schemes", scheme, "must not come twice");
            let ambiguous = !self.cookies.is_empty() && scheme.eq_ignore_ascii_case("Cookie");
            faults.check(!ambiguous, "schemes", scheme, "is the challenge of cookies");
        }
    }
}

/// An authenticator's watch, without the type of its identity.
fn watch<I: Send + Sync + 'static>(authenticator: &Arc<dyn Verify<Identity = I>>) -> Watch {
    let authenticator = Arc::clone(authenticator);
    Box::new(move |evidence: &Evidence| authenticator.watch(evidence))
}
