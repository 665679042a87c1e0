//! Whether a request that is authenticated by a cookie was meant by the user.
//!
//! A browser sends cookies also with requests that other sites cause. It says where a request comes from, and these
//! rules believe it:
//!
//! 1. Safe methods (RFC 9110 §9.2.1: GET, HEAD, OPTIONS, TRACE) pass. A WebSocket handshake is a GET and no safe one:
//!    other sites can open it, send through it and read the answers.
//! 2. `Sec-Fetch-Site` decides where it is there, exactly once: `same-origin` and `none` (the user's own doing) pass,
//!    `same-site` and `cross-site` only if the one `Origin` is on the list.
//! 3. Without it, the one `Origin` must be on the list, or name the host and port that the request is for.
//! 4. Without both, the request is refused. A client that is no browser sends its token in the `Authorization` header.
//!
//! Handlers of safe methods must change nothing: nothing here protects them.
//!
//! ```
//! use http::{HeaderMap, HeaderValue, Method, Uri};
//! use portcullis::csrf::CsrfPolicy;
//!
//! let policy = CsrfPolicy::new().allow_origin("https://app.example.com");
//! let uri = Uri::from_static("/orders");
//! let mut headers = HeaderMap::new();
//! assert!(!policy.allows(&Method::POST, &uri, &headers));
//! headers.insert("sec-fetch-site", HeaderValue::from_static("same-site"));
//! headers.insert("origin", HeaderValue::from_static("https://app.example.com"));
//! assert!(policy.allows(&Method::POST, &uri, &headers));
//! ```

use http::{
    HeaderMap, Method, Uri,
    header::{HOST, ORIGIN, UPGRADE},
    uri::{Authority, Scheme},
};

use crate::{error::Faults, origin::Origin, settings::Description};

const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// From where a request that is authenticated by a cookie may come. See the [module docs](self). The default: from
/// the same origin.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct CsrfPolicy {
    listed: Vec<Listed>,
    same_site: bool,
    /// What was wrong with settings that came as text.
    faults: Faults,
}

/// An origin as it was written, and as it was read.
#[derive(Debug, Clone)]
struct Listed {
    text: String,
    origin: Option<Origin>,
}

// ===== impl CsrfPolicy =====

impl CsrfPolicy {
    /// Starts from the default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Also believes pages of this origin: scheme, host and perhaps port, as `https://app.example.com`. Plain `http`
    /// is for loopback addresses.
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        let text = origin.into();
        let origin = Origin::parse(&text);
        self.listed.push(Listed { text, origin });
        self
    }

    /// Also believes every page of the same site, for browsers that send `Sec-Fetch-Site`: all subdomains, whoever
    /// runs them, and all ports. By default only the origins that are named.
    pub fn allow_same_site(mut self) -> Self {
        self.same_site = true;
        self
    }

    /// The settings in force.
    pub fn describe(&self) -> Description {
        let origins: Vec<&str> = self.listed.iter().map(|listed| listed.text.as_str()).collect();
        Description::new(vec![
            ("allow_origin", origins.join(",")),
            ("allow_same_site", self.same_site.to_string()),
        ])
    }

    /// Takes settings that came as text; those that are not there stay as they are. The names are those of
    /// [`describe`](Self::describe), and `allow_origin` is a list that takes the place of the origins before. Faults
    /// are reported by the `build` of whatever takes the policy; until then, what could not be read allows nothing.
    #[cfg(feature = "config")]
    pub fn settings(mut self, settings: crate::settings::Settings) -> Self {
        let mut faults = std::mem::take(&mut self.faults);
        let mut read = crate::settings::Reader::new(settings, &mut faults);
        if let Some(origins) = read.list("allow_origin") {
            self.listed.clear();
            self = origins.into_iter().fold(self, Self::allow_origin);
        }
        if let Some(same_site) = read.flag("allow_same_site") {
            self.same_site = same_site;
        }
        read.finish();
        self.faults = faults;
        self
    }

    pub(crate) fn check(&self, faults: &mut Faults) {
        faults.extend(&self.faults);
        for listed in &self.listed {
            let usable = listed.origin.as_ref().is_some_and(|origin| origin.is_safe(true));
            let rule = "must be `https`, a host and perhaps a port; `http` for loopback addresses only";
            faults.check(usable, "allow_origin", &listed.text, rule);
        }
    }

    /// Whether a cookie may authenticate this request. The caller has decided that a cookie is what it would be
    /// authenticated by: requests with another credential need no check.
    pub fn allows(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
        if is_safe(method) && !is_websocket(headers) {
            return true;
        }
        let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
        let (site, another) = (sites.next(), sites.next());
        match site.map(|site| site.as_bytes()) {
            _ if another.is_some() => false,
            Some(b"same-origin" | b"none") => true,
            Some(b"same-site") => self.same_site || origin(headers).is_some_and(|origin| self.lists(&origin)),
            Some(b"cross-site") => origin(headers).is_some_and(|origin| self.lists(&origin)),
            Some(_) => false,
            None => {
                origin(headers).is_some_and(|origin| self.lists(&origin) || is_own(&origin, uri, headers))
            }
        }
    }

    fn lists(&self, origin: &Origin) -> bool {
        self.listed.iter().any(|listed| listed.origin.as_ref() == Some(origin))
    }
}

// ===== reading the request =====

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// Whether the request asks for a WebSocket (RFC 6455 §4.1). `Connection: upgrade` belongs to such a request, and is
/// not asked for: a proxy may have taken it off.
fn is_websocket(headers: &HeaderMap) -> bool {
    let mut protocols =
        headers.get_all(UPGRADE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    protocols.any(|protocol| {
        let name = protocol.split(|byte| *byte == b'/').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"websocket")
    })
}

/// The one `Origin` (RFC 6454 §7). `null`, several, and anything else that names no web origin are none.
fn origin(headers: &HeaderMap) -> Option<Origin> {
    let mut origins = headers.get_all(ORIGIN).iter();
    let (Some(origin), None) = (origins.next(), origins.next()) else { return None };
    // A URL with an empty path is read as an origin in settings, and is none on the wire.
    origin.to_str().ok().filter(|text| !text.ends_with('/')).and_then(Origin::parse)
}

/// Whether a page of this origin came from the host that it now sends to: wherever the request names its host, there
/// it names this one.
///
/// Behind a proxy that ends TLS nobody here knows the scheme, so a page of plain `http` is refused only where the
/// request's own URI says `https`.
fn is_own(origin: &Origin, uri: &Uri, headers: &HeaderMap) -> bool {
    if uri.scheme() == Some(&Scheme::HTTPS) && !origin.is_https() {
        return false;
    }
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next(), uri.authority()) {
        (None, None, Some(authority)) => origin.is_at(authority),
        (Some(host), None, authority) => {
            let host = Authority::try_from(host.as_bytes());
            host.is_ok_and(|host| origin.is_at(&host))
                && authority.is_none_or(|authority| origin.is_at(authority))
        }
        _ => false,
    }
}

#[cfg(feature = "config")]
crate::settings::deserialize_builder!(CsrfPolicy, CsrfPolicy::new());

#[cfg(test)]
mod tests;
