//! Errors that may pass.

use std::{
    error::Error,
    io::{self, ErrorKind},
};

use crate::{error::causes, provider::TokenError};

/// Whether another attempt may succeed where this one has failed: a connection that was refused, cut or could not be
/// made, or a timeout. The default of a retry layer.
///
/// It looks through the causes for errors that it knows, and everything else is not transient:
///
/// * [`io::Error`], by its kind: the first one decides. A certificate that is not accepted, or a handshake that fails,
///   is one of another kind ([`InvalidData`](ErrorKind::InvalidData) or [`Other`](ErrorKind::Other)) in rustls, native-tls
///   and OpenSSL and the connectors that use them.
/// * A [`hyper::Error`](https://docs.rs/hyper/1/hyper/struct.Error.html) that says that the connection has ended under
///   the request, before there was an answer.
/// * The timeout of `tower`, and that of `tokio`.
/// * A [`TokenError`] is never transient, whatever is behind it: fetches are repeated by whoever makes them.
///
/// A name that was not found and a name server that did not answer look the same, and are not transient; nor are the
/// ends of single HTTP/2 streams, whose reasons cannot be told from here.
pub fn is_transient(error: &(dyn Error + 'static)) -> bool {
    causes(error).find_map(decides).unwrap_or(false)
}

fn decides(cause: &(dyn Error + 'static)) -> Option<bool> {
    if cause.is::<TokenError>() {
        return Some(false);
    }
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        return Some(is_connection(error.kind()));
    }
    if let Some(error) = cause.downcast_ref::<hyper::Error>() {
        let ended = error.is_incomplete_message() || error.is_canceled() || error.is_closed();
        return ended.then_some(true);
    }
    (cause.is::<tower::timeout::error::Elapsed>() || cause.is::<tokio::time::error::Elapsed>())
        .then_some(true)
}

fn is_connection(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::NotConnected
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof
            | ErrorKind::TimedOut
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
    )
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;
    use crate::{error::BoxError, provider::TokenErrorKind};

    /// An error of somebody else's around another.
    #[derive(Debug)]
    struct Wrapped(&'static str, Option<BoxError>);

    impl fmt::Display for Wrapped {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Wrapped {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|error| error as &(dyn Error + 'static))
        }
    }

    fn wrapped(error: impl Into<BoxError>) -> Wrapped {
        Wrapped("client error", Some(Wrapped("connect", Some(error.into())).into()))
    }

    #[track_caller]
    fn check(error: impl Into<BoxError>, expected: bool) {
        let error = error.into();
        assert_eq!(is_transient(&*error), expected, "{error:?}");
    }

    #[test]
    fn r123_connections_that_fail_are_transient_however_deep() {
        for kind in [
            ErrorKind::ConnectionRefused,
            ErrorKind::ConnectionReset,
            ErrorKind::ConnectionAborted,
            ErrorKind::NotConnected,
            ErrorKind::BrokenPipe,
            ErrorKind::UnexpectedEof,
            ErrorKind::TimedOut,
            ErrorKind::HostUnreachable,
            ErrorKind::NetworkUnreachable,
            ErrorKind::NetworkDown,
        ] {
            check(io::Error::from(kind), true);
            check(wrapped(io::Error::from(kind)), true);
        }
        for kind in [ErrorKind::PermissionDenied, ErrorKind::InvalidInput, ErrorKind::OutOfMemory] {
            check(wrapped(io::Error::from(kind)), false);
        }
        check(wrapped(io::Error::other("dns error")), false);
        check("something", false);
    }

    /// As the connectors of rustls and native-tls wrap what goes wrong in a handshake.
    #[test]
    fn r123_tls_is_not_transient() {
        let certificate = || Wrapped("invalid peer certificate: Expired", None);
        check(wrapped(io::Error::new(ErrorKind::InvalidData, certificate())), false);
        check(wrapped(io::Error::other(io::Error::new(ErrorKind::InvalidData, certificate()))), false);
        check(wrapped(io::Error::other(certificate())), false);
        // A peer that hangs up in the handshake may not like our certificate.
        let cut = io::Error::new(ErrorKind::UnexpectedEof, "tls handshake eof");
        check(wrapped(io::Error::other(cut)), false);
        let reset = io::Error::from(ErrorKind::ConnectionReset);
        check(wrapped(io::Error::other(Wrapped("handshake", Some(reset.into())))), false);
        check(wrapped(certificate()), false);
    }

    #[tokio::test]
    async fn r123_a_connection_that_ends_under_a_request_is_transient() {
        use hyper::client::conn::http1::handshake;
        use hyper_util::rt::TokioIo;
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let body = http_body_util::Empty::<bytes::Bytes>::new;
        let (near, far) = tokio::io::duplex(64);
        let (mut sender, connection) = handshake(TokioIo::new(near)).await.unwrap();
        drop((connection, far));
        let canceled = sender.send_request(http::Request::new(body())).await.unwrap_err();
        assert!(canceled.is_canceled());
        check(wrapped(canceled), true);
        let closed = sender.ready().await.unwrap_err();
        assert!(closed.is_closed());
        check(wrapped(closed), true);

        // Something else that is hyper's: the server speaks another protocol.
        let (near, mut far) = tokio::io::duplex(64);
        let (mut sender, connection) = handshake(TokioIo::new(near)).await.unwrap();
        let speak = async {
            far.read_u8().await.unwrap();
            far.write_all(b"SSH-2.0-server\r\n\r\n").await.unwrap();
        };
        let (answer, ..) = tokio::join!(sender.send_request(http::Request::new(body())), connection, speak);
        let garbled = answer.unwrap_err();
        assert!(garbled.is_parse(), "{garbled:?}");
        check(wrapped(garbled), false);
    }

    #[tokio::test(start_paused = true)]
    async fn r123_timeouts_are_transient() {
        let never = std::future::pending::<()>();
        let elapsed = tokio::time::timeout(std::time::Duration::from_secs(1), never).await.unwrap_err();
        check(wrapped(elapsed), true);
        check(tower::timeout::error::Elapsed::new(), true);
    }

    #[test]
    fn r123_a_token_that_cannot_be_had_is_not_transient() {
        let refused = io::Error::from(ErrorKind::ConnectionRefused);
        check(wrapped(TokenError::new(TokenErrorKind::Transport).with_source(refused)), false);
    }
}
