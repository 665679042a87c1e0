//! Limits that fit what programs do by themselves.

use super::{ThrottlePolicy, ThrottlePolicyBuilder};
use crate::store::Limit;

impl ThrottlePolicy {
    /// Starts from limits for refreshes: 300 a minute from one address. Nobody types a refresh token, and nobody guesses
    /// 256 random bits, so there is nothing to be slowed down but a flood; while fifty tabs of a browser that wakes up
    /// refresh at once, and so do all the people of an office.
    ///
    /// There is no limit for an identifier: a limit for each login would stop tabs that share it.
    pub fn refreshes() -> ThrottlePolicyBuilder {
        Self::builder().per_client_ip(Some(Limit::per_minute(300))).per_identifier(None)
    }
}
