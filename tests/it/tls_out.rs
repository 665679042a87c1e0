//! A real TLS handshake that fails is no failure that may pass.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use portcullis::retry::{RequestRetryLayer, is_transient};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        crypto::ring::default_provider,
        pki_types::{CertificateDer, PrivateKeyDer},
    },
};
use tower::{Layer, ServiceExt};

type Https = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A server with a certificate of its own making; also returns where it is and how many have come.
async fn serve() -> (CertificateDer<'static>, String, Arc<AtomicUsize>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            // Who does not like the certificate goes away in the handshake.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    (certificate, origin, connections)
}

fn client(roots: RootCertStore) -> Https {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().build();
    Client::builder(TokioExecutor::new()).build(connector)
}

#[tokio::test]
async fn r123_a_certificate_that_is_not_accepted_is_not_tried_again() {
    let (certificate, origin, connections) = serve().await;
    let retry = || {
        let wait = Duration::from_millis(1);
        RequestRetryLayer::builder().repeats(3).first_wait(wait).longest_wait(wait).build().unwrap()
    };
    let get = || Request::get(&origin).body(Full::default()).unwrap();

    let error = retry().layer(client(RootCertStore::empty())).oneshot(get()).await.unwrap_err();
    let causes =
        std::iter::successors(Some(&*error as &(dyn std::error::Error + 'static)), |error| error.source());
    let text = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    assert!(text.contains("invalid peer certificate"), "{text}");
    assert!(!is_transient(&*error));
    assert_eq!(connections.load(Ordering::SeqCst), 1, "one attempt");

    // It was the certificate, and nothing else.
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let response = retry().layer(client(roots)).oneshot(get()).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "done");
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}
