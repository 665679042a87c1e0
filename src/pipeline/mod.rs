//! Tokens that are fetched: named steps that build on one another.
//!
//! 1. A step fetches one token, perhaps with the tokens of earlier steps. The last step's token is the one that
//!    requests carry.
//! 2. A fresh token is handed out without a lock and without I/O. Otherwise one fetch serves all who wait; dropping
//!    one of them, or all, does not stop it.
//! 3. A fresh token needs no earlier step: those are fetched only where a later step has to be.
//! 4. In the last part of its life a token is still handed out at once, and one fetch in the background gets the
//!    next. If that fails the present token stays, and the endpoint is asked again after 1 s to 5 s, later up to
//!    30 s, or when its `Retry-After` says.
//! 5. Without a token, all who wait share one failure. The first one is not kept: who asks next tries again. From
//!    the second in a row on, everybody gets the last failure for half a second to 5 s, or as long as the
//!    endpoint's `Retry-After` says, up to an hour. No failure is kept for longer, also where it looks final.
//! 6. A token that was refused is not handed out again, nor is what was made from it.
//! 7. Fetches run on the tokio runtime that polls the first request for them. It must have its timer enabled
//!    (`enable_time`), else they fail. They end with the last handle to the pipeline.
//! 8. Several processes can [share](TokenPipelineBuilder::shared) their tokens: each is fetched once for all of them.
//!
//! # Example: a user's token needs the app's
//!
//! ```
//! # use bytes::Bytes;
//! # use http::{Request, Response};
//! # use http_body_util::Full;
//! # use portcullis::http_client::HttpClient;
//! use std::time::Duration;
//!
//! use portcullis::{BodyTokenFetcher, TokenPipeline};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let http = HttpClient::new(tower::service_fn(|_: Request<Full<Bytes>>| async {
//! #     Ok::<_, std::io::Error>(Response::new(Full::<Bytes>::default()))
//! # }));
//! let app = BodyTokenFetcher::post("app", "https://auth.example.com/v1/app/token")
//!     .json(serde_json::json!({ "client_id": "my-app", "client_secret": "s3cret" }))
//!     .ttl(Duration::from_secs(3600));
//! let user = BodyTokenFetcher::post("user", "https://auth.example.com/v1/user/token")
//!     .json(serde_json::json!({ "username": "ada", "password": "pass" }))
//!     .header_from("x-app-token", "app")
//!     .ttl(Duration::from_secs(1800));
//! let pipeline = TokenPipeline::builder("myapp")
//!     .http(http)
//!     .step(app)
//!     .step(user)
//!     .on_fetch_error(|error| eprintln!("{error}")) // names the step; holds no secret
//!     .build()?;
//! let provider = pipeline.provider();
//! # Ok(())
//! # }
//! ```
//!
//! # Example: a fetcher of your own, with a signed request
//!
//! ```
//! use std::time::Duration;
//!
//! use async_trait::async_trait;
//! use data_encoding::HEXLOWER;
//! use hmac::{Hmac, KeyInit, Mac};
//! use http::Request;
//! use http_body_util::Full;
//! use portcullis::{
//!     pipeline::{AccessToken, Fetch, TokenFetcher},
//!     provider::{TokenError, TokenErrorKind},
//!     secret::Secret,
//! };
//! use serde_json::{Map, Value};
//! use sha2::Sha256;
//!
//! struct SignedTokenFetcher {
//!     url: String,
//!     key: Secret,
//! }
//!
//! #[async_trait]
//! impl TokenFetcher for SignedTokenFetcher {
//!     fn name(&self) -> &str {
//!         "signed"
//!     }
//!
//!     async fn fetch(&self, fetch: &Fetch) -> Result<AccessToken, TokenError> {
//!         let body = r#"{"grant_type":"signed"}"#;
//!         let timestamp = (fetch.now().as_millis() / 1000).to_string();
//!         let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose().as_bytes())
//!             .expect("HMAC takes keys of any length");
//!         mac.update(format!("{timestamp}.{body}").as_bytes());
//!         let signature = HEXLOWER.encode(&mac.finalize().into_bytes());
//!         let request = Request::post(&self.url)
//!             .header("content-type", "application/json")
//!             .header("x-timestamp", timestamp)
//!             .header("x-signature", &signature)
//!             .body(Full::from(body))
//!             .map_err(|error| TokenError::new(TokenErrorKind::Request).with_source(error))?;
//!
//!         let response = fetch.send(request).await?;
//!         if !response.status().is_success() {
//!             return Err(TokenError::new(TokenErrorKind::Refused).with_status(response.status()));
//!         }
//!         // The parser's error may quote the answer, so it is not handed on.
//!         let malformed = || TokenError::new(TokenErrorKind::Malformed);
//!         let answer: Map<String, Value> =
//!             serde_json::from_slice(response.body()).map_err(|_text_stays_secret| malformed())?;
//!         let token = answer.get("token").and_then(Value::as_str).ok_or_else(malformed)?;
//!         let ttl = answer.get("ttl").and_then(Value::as_u64).ok_or_else(malformed)?;
//!         let mut extra = Map::new();
//!         extra.insert("signature".to_owned(), signature.into());
//!         Ok(AccessToken::new(token)?
//!             .with_type("Signed")
//!             .with_lifetime(Duration::from_secs(ttl))
//!             .with_extra(extra))
//!     }
//! }
//!
//! # use http_body_util::BodyExt;
//! # use portcullis::{clock::{ManualClock, Timestamp}, http_client::HttpClient};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let http = HttpClient::new(tower::service_fn(|request: Request<Full<bytes::Bytes>>| async {
//! #     let (parts, body) = request.into_parts();
//! #     let body = body.collect().await.expect("it is whole").to_bytes();
//! #     let sent = HEXLOWER.decode(parts.headers["x-signature"].as_bytes()).expect("hexadecimal");
//! #     let mut mac = Hmac::<Sha256>::new_from_slice(b"my-secret-key").expect("a key");
//! #     mac.update(parts.headers["x-timestamp"].as_bytes());
//! #     mac.update(b".");
//! #     mac.update(&body);
//! #     let mut response = http::Response::new(Full::<bytes::Bytes>::from(r#"{"token":"abc","ttl":3600}"#));
//! #     if mac.verify_slice(&sent).is_err() {
//! #         *response.status_mut() = http::StatusCode::UNAUTHORIZED;
//! #     }
//! #     Ok::<_, std::io::Error>(response)
//! # }));
//! # let clock = ManualClock::new(Timestamp::from_millis(1_700_000_000_000)).clock();
//! // In a pipeline it is a step like any other. Alone:
//! let signed = SignedTokenFetcher {
//!     url: "https://auth.example.com/auth/token".to_owned(),
//!     key: Secret::new("my-secret-key"),
//! };
//! let token = signed.fetch(&Fetch::alone(http).with_clock(clock)).await?;
//! assert_eq!(token.value().expose(), "abc");
//! assert_eq!(token.lifetime(), Some(Duration::from_secs(3600)));
//! assert!(token.extra().contains_key("signature"));
//! # Ok(())
//! # }
//! ```

mod attempt;
mod backoff;
mod blame;
mod builder;
mod epoch;
mod fetch;
mod fetchers;
mod flight;
mod graph;
mod handle;
mod hook;
mod jwt_life;
mod land;
mod life;
mod obtain;
mod parts;
mod provider;
mod renewal;
mod shared;
mod sharing;
mod signal;
mod slot;
mod token;
mod token_pipeline;
mod waiting;
mod window;

pub use builder::TokenPipelineBuilder;
pub use epoch::UnknownStep;
pub use fetch::{Fetch, TokenFetcher};
pub use fetchers::{
    BodyTokenFetcher, ByRefreshToken, ClientAuth, ClientCredentials, FileToken, ForClient, ForUser, FromBody,
    FromHeader, Grant, GrantKind, HeaderTokenFetcher, HttpTokenFetcher, Manner, PasswordGrant,
    RefreshTokenGrant, StaticToken, TokenFn,
};
pub use life::Lifetime;
pub use provider::PipelineProvider;
pub use shared::{ExchangeError, SharedLeases, SharedLeasesBuilder, SharedToken, Want};
pub use token::AccessToken;
pub use token_pipeline::TokenPipeline;
