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

/// From 0 to 1, for waits that shall differ. Without random bytes it is 1: there is no jitter then, which is no reason to
/// fail.
pub(crate) fn fraction() -> f64 {
    let bytes = bytes::<4>().map_or([u8::MAX; 4], |bytes| *bytes);
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

/// `N` bytes, wiped when dropped.
#[allow(clippy::disallowed_methods)] // the one place
pub(crate) fn bytes<const N: usize>() -> Result<Zeroizing<[u8; N]>, RandomError> {
    let mut out = Zeroizing::new([0; N]);
    // The cause is an OS error number and tells the caller nothing to act on.
    getrandom::fill(out.as_mut_slice()).map_err(|_no_entropy| RandomError)?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_from_zero_to_one_and_differ() {
        let drawn: Vec<f64> = (0..100).map(|_| fraction()).collect();
        assert!(drawn.iter().all(|drawn| (0.0..=1.0).contains(drawn)));
        assert!(drawn.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
