//! A token endpoint whose refresh tokens work once.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use portcullis::{
    pipeline::{AccessToken, ExchangeError},
    provider::{TokenError, TokenErrorKind},
    secret::Secret,
};

/// Clones are of one endpoint.
#[derive(Clone)]
pub(crate) struct Endpoint(Arc<Mutex<State>>);

struct State {
    /// What it was asked: `fetch` or a refresh token.
    asked: Vec<String>,
    /// Gives refresh tokens.
    refreshes: bool,
    live: Option<String>,
    /// A refresh token came that had been used.
    reused: bool,
    takes: Duration,
    lives: Duration,
    fails: bool,
}

pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<AccessToken, ExchangeError>> + Send>>;

impl Endpoint {
    /// It takes a second, and its tokens live for an hour.
    pub(crate) fn new(refreshes: bool) -> Self {
        Self(Arc::new(Mutex::new(State {
            asked: Vec::new(),
            refreshes,
            live: None,
            reused: false,
            takes: Duration::from_secs(1),
            lives: Duration::from_secs(3600),
            fails: false,
        })))
    }

    pub(crate) fn takes(&self, span: Duration) {
        self.0.lock().unwrap().takes = span;
    }

    pub(crate) fn lives(&self, span: Duration) {
        self.0.lock().unwrap().lives = span;
    }

    pub(crate) fn fails(&self, fails: bool) {
        self.0.lock().unwrap().fails = fails;
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap().asked.clone()
    }

    pub(crate) fn was_reused(&self) -> bool {
        self.0.lock().unwrap().reused
    }

    /// The exchange that [`portcullis::pipeline::SharedLeases::renew`] asks for.
    pub(crate) fn exchange(&self) -> impl FnMut(Option<Secret>) -> Answer + Send + use<> {
        let this = self.clone();
        move |refresh| {
            let this = this.clone();
            Box::pin(async move { this.answer(refresh).await }) as Answer
        }
    }

    async fn answer(&self, refresh: Option<Secret>) -> Result<AccessToken, ExchangeError> {
        let (number, takes) = {
            let mut state = self.0.lock().unwrap();
            let asked = refresh.as_ref().map_or("fetch", Secret::expose).to_owned();
            state.asked.push(asked);
            (state.asked.len(), state.takes)
        };
        tokio::time::sleep(takes).await;
        let mut state = self.0.lock().unwrap();
        if state.fails {
            return Err(TokenError::new(TokenErrorKind::Transport).into());
        }
        if let Some(refresh) = &refresh
            && state.live.as_deref() != Some(refresh.expose())
        {
            state.reused = true;
            let refused = TokenError::new(TokenErrorKind::Refused);
            return Err(ExchangeError::refused_refresh(refused));
        }
        let token = AccessToken::new(format!("planted-access-{number}")).unwrap().with_lifetime(state.lives);
        if !state.refreshes {
            return Ok(token);
        }
        let next = format!("planted-refresh-{number}");
        state.live = Some(next.clone());
        Ok(token.with_refresh(Secret::new(next)))
    }
}
