//! Opaque tokens: issued, verified, refreshed, renewed and ended.

mod audit;
mod carried;
mod devices;
mod events;
mod first_use;
mod issue;
mod lifetimes;
mod limits;
mod races;
mod refresh;
mod rekey;
mod reuse;
mod sliding;
mod sliding_races;
mod touches;
mod users;

use std::time::Duration;

use portcullis::token::Issued;

use crate::support::{Fixture, refresh_text, secs};

const MILLI: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn texts(issued: &Issued) -> (String, String) {
    (issued.access().expose().to_owned(), refresh_text(issued))
}

/// A login, its refresh at +60 s, and the pair that came of it.
async fn rotated(fixture: &Fixture) -> (Issued, Issued) {
    let first = fixture.login("ada").await;
    fixture.time.advance(secs(60));
    let second = fixture.refresh(&refresh_text(&first)).await.unwrap();
    (first, second)
}
