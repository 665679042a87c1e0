//! Random bytes, from the operating system's generator and from nowhere else.

use std::fmt;

use zeroize::Zeroizing;

/// The operating system gave no random bytes.
///
/// Nothing is issued then: a token made from anything weaker would be worse than an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RandomError;

impl fmt::Display for RandomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the operating system gave no random bytes")
    }
}

impl std::error::Error for RandomError {}

/// `N` bytes, wiped when dropped.
#[allow(clippy::disallowed_methods)] // the one place
pub(crate) fn bytes<const N: usize>() -> Result<Zeroizing<[u8; N]>, RandomError> {
    let mut out = Zeroizing::new([0; N]);
    // The cause is an OS error number and tells the caller nothing to act on.
    getrandom::fill(out.as_mut_slice()).map_err(|_no_entropy| RandomError)?;
    Ok(out)
}
