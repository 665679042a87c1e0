//! The line of the log that each event is.

use tracing::{Level, field};

use super::{Event, EventKind};
use crate::{
    client_ip::IpBucket,
    credential::Channel,
    identity::{Issuer, Subject},
    problem::Reason,
    text::TokenId,
};

pub(super) const TARGET: &str = "portcullis";

/// The level must be a constant for `tracing`, so there is one such line for each. Values are computed only
/// where somebody listens. Text from outside is written as `Debug` writes it, with control characters escaped.
macro_rules! line {
    ($level:expr, $event:expr) => {
        tracing::event!(
            target: TARGET,
            $level,
            name = $event.name(),
            at = $event.at().as_millis(),
            record = $event.record().as_ref().map(TokenId::as_str),
            issuer = $event.subject().and_then(foreign_issuer).map(field::debug),
            subject = $event.subject().map(|subject| field::debug(subject.id())),
            channel = $event.channel().map(Channel::as_str),
            scheme = $event.scheme(),
            reason = $event.reason().map(Reason::as_str),
            ip = $event.client_ip().map(|ip| field::display(IpBucket::of(ip))),
            cause = $event.kind().cause(),
            since_rotation_ms = $event.kind().since_rotation().map(|span| span.as_millis()),
            by = $event.kind().by(),
            count = $event.kind().count(),
        )
    };
}

pub(super) fn write(event: &Event) {
    match event.kind().level() {
        Level::DEBUG => line!(Level::DEBUG, event),
        Level::INFO => line!(Level::INFO, event),
        _ => line!(Level::WARN, event),
    }
}

/// Whether anybody reads such lines.
pub(super) fn is_read(kind: &EventKind) -> bool {
    match kind.level() {
        Level::DEBUG => tracing::event_enabled!(target: TARGET, Level::DEBUG),
        Level::INFO => tracing::event_enabled!(target: TARGET, Level::INFO),
        _ => tracing::event_enabled!(target: TARGET, Level::WARN),
    }
}

fn foreign_issuer(subject: &Subject) -> Option<&str> {
    match subject.issuer() {
        Issuer::Local => None,
        Issuer::Nobody => Some("nobody"),
        Issuer::Url(url) => Some(url),
    }
}
