//! Who is told of a failed step.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::fetch::TokenFetcher;
use crate::provider::TokenError;

type Listener = dyn Fn(&TokenError) + Send + Sync;

/// What the application wants to be called with, if anything.
#[derive(Clone, Default)]
pub(super) struct ErrorHook(Option<Arc<Listener>>);

impl ErrorHook {
    pub(super) fn new(listener: impl Fn(&TokenError) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    /// Tells the step's fetcher, then the pipeline's listener. What one of them does, a panic included, neither
    /// keeps the other from being told nor changes the error that the callers get.
    pub(super) fn tell(&self, fetcher: &dyn TokenFetcher, error: &TokenError) {
        let step = fetcher.name();
        quietly(step, || fetcher.on_fetch_error(error));
        if let Some(listener) = &self.0 {
            quietly(step, || listener(error));
        }
    }
}

fn quietly(step: &str, told: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(told)).is_err() {
        tracing::error!(step, "an on_fetch_error hook panicked");
    }
}

impl fmt::Debug for ErrorHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "ErrorHook(..)" } else { "ErrorHook(none)" })
    }
}
