//! What a call ends with that could not be sent.

use std::sync::Arc;

use tonic::{Code, Status};

use crate::outbound::InjectError;

/// The status of a call that the layer could not send, or that the channel below could not.
///
/// Without a token it is `UNAVAILABLE` if [asking again may help](crate::provider::TokenError::is_transient), or if the
/// token [took too long](InjectError::TookTooLong), and `UNAUTHENTICATED` otherwise; its source is the error. What the
/// channel below says stays as it is.
///
/// tonic makes a status of any error by itself, but looks for one that it knows among the causes: without this, a token
/// endpoint that is down is an `UNKNOWN`, or whatever the client that asked it calls that. Put it around the layer, as
/// [here](crate::docs::client_layers#grpc):
///
/// ```
/// use portcullis::{outbound::InjectError, provider::{TokenError, TokenErrorKind}};
/// use tonic::{Code, Status};
///
/// let status = |kind| Status::from(InjectError::Token(TokenError::new(kind)));
/// assert_eq!(status(TokenErrorKind::Timeout).code(), Code::Unavailable);
/// assert_eq!(status(TokenErrorKind::Absent).code(), Code::Unauthenticated);
/// assert_eq!(Status::from(InjectError::TookTooLong).code(), Code::Unavailable);
/// ```
impl From<InjectError> for Status {
    fn from(error: InjectError) -> Self {
        let code = match error {
            InjectError::Inner(error) => return Self::from_error(error),
            InjectError::Token(ref error) if error.is_transient() => Code::Unavailable,
            // It was not sent, so that whoever asks again does so for the first time.
            InjectError::TookTooLong => Code::Unavailable,
            InjectError::Token(_) | InjectError::NoRule => Code::Unauthenticated,
        };
        let mut status = Self::new(code, error.to_string());
        status.set_source(Arc::new(error));
        status
    }
}
