//! What counts as a credential, and whose word decides.

use http::{HeaderValue, Method, header::AUTHORIZATION};
use portcullis::{
    TokenPolicy,
    identity::Subject,
    problem::Reason,
    token::{IssueOptions, Issued},
};

use super::{MODES, cookie, get, to};
use crate::support::{Answer, Body, Fixture, Mode, ask, bearer, fixture, fixture_with, request};

pub(super) async fn ask_header(fixture: &Fixture, value: &str) -> Answer {
    ask(fixture.layer(), request(&[("authorization", value)])).await
}

#[tokio::test]
async fn r001_a_header_with_a_configured_scheme_yields_the_token() {
    for mode in MODES {
        let fixture = fixture();
        fixture.store.set(mode);
        let issued = fixture.login("ada").await;
        let (name, value) = bearer(issued.access().expose());
        let answer = ask(fixture.layer(), request(&[(&name, &value)])).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "ada header Bearer"));
        let absent = ask(fixture.layer(), request(&[])).await;
        assert_eq!((absent.status.as_u16(), absent.reason()), (401, Some(Reason::Absent)));
        let next = ask(fixture.layer().optional(), request(&[])).await;
        assert_eq!((next.status.as_u16(), next.body.as_str()), (200, "anonymous"));
    }
}

#[tokio::test]
async fn r002_schemes_are_compared_without_case_and_tokens_with_it() {
    let fixture = fixture();
    let issued = fixture.login("ada").await;
    let text = issued.access().expose();
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR", "Token", "token"] {
        let answer = ask_header(&fixture, &format!("{scheme} {text}")).await;
        assert_eq!(answer.status, 200, "{scheme}");
    }
    let swapped: String = text
        .chars()
        .map(|c| if c.is_uppercase() { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() })
        .collect();
    for changed in [swapped, text.to_uppercase(), text.to_lowercase()] {
        assert_eq!(ask_header(&fixture, &format!("Bearer {changed}")).await.status, 401);
    }
    let only = |fixture: &Fixture| fixture.layer().schemes(["Session"]);
    let own = ask(only(&fixture), request(&[("authorization", &format!("session {text}"))])).await;
    assert_eq!(own.body, "ada header Session");
    let default = ask(only(&fixture), request(&[("authorization", &format!("Bearer {text}"))])).await;
    assert_eq!((default.status.as_u16(), default.reason()), (401, Some(Reason::Absent)));
}

/// (the header values, the reason)
const MALFORMED: [(&[&str], Reason); 16] = [
    (&["Bearer"], Reason::SchemeAlone),
    (&["bearer"], Reason::SchemeAlone),
    (&["Bearer "], Reason::SchemeAlone),
    (&["Bearer a b"], Reason::NotTwoParts),
    (&["Bearer a b c"], Reason::NotTwoParts),
    (&["Bearer  a"], Reason::NotTwoParts),
    (&["Bearer\ta"], Reason::NotTwoParts),
    (&["Bearer a "], Reason::NotTwoParts),
    (&["Bearer a\t"], Reason::NotTwoParts),
    (&["Bearer Bearer a"], Reason::NotTwoParts),
    (&["Bearer a,b"], Reason::NotToken68),
    (&["Bearer a\"b"], Reason::NotToken68),
    (&["Bearer =a"], Reason::NotToken68),
    (&["Bearer %"], Reason::NotToken68),
    (&["Bearer,a"], Reason::NotTwoParts),
    (&["Bearer a", "Bearer b"], Reason::DuplicateHeader),
];

#[tokio::test]
async fn r003_malformed_credentials_are_400_with_the_reason_outside_the_body() {
    let fixture = fixture();
    let mut bodies = std::collections::HashSet::new();
    for (values, reason) in MALFORMED {
        let headers: Vec<_> = values.iter().map(|value| ("authorization", *value)).collect();
        let answer = ask(fixture.layer(), request(&headers)).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "invalid_request"), "{values:?}");
        assert_eq!(answer.reason(), Some(reason), "{values:?}");
        bodies.insert(answer.body);
    }
    assert_eq!(bodies.len(), 1, "the body tells no reason");

    let mut latin = request(&[]);
    let value = HeaderValue::from_bytes(b"Bearer a\xe9b").unwrap();
    latin.headers_mut().insert(AUTHORIZATION, value);
    assert_eq!(ask(fixture.layer(), latin).await.status, 400);
    assert_eq!(fixture.store.finds(), 0);
}

