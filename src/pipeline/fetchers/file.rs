//! A token that somebody else keeps up to date in a file.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use zeroize::Zeroizing;

use crate::{
    pipeline::{
        fetch::{Fetch, TokenFetcher},
        jwt_life,
        token::AccessToken,
    },
    provider::{TokenError, TokenErrorKind},
    secret::Secret,
    text::is_visible,
};

/// No token comes near.
const LENGTH_MAX: usize = 64 * 1024;

/// A step whose token is in a file, such as a mounted secret or the token of a service account.
///
/// The file is read on each fetch, on a thread that may block. It must be a regular file, or a link to one, of at
/// most 64 KiB; white space around the token is dropped. Errors hold neither the path nor anything of the file.
#[derive(Debug, Clone)]
#[must_use]
pub struct FileToken {
    name: String,
    path: Arc<Path>,
    token_type: Option<String>,
    ttl: Duration,
    owner_only: bool,
}

impl FileToken {
    /// A step that reads this file.
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        let path = path.into().into();
        Self { name: name.into(), path, token_type: None, ttl: Duration::from_secs(60), owner_only: false }
    }

    /// The token's type. Without it, it goes out as `Bearer`.
    pub fn token_type(mut self, token_type: impl Into<String>) -> Self {
        self.token_type = Some(token_type.into());
        self
    }

    /// After how long the file is read again. Default one minute; sooner if the token is a JWT that ends sooner.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Refuses a file that anybody but its owner may read or write. It is checked on Unix alone; by default it is
    /// not, because mounted secrets are often readable by a group.
    pub fn owner_only(mut self) -> Self {
        self.owner_only = true;
        self
    }
}

#[async_trait]
impl TokenFetcher for FileToken {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_local(&self) -> bool {
        true
    }

    fn faults(&self) -> Vec<(&'static str, &'static str)> {
        let mut faults = Vec::new();
        if self.ttl.is_zero() {
            faults.push(("ttl", "must not be zero"));
        }
        if self.token_type.as_deref().is_some_and(|named| !is_visible(named)) {
            faults.push(("token_type", "must be visible ASCII"));
        }
        faults
    }

    async fn fetch(&self, fetch: &Fetch) -> Result<AccessToken, TokenError> {
        let (path, owner_only) = (Arc::clone(&self.path), self.owner_only);
        let text = tokio::task::spawn_blocking(move || read(&path, owner_only)).await;
        let text = text.map_err(|_ended_with_its_runtime| TokenError::new(TokenErrorKind::Aborted))??;
        // It may be old: what counts is what is left.
        let left = jwt_life::remaining(text.expose(), fetch.now());
        let life = left.map_or(self.ttl, |left| left.min(self.ttl));
        let token = AccessToken::new(text)?.with_lifetime(life);
        Ok(match &self.token_type {
            Some(token_type) => token.with_type(token_type),
            None => token,
        })
    }
}

fn read(path: &Path, owner_only: bool) -> Result<Secret, TokenError> {
    let refused = |why: &'static str| TokenError::new(TokenErrorKind::Unreadable).with_source(why);
    let unreadable = |error: std::io::Error| TokenError::new(TokenErrorKind::Unreadable).with_source(error);
    // Looked at before it is opened: to open a pipe waits for its writer, and a device may act on it.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(refused("not a regular file"));
    }
    let file = File::open(path).map_err(unreadable)?;
    // And once more, as it was opened: the name may mean another file by now.
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(refused("not a regular file"));
    }
    if owner_only && is_open_to_others(&metadata) {
        return Err(refused("others than its owner may read or write the file"));
    }
    // Room for all of it, so that no grown-out buffer is left behind unwiped.
    let mut text = Zeroizing::new(String::with_capacity(LENGTH_MAX + 1));
    file.take(LENGTH_MAX as u64 + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() > LENGTH_MAX {
        return Err(refused("the file is longer than a token"));
    }
    Ok(Secret::new(text.trim()))
}

#[cfg(unix)]
fn is_open_to_others(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;

    metadata.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn is_open_to_others(_metadata: &fs::Metadata) -> bool {
    false
}
