//! Refusals: why, with which status, and how they are written.
//!
//! 1. A [`Rejection`] says what went wrong ([`RejectionKind`] for the client, [`Reason`] for the log) and
//!    builds the whole answer.
//! 2. The body is `application/problem+json` (RFC 9457): a stable `code`, and nothing that depends on the
//!    credential.
//! 3. 400, 401 and 403 carry `WWW-Authenticate` challenges (RFC 6750 §3) unless the refusal has nothing to do
//!    with a credential.
//! 4. 429 and 503 carry `Retry-After` where the wait is known.
//! 5. The rejection itself is left in the response's extensions, for logging layers outside.
//!
//! ```
//! use bytes::Bytes;
//! use http::Response;
//! use portcullis::problem::{ProblemReply, Reason, Rejection, RejectionKind};
//!
//! let rejection = Rejection::new(RejectionKind::InvalidToken, Reason::Expired);
//! let answer: Response<Bytes> = rejection.respond(&ProblemReply);
//! assert_eq!(answer.status(), 401);
//! assert_eq!(answer.extensions().get::<Rejection>().map(Rejection::reason), Some(Reason::Expired));
//! assert!(!answer.body().windows(7).any(|part| part == b"expired"));
//! ```

mod challenge;
mod kind;
mod rejection;
mod reply;

pub use kind::{Reason, RejectionKind};
pub use rejection::Rejection;
pub use reply::{MakeReply, ProblemReply, ReplyBody};

pub(crate) use challenge::Challenges;
