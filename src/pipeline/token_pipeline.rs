//! A pipeline as its user holds it.

use std::fmt;

use super::{
    builder::TokenPipelineBuilder, epoch::UnknownStep, handle::Handle, provider::PipelineProvider,
    token::AccessToken,
};
use crate::provider::TokenError;

/// A checked pipeline; cheap to clone, clones and providers share their tokens.
///
/// Its fetches run as tasks that end when the last clone and the last provider are dropped, and no request waits
/// for a token any more. Only a fetch that has sent a refresh token goes on to its end: such a token may work
/// only once, and its successor must not be lost.
#[derive(Clone)]
pub struct TokenPipeline {
    pub(super) handle: Handle,
}

impl TokenPipeline {
    /// Starts a pipeline. The name keeps its tokens apart from those of other pipelines in a shared cache; it
    /// appears in logs.
    pub fn builder(name: impl Into<String>) -> TokenPipelineBuilder {
        TokenPipelineBuilder::new(name.into())
    }

    /// The tokens of the last step.
    pub fn provider(&self) -> PipelineProvider {
        PipelineProvider { handle: self.handle.clone() }
    }

    /// The last step's token. See [`PipelineProvider::token`].
    ///
    /// # Errors
    /// [`TokenError`] if none can be had.
    ///
    /// # Cancel safety
    /// A fetch that was begun goes on.
    pub async fn token(&self) -> Result<AccessToken, TokenError> {
        self.provider().token().await
    }

    /// Gets a new token and keeps the old one until it is there. See [`PipelineProvider::refresh`].
    ///
    /// # Errors
    /// [`TokenError`]; the old token stays.
    ///
    /// # Cancel safety
    /// A fetch that was begun goes on.
    pub async fn refresh(&self) -> Result<AccessToken, TokenError> {
        self.provider().refresh().await
    }

    /// Fetches every step anew and keeps the old tokens until the new ones are there. See
    /// [`PipelineProvider::force_refresh`].
    ///
    /// # Errors
    /// [`TokenError`] of the step that failed. The old token stays where no new one came.
    ///
    /// # Cancel safety
    /// A fetch that was begun goes on.
    pub async fn force_refresh(&self) -> Result<AccessToken, TokenError> {
        self.provider().force_refresh().await
    }

    /// Drops a step's token and those of every step that builds on it. See [`PipelineProvider::invalidate`].
    ///
    /// # Errors
    /// [`UnknownStep`]; nothing is dropped.
    pub fn invalidate(&self, step: impl AsRef<str>) -> Result<(), UnknownStep> {
        self.handle.invalidate(step.as_ref())
    }

    /// Stops fetching, for all clones and providers, and waits for the fetches that have sent a refresh token.
    ///
    /// Who waits for a token gets [`TokenErrorKind::Stopped`](crate::provider::TokenErrorKind::Stopped), and so
    /// does who asks later, once the token that is there has ended.
    ///
    /// # Cancel safety
    /// All is stopped with the first poll; the rest is waiting.
    pub async fn shutdown(&self) {
        self.handle.shutdown().await;
    }
}

impl fmt::Debug for TokenPipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}