#[tokio::test]
async fn r003_one_leading_scheme_is_removed_once() {
    let fixture = fixture();
    let issued = fixture.login("ada").await;
    let text = issued.access().expose();
    assert_eq!(ask_header(&fixture, &format!("Bearer Bearer {text}")).await.status, 400);
    assert_eq!(ask_header(&fixture, text).await.reason(), Some(Reason::Absent));
}

#[tokio::test]
async fn r004_a_foreign_scheme_is_not_ours() {
    let fixture = fixture();
    for value in ["Basic dTpw", "Bearerx abc", "Bearer-Key abc", "Digest a=b, c=d", "", "\"quoted"] {
        let answer = ask_header(&fixture, value).await;
        assert_eq!((answer.status.as_u16(), answer.reason()), (401, Some(Reason::Absent)), "{value}");
        assert!(answer.challenges().iter().all(|challenge| !challenge.contains("error=")));
        let guest = ask(fixture.layer().optional(), request(&[("authorization", value)])).await;
        assert_eq!(guest.body, "anonymous", "{value}");
        let strict = fixture.layer().optional().refuse_foreign_schemes();
        let refused = ask(strict, request(&[("authorization", value)])).await;
        assert_eq!(
            (refused.status.as_u16(), refused.reason()),
            (401, Some(Reason::ForeignScheme)),
            "{value}"
        );
    }

    // A second source takes what the first does not know.
    let issued = fixture.cookie_login("ada").await;
    let cookie = cookie("__Host-token", &issued);
    let both = request(&[("authorization", "Basic dTpw"), ("cookie", &cookie)]);
    assert_eq!(ask(fixture.layer().cookie("token"), both).await.body, "ada cookie Cookie");
}

#[tokio::test]
async fn r005_cookie_names_are_tried_in_order_until_one_verifies() {
    for mode in MODES {
        let fixture = fixture();
        fixture.store.set(mode);
        let (stale, good) = (fixture.cookie_login("eve").await, fixture.cookie_login("ada").await);
        fixture.tokens.revoke(&stale.record().id()).await.unwrap();
        let layer = || fixture.layer().cookie("new").cookie("old").cookie("older");
        let send = async |cookies: &str| ask(layer(), request(&[("cookie", cookies)])).await;

        let (stale, good) = (stale.access().expose(), good.access().expose());
        for cookies in [
            format!("__Host-new={good}"),
            format!("__Host-old={good}"),
            format!("__Host-new={stale}; __Host-old={good}"),
            format!("__Host-old={good}; __Host-new={stale}"),
            format!("__Host-new=; __Host-old={good}"),
            format!("__Host-new=junk; __Host-old=%%; __Host-older={good}"),
            format!("__Host-new={stale}; __Host-old={stale}; __Host-older={good}"),
        ] {
            let before = fixture.store.finds();
            assert_eq!(send(&cookies).await.body, "ada cookie Cookie", "{mode:?} {cookies}");
            let found = fixture.store.finds() - before;
            assert!(found <= cookies.matches("pc_a").count(), "at most one look-up for each name");
        }
        let none = send(&format!("__Host-new={stale}; __Host-old=junk")).await;
        assert_eq!(
            (none.status.as_u16(), none.reason()),
            (401, Some(Reason::Revoked)),
            "the first failure decides"
        );
        let twice = send(&format!("__Host-new={stale}; __Host-old={good}; __Host-old={good}")).await;
        assert_eq!((twice.status.as_u16(), twice.reason()), (400, Some(Reason::DuplicateCookie)));
        let empty = send("__Host-new=; __Host-old=").await;
        assert_eq!((empty.status.as_u16(), empty.reason()), (401, Some(Reason::Absent)));

        fixture.store.set(if mode == Mode::Now { Mode::Down } else { Mode::DownLater });
        let before = fixture.store.finds();
        let down = send(&format!("__Host-new={stale}; __Host-old={good}")).await;
        assert_eq!(down.status, 503);
        assert_eq!(fixture.store.finds() - before, 1, "stops at once");
    }
}

