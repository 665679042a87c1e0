//! A right as a layer.

use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{GuardService, Policy};
use crate::{error::ConfigError, problem::ProblemReply};

/// Asks for a right in front of a service, inside an [`AuthLayer`](crate::AuthLayer). Anonymous requests get 401,
/// callers without the right 403; the service is called for neither.
///
/// Without an `AuthLayer` outside, or with one of another identity type, every request gets a 500 that says so.
///
/// ```
/// use http::{Request, Response, header::AUTHORIZATION};
/// use portcullis::{
///     AuthLayer,
///     identity::Subject,
///     inbound::{GuardLayer, Policy},
///     scope::Scope,
///     store::MemoryStore,
///     token::{IssueOptions, TokenPolicy, TokenService},
/// };
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tokens = TokenService::new(MemoryStore::new(), TokenPolicy::default());
/// let mut service = ServiceBuilder::new()
///     .layer(AuthLayer::new(tokens.clone()).build()?)
///     .layer(GuardLayer::new(Policy::<Subject>::scope("orders:read")).build()?)
///     .service(service_fn(|_: Request<String>| async {
///         Ok::<_, std::convert::Infallible>(Response::new("orders".to_owned()))
///     }));
///
/// let mut ask = async |scope: &str| {
///     let options = IssueOptions::default().scope(Scope::parse(scope)?);
///     let token = tokens.issue_for_header(Subject::local("ada"), options).await?;
///     let request = Request::builder().header(AUTHORIZATION, format!("Bearer {}", token.access().expose()));
///     let answer = service.ready().await?.call(request.body(String::new())?).await?;
///     Ok::<_, Box<dyn std::error::Error>>(answer)
/// };
/// assert_eq!(ask("orders:read orders:write").await?.status(), 200);
/// let refused = ask("orders:write").await?;
/// assert_eq!(refused.status(), 403);
/// assert_eq!(
///     refused.headers()["www-authenticate"],
///     r#"Bearer realm="api", error="insufficient_scope", scope="orders:read""#
/// );
/// # Ok(())
/// # }
/// ```
///
/// For some routes of an axum router, several rights, and an answer of your own:
///
/// ```
/// # #[cfg(feature = "axum")]
/// # fn main() -> Result<(), portcullis::error::ConfigError> {
/// use axum::{Router, body::Body, routing::get};
/// use bytes::Bytes;
/// use http::Response;
/// use portcullis::{
///     AuthLayer, MemoryStore, TokenPolicy, TokenService,
///     identity::Subject,
///     inbound::{GuardLayer, Policy},
///     problem::Rejection,
/// };
///
/// let staff = Policy::user(|user: &Subject| user.id().ends_with("@example.com"));
/// let beta = Policy::context("beta", |value| value == true);
/// let guard = GuardLayer::new(Policy::all([staff, beta]))
///     .reject_with(|_why: &Rejection, answer: Response<Bytes>| answer.map(|_| Body::from("staff only")))
///     .build()?;
/// let tokens = TokenService::new(MemoryStore::new(), TokenPolicy::default());
/// let app: Router = Router::new()
///     .route("/reports", get(async || "reports"))
///     .route_layer(guard)
///     .route("/me", get(async || "me"))
///     .layer(AuthLayer::new(tokens).build()?);
/// # let _ = app;
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "axum"))]
/// # fn main() {}
/// ```
#[must_use]
pub struct GuardLayer<I, R = ProblemReply> {
    policy: Policy<I>,
    maker: Arc<R>,
}

/// Settings of a [`GuardLayer`].
#[must_use]
pub struct GuardLayerBuilder<I, R = ProblemReply> {
    policy: Policy<I>,
    maker: R,
}

// ===== impl GuardLayer =====

impl<I: Send + Sync + 'static> GuardLayer<I> {
    /// Asks for what the policy says.
    #[allow(clippy::new_ret_no_self)] // a layer that exists is valid; this is where its settings begin
    pub fn new(policy: Policy<I>) -> GuardLayerBuilder<I> {
        GuardLayerBuilder { policy, maker: ProblemReply }
    }
}

impl<S, I, R> Layer<S> for GuardLayer<I, R> {
    type Service = GuardService<S, I, R>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardService::new(inner, self.policy.clone(), Arc::clone(&self.maker))
    }
}

impl<I, R> Clone for GuardLayer<I, R> {
    fn clone(&self) -> Self {
        Self { policy: self.policy.clone(), maker: Arc::clone(&self.maker) }
    }
}

impl<I, R> fmt::Debug for GuardLayer<I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardLayer").field("policy", &self.policy).finish_non_exhaustive()
    }
}

// ===== impl GuardLayerBuilder =====

impl<I: Send + Sync + 'static, R> GuardLayerBuilder<I, R> {
    /// Makes every answer of the layer with this [`MakeReply`](crate::problem::MakeReply), for instance a
    /// closure `Fn(&Rejection, Response<Bytes>) -> Response<B>`. With one, any response body works.
    pub fn reject_with<T>(self, maker: T) -> GuardLayerBuilder<I, T> {
        GuardLayerBuilder { policy: self.policy, maker }
    }

    /// Checks the policy.
    ///
    /// # Errors
    /// [`ConfigError`] with all faults.
    pub fn build(self) -> Result<GuardLayer<I, R>, ConfigError> {
        self.policy.validate()?;
        Ok(GuardLayer { policy: self.policy, maker: Arc::new(self.maker) })
    }
}

impl<I, R> fmt::Debug for GuardLayerBuilder<I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardLayerBuilder").field("policy", &self.policy).finish_non_exhaustive()
    }
}
