//! Who somebody is: an id, and who vouches for it.

use std::{borrow::Cow, sync::Arc};

/// Who vouches for a subject's id. The same id of two issuers is two subjects.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Issuer {
    /// This service.
    Local,
    /// Another one, by its issuer identifier.
    Url(Arc<str>),
    /// Nobody: the subject stands for a browser whose user is not known.
    Nobody,
}

/// A user or a client: an id and who vouches for it. Any text is an id, `0` and the empty one included.
///
/// All that belongs to somebody goes by the subject alone: the list of devices and their names, limits of live logins
/// and single login, logging out everywhere, the change of credentials. A login's
/// [tenant](crate::token::IssueOptions::tenant) decides where its tokens are valid, and divides none of that. So a
/// subject stands for one user over all tenants of a store. Where each tenant has numbers of its own, name the tenant as
/// issuer:
///
/// ```
/// use portcullis::identity::Subject;
///
/// let red = Subject::of("https://red.example", "7");
/// let blue = Subject::of("https://blue.example", "7");
/// assert_ne!(red, blue);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    issuer: Issuer,
    id: Box<str>,
}

impl Issuer {
    /// The issuer as one text, for a store: `local`, `nobody`, or `url:` and the issuer identifier.
    pub fn to_name(&self) -> Cow<'static, str> {
        match self {
            Self::Local => Cow::Borrowed("local"),
            Self::Nobody => Cow::Borrowed("nobody"),
            Self::Url(url) => Cow::Owned(format!("url:{url}")),
        }
    }

    /// The issuer of this [name](Self::to_name), for a store that reads one back.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "local" => Some(Self::Local),
            "nobody" => Some(Self::Nobody),
            _ => name.strip_prefix("url:").map(|url| Self::Url(url.into())),
        }
    }
}

impl Subject {
    /// A subject of this issuer.
    pub fn new(issuer: Issuer, id: impl Into<Box<str>>) -> Self {
        Self { issuer, id: id.into() }
    }

    /// A subject of this service.
    pub fn local(id: impl Into<Box<str>>) -> Self {
        Self { issuer: Issuer::Local, id: id.into() }
    }

    /// A subject of another issuer.
    pub fn of(issuer: impl Into<Arc<str>>, id: impl Into<Box<str>>) -> Self {
        Self { issuer: Issuer::Url(issuer.into()), id: id.into() }
    }

    /// A browser whose user is not known, by an id of its own. Such a subject is never an identity: its login
    /// keeps data and authenticates nobody.
    pub fn anonymous(id: impl Into<Box<str>>) -> Self {
        Self { issuer: Issuer::Nobody, id: id.into() }
    }

    /// Whether this stands for a browser whose user is not known.
    pub fn is_anonymous(&self) -> bool {
        matches!(self.issuer, Issuer::Nobody)
    }

    /// Who vouches for the id.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The id, unique for its issuer.
    pub fn id(&self) -> &str {
        &self.id
    }
}
