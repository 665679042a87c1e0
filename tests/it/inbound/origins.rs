//! Where a cookie is believed.

use http::Method;
use portcullis::csrf::CsrfPolicy;

use super::{MODES, cookie, get, to};
use crate::support::{ask, bearer, fixture, request};

#[tokio::test]
async fn r008_a_cookie_cannot_change_anything_from_another_site() {
    for mode in MODES {
        let fixture = fixture();
        fixture.store.set(mode);
        let (header, cookie_login) = (fixture.login("ada").await, fixture.cookie_login("ada").await);
        let cookie = cookie("__Host-token", &cookie_login);
        let (name, good) = bearer(header.access().expose());
        let send = async |method: Method, headers: &[(&str, &str)]| {
            let mut request = request(headers);
            *request.method_mut() = method;
            ask(fixture.layer().cookie("token"), request).await
        };
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::CONNECT] {
            for site in ["cross-site", "same-site", "", "same-origin, same-origin"] {
                let before = fixture.store.finds();
                let answer = send(method.clone(), &[("cookie", &cookie), ("sec-fetch-site", site)]).await;
                assert_eq!(
                    (answer.status.as_u16(), answer.code().as_str()),
                    (403, "csrf"),
                    "{method} {site}"
                );
                assert!(answer.challenges().is_empty());
                assert_eq!(fixture.store.finds(), before);
            }
            assert_eq!(send(method.clone(), &[("cookie", &cookie)]).await.status, 403, "{method}");
            let twice = [
                ("cookie", cookie.as_str()),
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-site", "cross-site"),
            ];
            assert_eq!(send(method.clone(), &twice).await.status, 403);
            for own in [
                &[("sec-fetch-site", "same-origin")][..],
                &[("sec-fetch-site", "none")],
                &[("host", "a.test"), ("origin", "https://a.test")],
            ] {
                let own = [own, &[("cookie", &cookie)]].concat();
                assert_eq!(send(method.clone(), &own).await.status, 200, "{method} {own:?}");
            }
            let foreign = [("cookie", cookie.as_str()), ("host", "a.test"), ("origin", "https://b.test")];
            assert_eq!(send(method.clone(), &foreign).await.status, 403, "{method}");
            let header = send(
                method.clone(),
                &[(&name, &good), ("cookie", &cookie), ("sec-fetch-site", "cross-site")],
            )
            .await;
            assert_eq!(header.body, "ada header Bearer", "{method}");
        }
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            assert_eq!(
                send(method, &[("cookie", &cookie), ("sec-fetch-site", "cross-site")]).await.status,
                200
            );
        }
        let handshake = [("cookie", cookie.as_str()), ("connection", "upgrade"), ("upgrade", "websocket")];
        let from = async |site| {
            send(Method::GET, &[&handshake[..], &[("sec-fetch-site", site)]].concat()).await.status
        };
        assert_eq!((from("cross-site").await.as_u16(), from("same-origin").await.as_u16()), (403, 200));
    }
}

#[tokio::test]
async fn r008_the_policy_of_cookies_can_be_replaced() {
    for mode in MODES {
        let fixture = fixture();
        fixture.store.set(mode);
        let cookie = cookie("__Host-token", &fixture.cookie_login("ada").await);
        let send = async |policy: Option<CsrfPolicy>, headers: &[(&str, &str)]| {
            let layer = fixture.layer().cookie("token");
            let layer = match policy {
                Some(policy) => layer.csrf(policy),
                None => layer,
            };
            let headers = [headers, &[("cookie", cookie.as_str()), ("host", "api.test")]].concat();
            ask(layer, to(Method::POST, "/orders", &headers)).await.status.as_u16()
        };
        let app = || Some(CsrfPolicy::new().allow_origin("https://app.test"));
        let from = |site, origin| [("sec-fetch-site", site), ("origin", origin)];
        assert_eq!(send(None, &from("cross-site", "https://app.test")).await, 403);
        assert_eq!(send(app(), &from("cross-site", "https://app.test")).await, 200);
        assert_eq!(send(app(), &from("cross-site", "https://evil.test")).await, 403);
        assert_eq!(send(app(), &[("sec-fetch-site", "same-site")]).await, 403);
        assert_eq!(
            send(Some(CsrfPolicy::new().allow_same_site()), &[("sec-fetch-site", "same-site")]).await,
            200
        );
        assert_eq!(send(app(), &[("origin", "https://app.test")]).await, 200);
        assert_eq!(send(app(), &[]).await, 403);
    }
    let fault = fixture().layer().csrf(CsrfPolicy::new().allow_origin("*")).build().unwrap_err();
    assert_eq!(fault.faults()[0].field(), "allow_origin");
}

