//! Which limits there are.

use std::time::Duration;

use crate::{
    error::{ConfigError, Faults},
    settings::{self, Description},
    store::Limit,
};

const WINDOW_MIN: Duration = Duration::from_secs(1);
const WINDOW_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How many attempts are let through. A policy that exists is valid.
#[derive(Debug, Clone)]
pub struct ThrottlePolicy {
    pub(super) per_client_ip: Option<Limit>,
    pub(super) per_identifier: Option<Limit>,
}

/// Makes a [`ThrottlePolicy`].
#[derive(Debug, Clone)]
#[must_use]
pub struct ThrottlePolicyBuilder {
    per_client_ip: Option<Limit>,
    per_identifier: Option<Limit>,
    /// What was wrong with settings that came as text.
    faults: Faults,
}

// ===== impl ThrottlePolicy =====

impl ThrottlePolicy {
    /// Starts from the defaults.
    pub fn builder() -> ThrottlePolicyBuilder {
        ThrottlePolicyBuilder {
            per_client_ip: Some(Limit::per_minute(30)),
            per_identifier: Some(Limit::per_minute(5)),
            faults: Faults::default(),
        }
    }

    /// The settings in force: a count and the span in which so many are let through.
    pub fn describe(&self) -> Description {
        let limit = |limit: Option<Limit>| match limit {
            None => "none".to_owned(),
            Some(limit) => format!("{} in {}", limit.count(), settings::span(limit.window())),
        };
        Description::new(vec![
            ("per_client_ip", limit(self.per_client_ip)),
            ("per_identifier", limit(self.per_identifier)),
        ])
    }
}

impl Default for ThrottlePolicy {
    /// 30 a minute from one address, 5 a minute for one identifier from it.
    fn default() -> Self {
        Self::builder().build().expect("the defaults break no rule")
    }
}

// ===== impl ThrottlePolicyBuilder =====

impl ThrottlePolicyBuilder {
    /// Attempts from one client address, or from one IPv6 network of 64 bits; `None` switches the limit off.
    /// Default 30 a minute.
    pub fn per_client_ip(mut self, limit: Option<Limit>) -> Self {
        self.per_client_ip = limit;
        self
    }

    /// Attempts for one identifier from one client address; `None` switches the limit off. Default 5 a minute.
    pub fn per_identifier(mut self, limit: Option<Limit>) -> Self {
        self.per_identifier = limit;
        self
    }

    /// Takes settings that came as text; those that are not there stay as they are. The names are those of
    /// [`ThrottlePolicy::describe`].
    #[cfg(feature = "config")]
    pub fn settings(mut self, settings: settings::Settings) -> Self {
        let mut faults = std::mem::take(&mut self.faults);
        let mut read = settings::Reader::new(settings, &mut faults);
        let rule = "must be a limit, for instance 30 in 1m, or none";
        for (field, limit) in
            [("per_client_ip", &mut self.per_client_ip), ("per_identifier", &mut self.per_identifier)]
        {
            if read.choice_of_none(field) {
                *limit = None;
            } else if let Some(read) = read.parse(field, parse_limit, rule) {
                *limit = Some(read);
            }
        }
        read.finish();
        self.faults = faults;
        self
    }

    /// Checks every rule.
    ///
    /// # Errors
    /// [`ConfigError`] with all faults.
    pub fn build(mut self) -> Result<ThrottlePolicy, ConfigError> {
        let mut faults = std::mem::take(&mut self.faults);
        for (field, limit) in [("per_client_ip", self.per_client_ip), ("per_identifier", self.per_identifier)]
        {
            let Some(limit) = limit else { continue };
            faults.check(limit.count() > 0, field, limit, "must let at least one through; None is no limit");
            let usable = (WINDOW_MIN..=WINDOW_MAX).contains(&limit.window());
            faults.check(usable, field, limit, "must have a window from 1 s to 24 h");
        }
        faults.finish()?;
        Ok(ThrottlePolicy { per_client_ip: self.per_client_ip, per_identifier: self.per_identifier })
    }
}

#[cfg(feature = "config")]
fn parse_limit(text: &str) -> Option<Limit> {
    let (count, window) = text.split_once(" in ")?;
    Some(Limit::new(count.parse().ok()?, settings::parse_span(window)?))
}

#[cfg(feature = "config")]
settings::deserialize_builder!(ThrottlePolicyBuilder, ThrottlePolicy::builder());
