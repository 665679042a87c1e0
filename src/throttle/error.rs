//! Why an attempt is not let through.

use std::{error::Error, fmt, time::Duration};

use crate::{
    problem::{Reason, Rejection, RejectionKind},
    store::StoreError,
};

/// Why an attempt is not let through.
#[derive(Debug, Clone)]
#[allow(clippy::exhaustive_enums)] // over the limit, or could not check: there is no third way
pub enum Throttled {
    /// Over a limit; answered with 429.
    TooMany {
        /// When the next attempt is let through. `None` where the count is shared with others, because the client's
        /// address is not known: the time would say how much they tried.
        retry_after: Option<Duration>,
    },
    /// The store did not answer; answered with 503.
    Unavailable(StoreError),
}

impl From<Throttled> for Rejection {
    fn from(throttled: Throttled) -> Self {
        match throttled {
            Throttled::TooMany { retry_after } => {
                Self::new(RejectionKind::TooManyRequests, Reason::Throttled).with_retry_after(retry_after)
            }
            Throttled::Unavailable(error) => Self::unavailable(error.into()),
        }
    }
}

impl fmt::Display for Throttled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooMany { .. } => "too many attempts",
            Self::Unavailable(_) => "the rate limit could not be checked",
        })
    }
}

impl Error for Throttled {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::TooMany { .. } => None,
            Self::Unavailable(error) => Some(error),
        }
    }
}
