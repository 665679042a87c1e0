//! Observers, the vocabulary, the log.

mod log;
mod observers;

use super::{Event, EventKind};
use crate::clock::Timestamp;

fn event(number: i64) -> Event {
    Event::new(EventKind::AuthSuccess, Timestamp::from_millis(number))
}
