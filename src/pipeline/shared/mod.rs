//! Tokens that several processes share, or several pipelines of one.
//!
//! 1. A token that is taken over has more life left than the one that is there: two processes cannot hand each other
//!    an old one for ever.
//! 2. Who fetches holds the token's lock, so that one fetch serves all. For a token that can be fetched again at any
//!    time the lock saves work and nothing depends on it: where the store is down, each process goes on by itself.
//! 3. A refresh token that others know is redeemed under the lock only, after the record was read again, and its
//!    successor is stored before anybody uses it. Without the store nothing is redeemed.
//! 4. What does not open as what was sealed for its key and version is no token: it is passed over with a warning,
//!    and replaced.
//! 5. No clock of another machine is believed beyond the life that the store itself reports.
//! 6. A record names the versions of the shared tokens that its own was made from: what was made from a refused one is
//!    known by that, whatever the clocks are.

mod entry;
mod hold;
mod record;
mod renew;
mod sealing;
mod settings;
mod want;

pub use record::SharedToken;
pub use renew::ExchangeError;
pub use settings::{SharedLeases, SharedLeasesBuilder};
pub use want::Want;
