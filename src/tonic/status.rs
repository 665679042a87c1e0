//! What a call ends with that could not be sent.

use std::sync::Arc;

use tonic::{Code, Status};

use crate::outbound::InjectError;

/// The status of a call that the layer could not send, or that the channel below could not.
///
/// Without a token it is `UNAVAILABLE` if [asking again may help](crate::provider::TokenError::is_transient), and
/// `UNAUTHENTICATED` otherwise; its source is the error. What the channel below says stays as it is.
///
/// tonic makes a status of any error by itself, but looks for one that it knows among the causes: without this, a token
/// endpoint that is down is an `UNKNOWN`, or whatever the client that asked it calls that. Put it around the layer:
///
/// ```
/// use portcullis::{TokenInjectLayer, outbound::Tee, provider::StaticBearer};
/// use tonic::{Status, transport::Endpoint};
/// use tonic_health::pb::health_client::HealthClient;
/// use tower::ServiceBuilder;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let provider = StaticBearer::new("t")?;
/// let api = "https://api.example.com";
/// let layer = TokenInjectLayer::new(provider).allow_origin(api).default_origin(api).replay(Tee::new()).build()?;
/// # let endpoint = Endpoint::from_static("http://127.0.0.1:1");
/// # /*
/// let endpoint = Endpoint::from_static(api);
/// # */
/// let channel = ServiceBuilder::new()
///     .map_err(Status::from)
///     .layer(layer)
///     .service(endpoint.connect_lazy());
/// let client = HealthClient::new(channel);
/// # let _ = client;
/// # Ok(())
/// # }
/// ```
impl From<InjectError> for Status {
    fn from(error: InjectError) -> Self {
        let code = match error {
            InjectError::Inner(error) => return Self::from_error(error),
            InjectError::Token(ref error) if error.is_transient() => Code::Unavailable,
            InjectError::Token(_) | InjectError::NoRule => Code::Unauthenticated,
        };
        let mut status = Self::new(code, error.to_string());
        status.set_source(Arc::new(error));
        status
    }
}