#[tokio::test]
async fn r006_the_first_source_that_presents_a_credential_decides() {
    for mode in MODES {
        let fixture = fixture();
        fixture.store.set(mode);
        let (header, cookie_login) = (fixture.login("ada").await, fixture.cookie_login("bob").await);
        let (name, good) = bearer(header.access().expose());
        let cookie = cookie("__Host-token", &cookie_login);
        let header_first = || fixture.layer().schemes(["Bearer"]).cookie("token");
        let cookie_first = || fixture.layer().cookie("token").schemes(["Bearer"]);

        let both = || request(&[(name.as_str(), good.as_str()), ("cookie", cookie.as_str())]);
        assert_eq!(ask(header_first(), both()).await.body, "ada header Bearer");
        assert_eq!(ask(cookie_first(), both()).await.body, "bob cookie Cookie");

        // Invalid there is invalid everywhere, and costs one look-up at most.
        let bad = || request(&[("authorization", "Bearer junk"), ("cookie", cookie.as_str())]);
        assert_eq!(ask(header_first(), bad()).await.status, 401);
        let (_, stale) = bearer(crate::support::fixture().login("eve").await.access().expose());
        let before = fixture.store.finds();
        let refused =
            ask(header_first(), request(&[(name.as_str(), stale.as_str()), ("cookie", cookie.as_str())]))
                .await;
        assert_eq!((refused.status.as_u16(), fixture.store.finds() - before), (401, 1));
        let bad_cookie = || request(&[(name.as_str(), good.as_str()), ("cookie", "__Host-token=junk")]);
        assert_eq!(ask(cookie_first(), bad_cookie()).await.status, 401);

        // Absent there is skipped.
        assert_eq!(
            ask(cookie_first(), request(&[(name.as_str(), good.as_str())])).await.body,
            "ada header Bearer"
        );
        assert_eq!(
            ask(header_first(), request(&[("cookie", cookie.as_str())])).await.body,
            "bob cookie Cookie"
        );
    }
}

#[tokio::test]
async fn r006_exactly_one_authenticator_verifies() {
    let fixture = fixture();
    let other = fixture_with(TokenPolicy::builder().brand("key").build().unwrap());
    let layer = || fixture.layer().or(other.tokens.clone());
    let (first, second) = (fixture.login("ada").await, other.login("bob").await);
    for (issued, body) in [(&first, "ada header Bearer"), (&second, "bob header Bearer")] {
        let (name, value) = bearer(issued.access().expose());
        assert_eq!(ask(layer(), request(&[(&name, &value)])).await.body, body);
    }
    let (finds, other_finds) = (fixture.store.finds(), other.store.finds());
    assert_eq!((finds, other_finds), (1, 1));
    let forged = ask(layer(), request(&[("authorization", "Bearer key_ajunk")])).await;
    assert_eq!((forged.status.as_u16(), forged.reason()), (401, Some(Reason::Malformed)));
}

#[tokio::test]
async fn r007_a_token_is_refused_on_the_other_channel() {
    let fixture = fixture();
    let (header, cookie_login) = (fixture.login("ada").await, fixture.cookie_login("ada").await);
    let as_header = bearer(cookie_login.access().expose());
    let as_cookie = cookie("__Host-token", &header);
    let refused = ask(fixture.layer().cookie("token"), request(&[(&as_header.0, &as_header.1)])).await;
    assert_eq!((refused.status.as_u16(), refused.reason()), (401, Some(Reason::WrongChannel)));
    let refused = ask(fixture.layer().cookie("token"), request(&[("cookie", &as_cookie)])).await;
    assert_eq!((refused.status.as_u16(), refused.reason()), (401, Some(Reason::WrongChannel)));

    let open = fixture_with(TokenPolicy::builder().danger_any_channel().build().unwrap());
    let (header, cookie_login) = (open.login("ada").await, open.cookie_login("ada").await);
    let as_header = bearer(cookie_login.access().expose());
    let as_cookie = cookie("__Host-token", &header);
    assert_eq!(ask(open.layer().cookie("token"), request(&[(&as_header.0, &as_header.1)])).await.status, 200);
    let swapped = ask(open.layer().cookie("token"), request(&[("cookie", &as_cookie)])).await;
    assert_eq!((swapped.status.as_u16(), swapped.body.as_str()), (200, "ada cookie Cookie"));
    assert_eq!(swapped.headers["cache-control"], "private");
}