/// Site, method, origin and the kind of credential, against rules written down a second time.
#[tokio::test]
async fn sec_j01_a_cookie_is_believed_where_the_browser_vouches_for_it_and_a_header_always() {
    let fixture = fixture();
    let (header, cookie_login) = (fixture.login("ada").await, fixture.cookie_login("bob").await);
    let (name, good) = bearer(header.access().expose());
    let cookie = cookie("__Host-token", &cookie_login);
    let layer = fixture.layer().cookie("token").build().unwrap();
    let ours = "https://api.test";
    for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE] {
        let safe = matches!(method, Method::GET | Method::HEAD);
        for site in
            [None, Some("same-origin"), Some("none"), Some("same-site"), Some("cross-site"), Some("?")]
        {
            for origin in [None, Some(ours), Some("https://evil.test"), Some("null")] {
                let mut plain = vec![("host", "api.test")];
                plain.extend(site.map(|site| ("sec-fetch-site", site)));
                plain.extend(origin.map(|origin| ("origin", origin)));
                let trusted = match site {
                    Some(site) => matches!(site, "same-origin" | "none"),
                    None => origin == Some(ours),
                };
                let send = async |more: &[(&str, &str)]| {
                    let headers = [plain.as_slice(), more].concat();
                    crate::support::ask_layer(&layer, to(method.clone(), "/", &headers)).await
                };
                let case = format!("{method} {site:?} {origin:?}");
                let with_cookie = send(&[("cookie", &cookie)]).await;
                if safe || trusted {
                    assert_eq!(with_cookie.body, "bob cookie Cookie", "{case}");
                } else {
                    assert_eq!(
                        (with_cookie.status.as_u16(), with_cookie.code().as_str()),
                        (403, "csrf"),
                        "{case}"
                    );
                    assert!(with_cookie.challenges().is_empty());
                }
                // The header is the one in use, so its cookie does not matter; a foreign scheme is not in use.
                assert_eq!(send(&[(&name, &good)]).await.body, "ada header Bearer", "{case}");
                assert_eq!(send(&[(&name, &good), ("cookie", &cookie)]).await.body, "ada header Bearer");
                let foreign = send(&[("authorization", "Basic dTpw"), ("cookie", &cookie)]).await;
                assert_eq!(foreign.status, with_cookie.status, "{case}");
                assert_eq!(send(&[]).await.status, 401, "nobody to protect: {case}");
            }
        }
    }
}

#[tokio::test]
async fn sec_j03_a_websocket_with_a_cookie_must_come_from_a_page_of_ours() {
    for mode in MODES {
        let fixture = fixture();
        fixture.store.set(mode);
        let (header, cookie_login) = (fixture.login("ada").await, fixture.cookie_login("bob").await);
        let (name, good) = bearer(header.access().expose());
        let cookie = cookie("__Host-token", &cookie_login);
        let layer = fixture.layer().cookie("token").build().unwrap();
        let dial = async |more: &[(&str, &str)]| {
            let handshake = [("host", "api.test"), ("upgrade", "websocket"), ("connection", "Upgrade")];
            let headers = [&handshake, more].concat();
            crate::support::ask_layer(&layer, get("/socket", &headers)).await.status.as_u16()
        };
        let before = fixture.store.finds();
        for foreign in [
            &[][..],
            &[("origin", "https://evil.test")],
            &[("origin", "null")],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://api.test")],
            &[("sec-fetch-site", "same-site")],
        ] {
            assert_eq!(dial(&[foreign, &[("cookie", &cookie)]].concat()).await, 403, "{foreign:?}");
        }
        assert_eq!(fixture.store.finds(), before);
        for own in [[("origin", "https://api.test")], [("sec-fetch-site", "same-origin")]] {
            assert_eq!(dial(&[&own[..], &[("cookie", &cookie)]].concat()).await, 200, "{own:?}");
        }
        assert_eq!(dial(&[(&name, &good), ("origin", "https://evil.test")]).await, 200);
    }
}
