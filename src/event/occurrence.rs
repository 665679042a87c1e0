//! One event.

use std::{any::Any, fmt, net::IpAddr, sync::Arc};

use super::EventKind;
use crate::{
    client_ip::IpBucket,
    clock::Timestamp,
    credential::Channel,
    identity::{Details, Subject},
    problem::{Challenges, Reason},
    text::TokenId,
};

/// Something that an operator may want to know of. Cheap to clone. Nothing in it is a secret.
#[derive(Clone)]
pub struct Event {
    kind: EventKind,
    at: Timestamp,
    record: Option<TokenId>,
    subject: Option<Arc<Subject>>,
    client_ip: Option<IpAddr>,
    reason: Option<Reason>,
    channel: Option<Channel>,
    scheme: Option<(Arc<Challenges>, u8)>,
    details: Option<Details>,
}

impl Event {
    /// An event that happened at `at`, and nothing else known of it.
    pub fn new(kind: EventKind, at: Timestamp) -> Self {
        Self {
            kind,
            at,
            record: None,
            subject: None,
            client_ip: None,
            reason: None,
            channel: None,
            scheme: None,
            details: None,
        }
    }

    /// Names the login.
    #[must_use]
    pub fn with_record(mut self, record: TokenId) -> Self {
        self.record = Some(record);
        self
    }

    /// Names the subject.
    #[must_use]
    pub fn with_subject(mut self, subject: Arc<Subject>) -> Self {
        self.subject = Some(subject);
        self
    }

    /// The address from which the request came.
    #[must_use]
    pub fn with_client_ip(mut self, client_ip: IpAddr) -> Self {
        self.client_ip = Some(client_ip);
        self
    }

    /// Why something was refused.
    #[must_use]
    pub fn with_reason(mut self, reason: Reason) -> Self {
        self.reason = Some(reason);
        self
    }

    /// The way the credential travelled.
    #[must_use]
    pub fn with_channel(mut self, channel: Channel) -> Self {
        self.channel = Some(channel);
        self
    }

    /// The scheme of the credential, by its position among the challenges of whoever has read it.
    pub(crate) fn with_scheme(mut self, challenges: &Arc<Challenges>, position: u8) -> Self {
        self.scheme = Some((Arc::clone(challenges), position));
        self
    }

    /// What the verifier knows beyond that: a login record, the claims of a JWT. Observers can ask for it; it is
    /// never logged.
    #[must_use]
    pub fn with_details(mut self, details: Details) -> Self {
        self.details = Some(details);
        self
    }

    /// What of these is known.
    pub(crate) fn with_known(
        mut self,
        record: Option<TokenId>,
        subject: Option<Arc<Subject>>,
        client_ip: Option<IpAddr>,
    ) -> Self {
        (self.record, self.subject, self.client_ip) = (record, subject, client_ip);
        self
    }

    /// What happened.
    pub fn kind(&self) -> &EventKind {
        &self.kind
    }

    /// The name of what happened.
    pub fn name(&self) -> &'static str {
        self.kind.name()
    }

    /// When it happened.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The login, where there is one.
    pub fn record(&self) -> Option<TokenId> {
        self.record
    }

    /// Who it is about, if that is known.
    pub fn subject(&self) -> Option<&Subject> {
        self.subject.as_deref()
    }

    /// The address from which the current request came, if that is known. That of the login is in the login's
    /// context, which is in the [`details`](Self::details).
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip
    }

    /// Why something was refused. For operators only: clients are told less.
    pub fn reason(&self) -> Option<Reason> {
        self.reason
    }

    /// The way the credential travelled.
    pub fn channel(&self) -> Option<Channel> {
        self.channel
    }

    /// The method by which a request was authenticated, where one was: the scheme of its credential, as configured, or
    /// `Cookie`.
    pub fn scheme(&self) -> Option<&str> {
        self.scheme.as_ref().map(|(challenges, position)| challenges.scheme(*position))
    }

    /// What the verifier knows beyond that, if it is a `T`: for opaque tokens a
    /// [`LoginRecord`](crate::store::LoginRecord), as it was when the event happened.
    pub fn details<T: Any + Send + Sync>(&self) -> Option<&T> {
        self.details.as_deref()?.downcast_ref()
    }
}

/// Shows what the log shows.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("kind", &self.kind)
            .field("at", &self.at)
            .field("record", &self.record)
            .field("subject", &self.subject)
            .field("client_ip", &self.client_ip.map(IpBucket::of))
            .field("reason", &self.reason)
            .field("channel", &self.channel)
            .field("scheme", &self.scheme())
            .finish_non_exhaustive()
    }
}