#[tokio::test]
async fn sec_a05_an_invalid_header_is_not_rescued_by_a_valid_cookie() {
    for mode in MODES {
        let fixture = fixture();
        fixture.store.set(mode);
        let (stale, good) = (fixture.login("eve").await, fixture.cookie_login("ada").await);
        fixture.tokens.revoke(&stale.record().id()).await.unwrap();
        let (name, stale) = bearer(stale.access().expose());
        let cookie = cookie("__Host-token", &good);
        let layer = || fixture.layer().cookie("token");
        let both = [(name.as_str(), stale.as_str()), ("cookie", cookie.as_str())];
        for optional in [false, true] {
            let before = fixture.store.finds();
            let layer = if optional { layer().optional() } else { layer() };
            let answer = ask(layer, request(&both)).await;
            assert_eq!((answer.status.as_u16(), answer.reason()), (401, Some(Reason::Revoked)));
            assert_eq!(fixture.store.finds() - before, 1, "asked once, and nobody else was asked");
        }
        let before = fixture.store.finds();
        let two = [("authorization", stale.as_str()), ("authorization", stale.as_str()), both[1]];
        assert_eq!(ask(layer(), request(&two)).await.status, 400);
        assert_eq!(fixture.store.finds(), before);
    }
}

#[tokio::test]
async fn sec_a06_a_token_in_the_query_or_in_a_form_is_none() {
    let fixture = fixture();
    let issued = fixture.login("ada").await;
    let text = issued.access().expose();
    let form = ("content-type", "application/x-www-form-urlencoded");
    for uri in
        [format!("/?access_token={text}"), format!("/?token={text}"), format!("/?bearer={text}#{text}")]
    {
        assert_eq!(ask(fixture.layer(), get(&uri, &[])).await.reason(), Some(Reason::Absent));
        assert_eq!(ask(fixture.layer().optional(), get(&uri, &[])).await.body, "anonymous");
    }
    let mut post = to(Method::POST, "/", &[form]);
    *post.body_mut() = Body::from(format!("access_token={text}"));
    assert_eq!(ask(fixture.layer(), post).await.reason(), Some(Reason::Absent));
    assert_eq!(fixture.store.finds(), 0);
}

#[tokio::test]
async fn an_anonymous_session_counts_as_absent() {
    for mode in MODES {
        let fixture = fixture();
        fixture.store.set(mode);
        let nobody = Subject::anonymous("browser-1");
        let session = fixture.tokens.issue_for_cookie(nobody.clone(), IssueOptions::default()).await.unwrap();
        let in_header = fixture.tokens.issue_for_header(nobody, IssueOptions::default()).await.unwrap();
        let (ada, bob) = (fixture.cookie_login("ada").await, fixture.login("bob").await);
        let text = |issued: &Issued| issued.access().expose().to_owned();
        let one = format!("__Host-one={}", text(&session));
        let stale = format!("__Host-one={}", text(&in_header));
        let (name, good) = bearer(bob.access().expose());
        let (_, nobody) = bearer(in_header.access().expose());

        let layer = || fixture.layer().cookie("one").cookie("two");
        let headers_last = || layer().schemes(["Bearer"]);
        let alone = [("cookie", one.as_str())];
        let refused = ask(layer(), request(&alone)).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (401, "missing_credential"));
        assert!(refused.challenges().iter().all(|challenge| !challenge.contains("error=")));
        assert_eq!(ask(layer().optional(), request(&alone)).await.body, "anonymous");
        assert_eq!(ask(layer().optional(), request(&[(&name, &nobody)])).await.body, "anonymous");

        // The next name, and the next source, are asked.
        let both = format!("{one}; __Host-two={}", text(&ada));
        assert_eq!(ask(layer(), request(&[("cookie", &both)])).await.body, "ada cookie Cookie");
        assert_eq!(ask(headers_last(), request(&[alone[0], (&name, &good)])).await.body, "bob header Bearer");
        let cookie_behind = format!("__Host-one={}", text(&ada));
        let behind = ask(layer(), request(&[(&name, &nobody), ("cookie", &cookie_behind)])).await;
        assert_eq!(behind.body, "ada cookie Cookie");

        // What is invalid is not made absent by it, nor is a header asked behind an invalid cookie.
        let bad = format!("{one}; __Host-two=junk");
        for layer in [layer().optional(), headers_last().optional()] {
            let refused = ask(layer, request(&[("cookie", &bad)])).await;
            assert_eq!((refused.status.as_u16(), refused.reason()), (401, Some(Reason::Unclaimed)));
        }
        let wrong = ask(headers_last(), request(&[("cookie", &stale), (&name, &good)])).await;
        assert_eq!(wrong.reason(), Some(Reason::WrongChannel));
    }
}
