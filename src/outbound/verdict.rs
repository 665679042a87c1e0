//! What an answer says of the token that was sent.

use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE};

use crate::challenge::Challenge;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_OK: &[u8] = b"0";
const GRPC_UNAUTHENTICATED: &[u8] = b"16";

/// What an answer says of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Somebody has looked at it and liked it.
    Accepted,
    /// Nothing.
    Silent,
    /// It is not valid (any more).
    Rejected,
    /// It is valid, and not enough.
    InsufficientScope(Option<Arc<str>>),
    /// The status of a rejection, for another reason.
    OtherFault,
}

impl Verdict {
    /// Whether the answer finds fault with a credential.
    pub(super) fn blames(&self) -> bool {
        !matches!(self, Self::Accepted | Self::Silent)
    }
}

/// Which answers reject a token.
#[derive(Default)]
pub(super) struct Rejections {
    /// Beside 401.
    pub(super) statuses: Vec<StatusCode>,
    pub(super) condition: Option<Box<Condition>>,
}

/// Given status and headers of what looks like a rejection.
pub(super) type Condition = dyn Fn(StatusCode, &HeaderMap) -> bool + Send + Sync;

impl Rejections {
    /// What status and headers say. Only a success shows that a token works: a gateway's 503 or a limiter's 429 may
    /// have been given without a look at it.
    pub(super) fn judge(&self, status: StatusCode, headers: &HeaderMap) -> Verdict {
        let grpc = grpc_status(status, headers);
        let unauthenticated = status == StatusCode::UNAUTHORIZED || grpc == Some(GRPC_UNAUTHENTICATED);
        if !unauthenticated && !self.statuses.contains(&status) {
            let scope = (status == StatusCode::FORBIDDEN).then(|| of_challenges(headers));
            return match scope {
                Some(scope @ Verdict::InsufficientScope(_)) => scope,
                _ if grpc.is_some_and(|grpc| grpc != GRPC_OK) => Verdict::Silent,
                _ if status.is_success() || status == StatusCode::NOT_MODIFIED => Verdict::Accepted,
                _ => Verdict::Silent,
            };
        }
        match of_challenges(headers) {
            Verdict::Rejected if self.condition.as_ref().is_some_and(|holds| !holds(status, headers)) => {
                Verdict::OtherFault
            }
            verdict => verdict,
        }
    }
}

impl fmt::Debug for Rejections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejections").field("statuses", &self.statuses).finish_non_exhaustive()
    }
}

/// An answer without messages has its status in the headers ("Trailers-Only" of the gRPC protocol), beside the 200
/// that every gRPC answer has. No other protocol has this content type.
fn grpc_status(status: StatusCode, headers: &HeaderMap) -> Option<&[u8]> {
    let value = |name: HeaderName| headers.get(name).map(HeaderValue::as_bytes);
    let grpc = Some(status).filter(|status| *status == StatusCode::OK).and_then(|_| value(GRPC_STATUS))?;
    value(CONTENT_TYPE)?.starts_with(b"application/grpc").then_some(grpc)
}

