//! Which requests carry a token, and what the layer does about their answers.

use std::{sync::Arc, time::Duration};

use http::{Extensions, HeaderMap, HeaderName, Method, Request, Response, Uri};

use super::{
    budget::Purse,
    final_uri::FinalUri,
    options::{Demand, ExistingHeader, InjectOptions},
    patience::Patience,
    refresh_retry::RefreshRetry,
    verdict::{Rejections, Verdict},
};
use crate::{
    origin::Origin,
    path::PathSet,
    provider::{Lease, Recorders, TokenProvider, TokenRequest},
};

/// A layer's settings, checked and shared by all its services.
pub(super) struct Rules {
    pub(super) provider: Arc<dyn TokenProvider>,
    /// The provider's, which do not change.
    pub(super) header: HeaderName,
    pub(super) headers: Box<[HeaderName]>,
    pub(super) origins: Vec<Origin>,
    /// Where requests without an authority go: the place among the allowed origins.
    pub(super) default_origin: Option<usize>,
    pub(super) excluded: PathSet,
    pub(super) existing: ExistingHeader,
    /// `None` is every method.
    pub(super) repeated: Option<Vec<Method>>,
    pub(super) rejections: Rejections,
    pub(super) purse: Purse,
    pub(super) refresh_retry: RefreshRetry,
    pub(super) refresh_failure: RefreshFailure,
    /// How long requests wait for a token.
    pub(super) wait_limit: Option<Duration>,
    pub(super) recorders: Recorders,
}

/// What a request fails with if no newer token can be had after a rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum RefreshFailure {
    /// With nothing: the rejection is its answer.
    #[default]
    Answer,
    Error,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    /// It passes untouched.
    Pass,
    /// It would pass, and must not.
    Refuse,
    /// It gets a token.
    Attach {
        /// The place of its origin among the allowed ones.
        origin: usize,
        /// Whether it may be sent once more.
        repeat: bool,
    },
}

impl Rules {
    /// No rule, no token: options demand or forbid, and allow nothing.
    pub(super) fn plan<B>(&self, request: &Request<B>) -> Plan {
        let options = request.extensions().get::<InjectOptions>().copied().unwrap_or_default();
        if options.demand == Demand::Skip || request.extensions().get::<TokenRequest>().is_some() {
            return Plan::Pass;
        }
        let origin = self.origin_of(request.uri()).filter(|_| !self.excludes(request.uri()));
        let Some(origin) = origin else {
            return if options.demand == Demand::Require { Plan::Refuse } else { Plan::Pass };
        };
        let keeps = options.existing.unwrap_or(self.existing) == ExistingHeader::Keep;
        if keeps && self.headers.iter().any(|header| request.headers().contains_key(header)) {
            return Plan::Pass;
        }
        let repeated = self.repeated.as_ref().is_none_or(|methods| methods.contains(request.method()));
        Plan::Attach { origin, repeat: repeated && !options.never_repeat }
    }

    /// How long a request waits for its token, and again for a newer one.
    pub(super) fn patience(&self, extensions: &Extensions) -> Patience {
        let own = extensions.get::<InjectOptions>().and_then(|options| options.wait_limit);
        Patience::new(own.or(self.wait_limit))
    }

    pub(super) fn attach(&self, headers: &mut HeaderMap, lease: &Lease) {
        // Of several headers a lease may fill only some; the others are replaced by nothing.
        if let several @ [_, _, ..] = &*self.headers {
            several.iter().for_each(|header| drop(headers.remove(header)));
        }
        lease.attach(&self.header, headers);
    }

    /// What the answer says of a token that was sent to this origin; `None` if it is somebody else's, to whom a
    /// client below has followed a redirect.
    pub(super) fn judge<B>(&self, origin: usize, response: &Response<B>) -> Option<Verdict> {
        self.answered_by(origin, response.extensions())
            .then(|| self.rejections.judge(response.status(), response.headers()))
    }

    fn excludes(&self, uri: &Uri) -> bool {
        // Usually nothing is, and then nobody needs to know where the path begins and ends.
        !self.excluded.is_empty() && self.excluded.matches(uri.path())
    }

    fn answered_by(&self, origin: usize, extensions: &Extensions) -> bool {
        extensions.get::<FinalUri>().is_none_or(|last| self.origin_of(last.uri()) == Some(origin))
    }

    fn origin_of(&self, uri: &Uri) -> Option<usize> {
        if uri.authority().is_none() && uri.scheme().is_none() {
            return self.default_origin;
        }
        self.origins.iter().position(|origin| origin.matches(uri))
    }
}
