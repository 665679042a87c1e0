//! What operators are told: one vocabulary of security events, the log, and the ports that receive them.
//!
//! 1. An [`Event`] names what happened, when, and to which login, subject and request. It has no room for a
//!    token, and may be logged.
//! 2. Each event is exactly one event of `tracing` with the target `portcullis`. Text from outside is escaped,
//!    so that it forges no lines; addresses are cut to their network.
//! 3. An [`Observer`] is told of events on a thread of its own. It can neither delay a request nor fail it: a
//!    full queue drops events and counts them, a panic is caught.
//! 4. A [`Meter`] counts events where they happen. The feature `metrics` brings one.
//!
//! Names are those of OWASP's logging vocabulary where it has one; see [`EventKind`]. Here a session is a login in a
//! cookie without a refresh token, whichever service has issued it: it ends when its cookie does, and nothing renews it
//! but its use.
//!
//! What is decided about a request is one event of whoever decides it: a layer, a ready service, or a
//! [`Session`](crate::session::Session) that no layer has looked at before. What becomes of a login (created, refreshed,
//! revoked, and of a session also renewed, expired) is told besides, by the service that keeps it.
//!
//! ```
//! use portcullis::{MemoryStore, TokenPolicy, TokenService, event::{Event, EventKind, Observer, Reporter}};
//!
//! struct Alarm;
//!
//! impl Observer for Alarm {
//!     fn observe(&self, event: &Event) {
//!         if matches!(event.kind(), EventKind::TokenReuse { .. }) {
//!             // page somebody, write to the audit table: blocking is allowed here
//!         }
//!     }
//! }
//!
//! let reporter = Reporter::default().observer(Alarm);
//! let tokens = TokenService::new(MemoryStore::new(), TokenPolicy::default()).reporter(reporter.clone());
//! // … serve …
//! reporter.flush(); // before the process ends
//! # drop(tokens);
//! ```

mod kind;
mod log;
mod occurrence;
mod outlet;
mod reporter;

pub use kind::{EventKind, RepeatedBy, ReuseKind, RevokeReason};
pub use occurrence::Event;
pub use reporter::{Meter, Observer, Reporter};

#[cfg(test)]
mod tests;
