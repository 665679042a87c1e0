//! What can be wrong with a cookie, and why it matters.

use std::fmt;

/// Something wrong with a cookie that carries a login. `Display` gives the [`reason`](Self::reason).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Finding {
    /// The name is not a token (RFC 9110 §5.6.2), the value holds a byte that a cookie cannot carry, or an
    /// attribute one that is not printable ASCII. There is no fix but another text.
    Malformed,
    /// Name, with its prefix, and value exceed 4096 bytes. There is no fix but a shorter text.
    TooLong,
    /// No `HttpOnly`.
    MissingHttpOnly,
    /// No `Secure`.
    MissingSecure,
    /// No `SameSite`, or a word that browsers do not know.
    MissingSameSite,
    /// `SameSite=None`.
    SameSiteNone,
    /// `SameSite=None` without `Secure`.
    SameSiteNoneWithoutSecure,
    /// `Max-Age` above 8 hours.
    LongLife,
    /// `Expires` without `Max-Age`, unless it removes the cookie.
    ExpiresOnly,
    /// `Domain`, whatever its value.
    Domain,
    /// No `Path`, or one that does not start with `/`.
    MissingPath,
    /// No prefix.
    MissingPrefix,
    /// A prefix that does not bind the cookie to its host, although its attributes would allow `__Host-`.
    WeakPrefix,
    /// A prefix in another case than `__Host-`, `__Secure-`, `__Http-` or `__Host-Http-`.
    MiscasedPrefix,
    /// A `__Host-` name without `Secure`, with `Domain`, or without `Path=/`.
    BrokenHostPrefix,
    /// A `__Secure-` name without `Secure`.
    BrokenSecurePrefix,
    /// A `__Http-` or `__Host-Http-` name without `Secure` or `HttpOnly`.
    BrokenHttpPrefix,
}

impl Finding {
    /// Why the setting matters, in one or two sentences.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Malformed => {
                "Name, value or an attribute holds a character that a cookie cannot carry. Browsers drop such a \
                 cookie, cut it, or send something else back."
            }
            Self::TooLong => "Browsers drop a cookie whose name and value exceed 4096 bytes.",
            Self::MissingHttpOnly => {
                "Without HttpOnly every script on the page can read the cookie, so that one injected script \
                 carries the login away."
            }
            Self::MissingSecure => {
                "Without Secure the browser also sends the cookie over plain http, where everybody on the \
                 network can read it. One image with an http address is enough."
            }
            Self::MissingSameSite => {
                "Without SameSite each browser has its own rule for when other sites' requests carry the \
                 cookie, and some send it with all of them. Lax keeps it out of forged forms and still lets \
                 links from other sites arrive logged in."
            }
            Self::SameSiteNone => {
                "With SameSite=None the cookie goes along with requests that any other site causes, which is \
                 what cross-site request forgery needs."
            }
            Self::SameSiteNoneWithoutSecure => {
                "Browsers refuse a cookie with SameSite=None that is not Secure."
            }
            Self::LongLife => {
                "Whoever copies the cookie, or sits down at a shared computer, can use it until it ends. Eight \
                 hours last for a working day; browsers cut anything above 400 days."
            }
            Self::ExpiresOnly => {
                "Expires is a date and is compared with the clock of the user's computer, so that the life \
                 depends on how wrong that is. Max-Age counts from when the cookie arrives."
            }
            Self::Domain => {
                "With Domain the cookie is sent to every subdomain, and each of them can overwrite it. The \
                 weakest one then decides how safe the login is."
            }
            Self::MissingPath => {
                "Without Path the cookie belongs to the folder of the page that set it: other pages do not get \
                 it, and a logout from another page removes nothing."
            }
            Self::MissingPrefix => {
                "Any subdomain, and anybody on the network over plain http, can plant a cookie of this name and \
                 so log the user in as somebody else. Browsers let nobody but the host itself set a name that \
                 starts with __Host-."
            }
            Self::WeakPrefix => {
                "This prefix lets subdomains plant a cookie of the same name. The attributes are those that \
                 __Host- asks for, and it would stop them."
            }
            Self::MiscasedPrefix => {
                "Browsers know a prefix in any case, servers in one only, so that the two disagree about which \
                 cookie is protected."
            }
            Self::BrokenHostPrefix => {
                "Browsers refuse a __Host- cookie that lacks Secure, has a Domain, or has any Path but /."
            }
            Self::BrokenSecurePrefix => "Browsers refuse a __Secure- cookie that is not Secure.",
            Self::BrokenHttpPrefix => {
                "Browsers that know the prefix refuse an __Http- cookie that lacks Secure or HttpOnly."
            }
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}
