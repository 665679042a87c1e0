//! What is known of a client's redirects.

use reqwest::redirect::Policy;

/// Whether a client may send a request on to another origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Redirects {
    /// It does not: it was built so, or somebody answers for it.
    Stay,
    /// Nobody knows: a client does not tell its policy.
    Unknown,
}

const MAX: usize = 10;

/// Follows up to ten redirects to the origin that they come from, and none to another: then the redirect is the answer.
/// So a credential in any header stays with its origin.
///
/// ```
/// # fn main() -> Result<(), reqwest::Error> {
/// let client = reqwest::Client::builder().redirect(portcullis::same_origin_redirects()).build()?;
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
pub fn same_origin_redirects() -> Policy {
    let limited = Policy::limited(MAX);
    Policy::custom(move |attempt| {
        let from = attempt.previous().last();
        let stays = from.is_some_and(|from| from.origin() == attempt.url().origin());
        if stays { limited.redirect(attempt) } else { attempt.stop() }
    })
}
