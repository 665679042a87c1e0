//! A layer's settings as text.

use super::{AuthLayer, builder::Settings};
use crate::settings::Description;

#[cfg(feature = "config")]
use super::AuthLayerBuilder;
#[cfg(feature = "config")]
use crate::{redirect::RedirectPolicy, settings};

impl<I: Send + Sync + 'static, R> AuthLayer<I, R> {
    /// Everything that is in force, defaults included, and no secret: the layer's own settings, those of its cookies
    /// (`cookie_1_…`) and policies (`csrf_…`, `client_ip_…`, `redirect_…`), and what each authenticator says of itself
    /// (`authenticator_1_…`), which for a `TokenService` or `Sessions` is its policy. Of what the application has
    /// written (tenant, hooks) it says whether it is there.
    ///
    /// ```
    /// use portcullis::{AuthLayer, MemoryStore, TokenPolicy, TokenService};
    ///
    /// let tokens = TokenService::new(MemoryStore::new(), TokenPolicy::default());
    /// let described = AuthLayer::new(tokens).cookie("token").build()?.describe().to_string();
    /// for line in ["schemes = Bearer,Token", "cookie_1 = __Host-token", "authenticator_1_access_ttl = 24h"] {
    ///     assert!(described.lines().any(|found| found == line));
    /// }
    /// # Ok::<(), portcullis::error::ConfigError>(())
    /// ```
    pub fn describe(&self) -> Description {
        let authenticators = self.door.authenticators.iter().map(|verifier| verifier.describe());
        authenticators.zip(1..).fold(self.door.description.clone(), |all, (own, number)| {
            all.with_part(&format!("authenticator_{number}_"), &own)
        })
    }
}

impl<I> Settings<I> {
    /// What is in force, without the authenticators.
    pub(super) fn describe(&self) -> Description {
        let schemes = self.schemes.as_ref().map_or_else(|| "none".to_owned(), |schemes| schemes.join(","));
        let own = Description::new(vec![
            ("realm", self.realm.clone()),
            ("schemes", schemes),
            ("refuse_foreign_schemes", self.refuse_foreign.to_string()),
            ("cookies_first", self.cookies_first.to_string()),
            ("optional", self.optional.to_string()),
            ("danger_invalid_as_anonymous", self.invalid_as_anonymous.to_string()),
            ("exclude", self.excluded.join(",")),
            ("allow_preflight", self.preflight.to_string()),
            ("tenant", self.tenant.is_some().to_string()),
            ("on_renewal", self.hooks.on_renewal.is_some().to_string()),
            ("on_auth", self.hooks.on_auth.is_some().to_string()),
        ])
        .with_part("csrf_", &self.csrf.describe())
        .with_part("client_ip_", &self.client_ip.describe());
        let own = match &self.redirect {
            Some(redirect) => own.with_part("redirect_", &redirect.describe()),
            None => own.with_part("redirect_", &Description::new(vec![("to", "none".to_owned())])),
        };
        self.cookies.iter().zip(1..).fold(own, |all, (cookie, number)| {
            let sent_as = [(format!("cookie_{number}"), cookie.name().to_owned())].into_iter().collect();
            all.with_part("", &sent_as).with_part(&format!("cookie_{number}_"), &cookie.describe())
        })
    }
}

#[cfg(feature = "config")]
impl<I: Send + Sync + 'static, R> AuthLayerBuilder<I, R> {
    /// Takes the settings of a deployment that came as text; those that are not there stay as they are. They are
    /// `realm`, `schemes` and `exclude`, which are lists (`schemes` may be `none`) that take the place of what was set
    /// before, and those of the policies: `csrf_…`, `client_ip_…`, and `redirect_…`, of which `redirect_to` may be
    /// `none`.
    ///
    /// What else [`AuthLayer::describe`] prints is the application's to decide: a file or a variable can neither make
    /// the layer optional nor let invalid credentials through. A cookie has
    /// [settings of its own](crate::cookie::CookieSettings::settings), because whatever sets it needs the same ones.
    pub fn settings(mut self, settings: settings::Settings) -> Self {
        let own = &mut self.settings;
        let mut faults = std::mem::take(&mut own.faults);
        let mut read = settings::Reader::new(settings, &mut faults);
        if let Some(realm) = read.text("realm") {
            own.realm = realm;
        }
        if read.choice_of_none("schemes") {
            own.schemes = None;
        } else if let Some(schemes) = read.list("schemes") {
            own.schemes = Some(schemes);
        }
        if let Some(patterns) = read.list("exclude") {
            own.excluded = patterns;
        }
        own.csrf = std::mem::take(&mut own.csrf).settings(read.take_part("csrf_"));
        own.client_ip = std::mem::take(&mut own.client_ip).settings(read.take_part("client_ip_"));
        if read.choice_of_none("redirect_to") {
            own.redirect = None;
        }
        let of_redirect = read.take_part("redirect_");
        if !of_redirect.is_empty() {
            let before = own.redirect.take().unwrap_or_else(|| RedirectPolicy::to(""));
            own.redirect = Some(before.settings(of_redirect));
        }
        read.finish();
        own.faults = faults;
        self
    }
}
