//! The login page, and how it is told where the browser wanted to go.

use http::{HeaderValue, Uri, uri::Scheme};

use super::next::{absolute, safe_next};
use crate::{error::Faults, settings::Description};

/// Where a browser without a login is sent. See the [module docs](super).
#[derive(Debug, Clone)]
#[must_use]
pub struct RedirectPolicy {
    target: String,
    parameter: String,
    /// What was wrong with settings that came as text.
    faults: Faults,
}

impl RedirectPolicy {
    /// To a login page: a path on this host, such as `/login`, or an absolute `https` URL; without a fragment.
    ///
    /// A login page on another host learns path and query of the request, not its host: the request's own word for
    /// that is not to be trusted.
    pub fn to(target: impl Into<String>) -> Self {
        Self { target: target.into(), parameter: "next".to_owned(), faults: Faults::default() }
    }

    /// The query parameter that names the page the browser wanted. Default `next`.
    pub fn parameter(mut self, name: impl Into<String>) -> Self {
        self.parameter = name.into();
        self
    }

    /// The settings in force.
    pub fn describe(&self) -> Description {
        Description::new(vec![("to", self.target.clone()), ("parameter", self.parameter.clone())])
    }

    /// Takes settings that came as text; those that are not there stay as they are. The names are those of
    /// [`describe`](Self::describe). Faults are reported by the `build` of whatever takes the policy.
    #[cfg(feature = "config")]
    pub fn settings(mut self, settings: crate::settings::Settings) -> Self {
        let mut faults = std::mem::take(&mut self.faults);
        let mut read = crate::settings::Reader::new(settings, &mut faults);
        if let Some(target) = read.text("to") {
            self.target = target;
        }
        if let Some(name) = read.text("parameter") {
            self.parameter = name;
        }
        read.finish();
        self.faults = faults;
        self
    }

    pub(crate) fn check(&self, faults: &mut Faults) {
        faults.extend(&self.faults);
        let https = |text| absolute(text).is_some_and(|uri| uri.scheme() == Some(&Scheme::HTTPS));
        let usable = !self.target.contains('#') && (safe_next(&self.target).is_some() || https(&self.target));
        let rule = "must be a path on this host or an absolute https URL, without a fragment";
        faults.check(usable, "redirect_to", &self.target, rule);
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let named = !self.parameter.is_empty() && self.parameter.bytes().all(unreserved);
        faults.check(named, "parameter", &self.parameter, "must be letters, digits, `-`, `.`, `_` or `~`");
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let taken = form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == self.parameter.as_str());
        faults.check(!taken, "parameter", &self.parameter, "must not be in the target's query already");
    }

    /// The `Location` for a request with this URI, which must be the one that the browser sent. A path and query
    /// that [`safe_next`] would refuse are left out. The policy has been [checked](Self::check).
    pub(crate) fn location(&self, uri: &Uri) -> HeaderValue {
        let mut text = self.target.clone();
        if let Some(next) = uri.path_and_query().and_then(|wanted| safe_next(wanted.as_str())) {
            text.push(if text.contains('?') { '&' } else { '?' });
            text.push_str(&self.parameter);
            text.push('=');
            text.extend(form_urlencoded::byte_serialize(next.as_bytes()));
        }
        HeaderValue::from_str(&text).expect("a checked target is visible ASCII, and the rest is escaped")
    }
}

// Who names no target has a fault: there is no login page that would be right everywhere.
#[cfg(feature = "config")]
crate::settings::deserialize_builder!(RedirectPolicy, RedirectPolicy::to(""));