/// A rejection, unless a challenge says that it is none (RFC 6750 §3.1). Errors count with every scheme: tokens
/// travel with others than `Bearer`, too.
fn of_challenges(headers: &HeaderMap) -> Verdict {
    let challenges = Challenge::read(headers);
    let with = |error: &str| challenges.iter().find(|challenge| challenge.parameter("error") == Some(error));
    if let Some(challenge) = with("insufficient_scope") {
        return Verdict::InsufficientScope(challenge.parameter("scope").map(Arc::from));
    }
    let other = || {
        // The second one asks for the same token with another proof (RFC 9449 §8).
        with("invalid_request").or_else(|| with("use_dpop_nonce")).is_some()
    };
    if with("invalid_token").is_none() && other() { Verdict::OtherFault } else { Verdict::Rejected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, headers: &[(&'static str, &'static str)], expected: Verdict) {
        let map = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let rules = Rejections { statuses: vec![StatusCode::from_u16(440).unwrap()], condition: None };
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(rules.judge(status, &map.collect()), expected, "{status} {headers:?}");
    }

    fn scope(scope: &str) -> Verdict {
        Verdict::InsufficientScope(Some(scope.into()))
    }

    #[test]
    fn r117_a_401_rejects_the_token_unless_a_challenge_says_otherwise() {
        let challenge = |value: &'static str| [("www-authenticate", value)];
        check(401, &[], Verdict::Rejected);
        check(401, &challenge("Bearer"), Verdict::Rejected);
        check(401, &challenge("junk @@@ \"\""), Verdict::Rejected);
        check(401, &challenge("Basic realm=\"a\""), Verdict::Rejected);
        check(401, &challenge("Bearer error=\"invalid_token\""), Verdict::Rejected);
        check(401, &challenge("Bearer error=\"token_expired\""), Verdict::Rejected);
        check(401, &challenge("Bearer error=\"invalid_request\""), Verdict::OtherFault);
        check(401, &challenge("bearer realm=\"a, b\", Error=invalid_request"), Verdict::OtherFault);
        check(401, &challenge("Bearer realm=\"error=invalid_request\""), Verdict::Rejected);
        check(401, &challenge("DPoP error=\"use_dpop_nonce\""), Verdict::OtherFault);
        check(
            401,
            &challenge("DPoP error=\"invalid_request\", Bearer error=\"invalid_token\""),
            Verdict::Rejected,
        );
        check(401, &challenge("Bearer error=\"insufficient_scope\", scope=\"a b\""), scope("a b"));
        check(401, &challenge("Basic x=y, Token error=insufficient_scope"), Verdict::InsufficientScope(None));
        check(
            401,
            &challenge("Bearer error=insufficient_scope, DPoP error=invalid_token"),
            Verdict::InsufficientScope(None),
        );
    }

    #[test]
    fn r117_other_statuses_do_not_unless_they_are_listed() {
        for status in [200, 204, 304] {
            check(status, &[], Verdict::Accepted);
        }
        for status in [302, 307, 400, 403, 404, 407, 429, 500, 503] {
            check(status, &[], Verdict::Silent);
            check(status, &[("www-authenticate", "Bearer error=\"invalid_token\"")], Verdict::Silent);
        }
        check(403, &[("www-authenticate", "Bearer error=\"insufficient_scope\", scope=a")], scope("a"));
        check(440, &[], Verdict::Rejected);
        check(
            440,
            &[("www-authenticate", "Bearer error=\"insufficient_scope\"")],
            Verdict::InsufficientScope(None),
        );
    }

    #[test]
    fn r205_a_grpc_status_of_16_in_the_headers_is_a_401() {
        let grpc = ("content-type", "application/grpc+proto");
        check(200, &[grpc, ("grpc-status", "16")], Verdict::Rejected);
        check(200, &[("content-type", "application/grpc"), ("grpc-status", "16")], Verdict::Rejected);
        check(200, &[grpc, ("grpc-status", "7")], Verdict::Silent);
        check(200, &[grpc, ("grpc-status", "14")], Verdict::Silent);
        check(200, &[grpc, ("grpc-status", "0")], Verdict::Accepted);
        check(200, &[grpc], Verdict::Accepted);
        check(200, &[("grpc-status", "16")], Verdict::Accepted);
        check(200, &[("content-type", "application/json"), ("grpc-status", "16")], Verdict::Accepted);
        check(503, &[grpc, ("grpc-status", "16")], Verdict::Silent);
    }

    #[test]
    fn r119_a_condition_takes_rejections_away_and_adds_none() {
        let condition = |status: StatusCode, headers: &HeaderMap| status == 403 && headers.contains_key("x");
        let rules =
            Rejections { statuses: vec![StatusCode::FORBIDDEN], condition: Some(Box::new(condition)) };
        let with = HeaderMap::from_iter([(HeaderName::from_static("x"), HeaderValue::from_static("y"))]);
        assert_eq!(rules.judge(StatusCode::FORBIDDEN, &with), Verdict::Rejected);
        assert_eq!(rules.judge(StatusCode::FORBIDDEN, &HeaderMap::new()), Verdict::OtherFault);
        assert_eq!(rules.judge(StatusCode::UNAUTHORIZED, &with), Verdict::OtherFault);
        assert_eq!(rules.judge(StatusCode::NOT_FOUND, &with), Verdict::Silent);
    }
}
