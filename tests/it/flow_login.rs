//! Logging in.

use std::sync::Arc;

use http::Method;
use portcullis::{
    TokenPolicy,
    client_ip::ClientIpPolicy,
    cookie::CookieSettings,
    credential::Channel,
    csrf::CsrfPolicy,
    event::{Event, EventKind},
    flow::RefreshService,
    identity::{Ended, Subject},
    problem::{Reason, RejectionKind},
    store::{Limit, LiveLimit, LoginRecord, MemoryCounters},
    throttle::{Throttle, ThrottlePolicy},
    token::LoginQuery,
    verify::Verify,
};
use serde_json::{Value, json};

use crate::{
    flow::{CROSS_SITE, FORM, JSON, PASSWORD, SAME_ORIGIN, flow, flow_with, log_in, post, send, send_from},
    support::{Answer, Body, Mode, ask, request, secs},
};

#[tokio::test]
async fn r040_good_credentials_get_both_tokens_and_a_summary_and_leave_a_context() {
    let flow = flow();
    let login = flow.login().build().unwrap();
    let json_body =
        json!({ "username": "ada", "password": PASSWORD, "device": "phone", "csrf": 1, "more": [{}] })
            .to_string();
    let form_body = format!("username=ada&password={PASSWORD}&device=ph%6Fne&&more");
    for (content_type, body) in [(JSON, &json_body), (FORM, &form_body)] {
        let answer = post(&login, &[content_type, ("user-agent", "app/1")], body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.headers["content-type"], "application/json");
        let body = answer.json();
        let mut names: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["access_token", "expires_in", "refresh_expires_in", "refresh_token", "token_type", "user"]
        );
        assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(24 * 3600)));
        assert_eq!(body["refresh_expires_in"], 7 * 24 * 3600);
        assert_eq!(body["user"], json!({ "id": "ada", "email": "ada@example.com" }));
        assert!(answer.cookies().is_empty());

        let verified = flow.fixture.tokens.verify(&answer.text("access_token"), Some(Channel::Header)).await;
        let verified = verified.unwrap();
        let context = verified.record().unwrap().context().to_object();
        let expected = json!({ "device": "phone", "ip_address": "192.0.2.7", "user_agent": "app/1" });
        assert_eq!(Value::Object(context), expected);
        let next = flow.fixture.refresh(&answer.text("refresh_token")).await.unwrap();
        assert_eq!(next.record().context().get("device"), Some("phone".into()));
    }
    assert_eq!(flow.users.asked(), (2, 2));
}

#[tokio::test]
async fn r040_without_a_refresh_token_or_an_end_the_answer_has_neither() {
    let policy = TokenPolicy::builder().refresh_ttl(None).access_ttl(None).absolute(None).build().unwrap();
    let flow = flow_with(policy);
    let answer = log_in(&flow.login().build().unwrap(), &[], "ada", PASSWORD).await;
    let body = answer.json();
    let mut names: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["access_token", "token_type", "user"]);
}

/// To the byte, and for the same work: the fake says yes to the right password, whoever it is asked about.
#[tokio::test]
async fn r040_unknown_wrong_and_inactive_answer_alike_for_one_check_each() {
    for cookies in [false, true] {
        let flow = flow();
        let login = if cookies { flow.cookie_login() } else { flow.login().build().unwrap() };
        let cases = [
            ("ada", "wrong", Reason::WrongPassword, Some("ada")),
            ("nobody", PASSWORD, Reason::UnknownUser, None),
            ("nobody", "wrong", Reason::UnknownUser, None),
            ("gone", PASSWORD, Reason::InactiveUser, Some("gone")),
            ("gone", "wrong", Reason::WrongPassword, Some("gone")),
        ];
        let mut answers: Vec<Answer> = Vec::new();
        for (done, (username, password, reason, checked)) in cases.into_iter().enumerate() {
            let answer = log_in(&login, &[SAME_ORIGIN], username, password).await;
            assert_eq!(answer.reason(), Some(reason));
            assert_eq!(flow.users.asked(), (done + 1, done + 1), "{username}");
            assert_eq!(flow.users.checked(), [checked.map(str::to_owned)]);
            answers.push(answer);
        }
        for answer in &answers {
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "invalid_credentials"));
            assert_eq!((&answer.headers, &answer.body), (&answers[0].headers, &answers[0].body));
        }
        let challenge = if cookies {
            r#"Cookie realm="api", cookie-name="__Host-token""#
        } else {
            r#"Bearer realm="api""#
        };
        assert_eq!(answers[0].challenges(), [challenge]);
        assert_eq!(flow.store_calls(), (0, 0));

        // A good login costs the same look-up and check.
        let good = log_in(&login, &[SAME_ORIGIN], "ada", PASSWORD).await;
        assert_eq!((good.status.as_u16(), flow.users.asked()), (200, (6, 6)));
    }
}

#[tokio::test]
async fn r040_the_fields_and_the_realm_can_have_other_names() {
    let flow = flow();
    let builder = flow.login().username_field("email").password_field("secret").realm("shop");
    let login = builder.build().unwrap();
    let body = json!({ "email": "ada", "secret": PASSWORD }).to_string();
    assert_eq!(post(&login, &[JSON], &body).await.status, 200);
    assert_eq!(log_in(&login, &[], "ada", PASSWORD).await.status, 400);
    let body = json!({ "email": "ada", "secret": "wrong" }).to_string();
    assert_eq!(post(&login, &[JSON], &body).await.challenges(), [r#"Bearer realm="shop""#]);
}

#[tokio::test]
async fn r040_what_could_not_be_checked_is_503_and_no_login() {
    let flow = flow();
    let login = flow.login().build().unwrap();
    for name in ["lost", "stuck"] {
        let answer = log_in(&login, &[], name, PASSWORD).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "unavailable"));
        assert_eq!(answer.headers["retry-after"], "5");
        assert!(!answer.body.contains("planted"));
    }
    assert_eq!(flow.users.asked(), (2, 1));
    for mode in [Mode::Down, Mode::DownLater, Mode::ReadOnly] {
        flow.fixture.store.set(mode);
        assert_eq!(log_in(&login, &[], "ada", PASSWORD).await.status, 503, "{mode:?}");
        assert_eq!(log_in(&flow.cookie_login(), &[SAME_ORIGIN], "ada", PASSWORD).await.status, 503);
    }
    assert_eq!(flow.fixture.store.writes(), 0);
    assert_eq!(flow.fixture.events.count("authn_login_success"), 0);
    assert_eq!(flow.fixture.events.count("authn_unavailable"), 8);
}

// ===== cookies =====

#[tokio::test]
async fn r017_a_cookie_login_has_its_tokens_in_cookies_and_nowhere_else() {
    let flow = flow();
    let answer = log_in(&flow.cookie_login(), &[SAME_ORIGIN], "ada", PASSWORD).await;
    assert_eq!(answer.status, 200);
    let body = answer.json();
    let mut names: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["expires_in", "refresh_expires_in", "user"]);

    let cookies = answer.cookies();
    assert_eq!(cookies.len(), 2);
    let (name, token, attributes) = &cookies[0];
    assert_eq!(name, "__Host-token");
    assert_eq!(attributes, "Max-Age=86400; Path=/; Secure; HttpOnly; SameSite=Lax");
    let (name, refresh, attributes) = &cookies[1];
    assert_eq!(name, "__Secure-token_refresh");
    assert_eq!(attributes, "Max-Age=604800; Path=/auth; Secure; HttpOnly; SameSite=Strict");
    for text in [token, refresh] {
        assert!(!answer.body.contains(text.as_str()) && text.starts_with("pc_"));
    }

    let cookie = answer.cookie_header();
    let seen = ask(flow.fixture.layer().cookie("token"), request(&[("cookie", &cookie)])).await;
    assert_eq!(seen.body, "ada cookie Cookie");
    // The same text in the header is refused: the channel is part of the login.
    assert!(flow.fixture.tokens.verify(token, Some(Channel::Header)).await.is_err());
}

#[tokio::test]
async fn r017_without_a_refresh_cookie_there_is_no_refresh_token() {
    let flow = flow();
    let login = flow.login().cookie(CookieSettings::new("sid").danger_plain()).build().unwrap();
    let answer = log_in(&login, &[SAME_ORIGIN], "ada", PASSWORD).await;
    assert_eq!(answer.cookies().len(), 1);
    assert_eq!(answer.cookies()[0].0, "sid");
    assert_eq!(answer.json().get("refresh_expires_in"), None);
    let logins = flow.fixture.tokens.logins(LoginQuery::of(Subject::local("ada"))).await.unwrap().logins;
    assert_eq!(logins[0].refresh_expires(), None);
}

#[tokio::test]
async fn a_login_that_is_not_to_be_remembered_ends_with_the_browser() {
    for (field, remembered) in [
        (json!(true), true),
        (json!("on"), true),
        (Value::Null, true),
        (json!(false), false),
        (json!("false"), false),
        (json!("0"), false),
    ] {
        let flow = flow();
        let body = json!({ "username": "ada", "password": PASSWORD, "remember": field }).to_string();
        let answer = post(&flow.cookie_login(), &[SAME_ORIGIN, JSON], &body).await;
        for (_, _, attributes) in answer.cookies() {
            assert_eq!(attributes.contains("Max-Age"), remembered, "{field} {attributes}");
        }
        // A refresh keeps it so.
        let refresh =
            RefreshService::new(flow.fixture.tokens.clone()).cookie("token").refresh_cookie("/auth");
        let cookie = answer.cookie_header();
        let next = post(&refresh.build().unwrap(), &[SAME_ORIGIN, ("cookie", &cookie)], "").await;
        assert_eq!(next.cookies().len(), 2);
        for (_, _, attributes) in next.cookies() {
            assert_eq!(attributes.contains("Max-Age"), remembered, "{field} {attributes}");
        }
    }
}

/// There is no session that a forged login could abuse, but the browser would be somebody else's from then on.
#[tokio::test]
async fn sec_j02_a_login_that_sets_cookies_must_come_from_a_page_of_ours() {
    let flow = flow();
    let login = flow.cookie_login();
    let foreign: [&[(&str, &str)]; 6] = [
        &[],
        &[CROSS_SITE],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example"), ("host", "app.example")],
        &[("origin", "null"), ("host", "app.example")],
        &[CROSS_SITE, ("origin", "https://evil.example"), ("cookie", "__Host-token=junk")],
    ];
    for headers in foreign {
        let answer = log_in(&login, headers, "ada", PASSWORD).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "csrf"), "{headers:?}");
        let form = format!("username=ada&password={PASSWORD}");
        assert_eq!(post(&login, &[headers, &[FORM]].concat(), &form).await.status, 403);
    }
    // Nobody was looked up, nothing was written, and it was told.
    assert_eq!((flow.users.asked(), flow.store_calls()), ((0, 0), (0, 0)));
    assert_eq!(flow.fixture.events.count("csrf_refused"), 12);

    let own: [&[(&str, &str)]; 3] = [
        &[SAME_ORIGIN],
        &[("sec-fetch-site", "none")],
        &[("origin", "https://app.example"), ("host", "app.example")],
    ];
    for headers in own {
        assert_eq!(log_in(&login, headers, "ada", PASSWORD).await.status, 200, "{headers:?}");
    }
    let listed = flow.login().cookie("token").csrf(CsrfPolicy::new().allow_origin("https://evil.example"));
    assert_eq!(log_in(&listed.build().unwrap(), foreign[5], "ada", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn sec_j02_a_login_that_answers_in_its_body_leaves_nothing_in_a_browser() {
    let flow = flow();
    let form = format!("username=ada&password={PASSWORD}");
    let answer = post(&flow.login().build().unwrap(), &[CROSS_SITE, FORM], &form).await;
    assert_eq!((answer.status.as_u16(), answer.cookies().len()), (200, 0));
}

#[tokio::test]
async fn sec_d06_the_login_that_a_browser_came_with_ends_with_the_new_one() {
    let flow = flow_with(TokenPolicy::builder().limit(LiveLimit::Refuse(1)).build().unwrap());
    let login = flow.cookie_login();
    let first = log_in(&login, &[SAME_ORIGIN], "ada", PASSWORD).await;
    // Under a limit of one: the browser's own login does not count against it.
    let second = log_in(&login, &[SAME_ORIGIN, ("cookie", &first.cookie_header())], "ada", PASSWORD).await;
    assert_eq!(second.status, 200);
    let (old, new) = (&first.cookies()[0].1, &second.cookies()[0].1);
    assert_ne!(old[4..21], new[4..21], "another id");
    let events = flow.fixture.events.all();
    let ended: Vec<_> = events.iter().filter(|event| event.name() == "authn_token_revoked").collect();
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].record().unwrap().as_str(), &old[4..21]);
    assert!(flow.fixture.tokens.verify(old, None).await.is_err());
    assert!(flow.fixture.tokens.verify(new, None).await.is_ok());

    // Somebody else at the same browser, which sends only the refresh cookie any more.
    let refresh_only = format!("__Secure-token_refresh={}", second.cookies()[1].1);
    let bob = log_in(&login, &[SAME_ORIGIN, ("cookie", &refresh_only)], "bob", PASSWORD).await;
    assert_eq!(bob.status, 200);
    assert!(flow.fixture.tokens.verify(new, None).await.is_err());

    // A wrong password ends nothing, and neither does a forged cookie; nothing presented is adopted.
    let bob_cookie = bob.cookie_header();
    assert_eq!(log_in(&login, &[SAME_ORIGIN, ("cookie", &bob_cookie)], "ada", "wrong").await.status, 401);
    let forged = format!("__Host-token={}", bob.cookies()[0].1.replace("pc_a", "pc_b"));
    for cookie in [forged.as_str(), "__Host-token=chosen-by-somebody", "__Host-token=\"\""] {
        let ada = log_in(&login, &[SAME_ORIGIN, ("cookie", cookie)], "ada", PASSWORD).await;
        assert_eq!(ada.status, 200, "{ada:?}");
        flow.fixture.tokens.revoke_subject(&Subject::local("ada")).await.unwrap();
    }
    assert!(flow.fixture.tokens.verify(&bob.cookies()[0].1, None).await.is_ok());

    // The same cookie twice is nobody's to choose from: refused before anybody is looked up.
    let asked = flow.users.asked();
    let twice =
        log_in(&login, &[SAME_ORIGIN, ("cookie", "__Host-token=a; __Host-token=b")], "ada", PASSWORD).await;
    assert_eq!((twice.status.as_u16(), twice.reason()), (400, Some(Reason::DuplicateCookie)));
    assert_eq!(flow.users.asked(), asked);
}

/// Streams of the old login end with it, and not only with their next look.
#[tokio::test]
async fn sec_d06_whoever_watches_the_replaced_login_is_told() {
    let flow = flow();
    let login = flow.cookie_login();
    let first = log_in(&login, &[SAME_ORIGIN], "ada", PASSWORD).await;
    let verified = flow.fixture.tokens.verify(&first.cookies()[0].1, None).await.unwrap();
    let watch = tokio::spawn(Verify::watch(&flow.fixture.tokens, verified.evidence()));
    tokio::task::yield_now().await;
    assert!(!watch.is_finished());
    log_in(&login, &[SAME_ORIGIN, ("cookie", &first.cookie_header())], "ada", PASSWORD).await;
    let ended = tokio::time::timeout(secs(10), watch).await.expect("told in time").unwrap();
    assert_eq!(ended, Ended::Revoked);
}

#[tokio::test]
async fn a_login_above_the_limit_is_409_and_says_so() {
    let flow = flow_with(TokenPolicy::builder().limit(LiveLimit::Refuse(2)).build().unwrap());
    let login = flow.login().build().unwrap();
    for expected in [200, 200, 409] {
        assert_eq!(log_in(&login, &[], "ada", PASSWORD).await.status, expected);
    }
    let refused = log_in(&login, &[], "ada", PASSWORD).await;
    assert_eq!((refused.code().as_str(), refused.reason()), ("login_limit", Some(Reason::LoginLimit)));
    assert_eq!(refused.rejection.unwrap().kind(), RejectionKind::LoginLimit);
    assert!(refused.headers.get("www-authenticate").is_none());
    // Whoever does not know the password learns nothing of it.
    assert_eq!(log_in(&login, &[], "ada", "wrong").await.status, 401);
    let failed = flow.fixture.events.all();
    let failed = failed.iter().filter(|event| event.reason() == Some(Reason::LoginLimit));
    assert!(failed.clone().all(|event| event.name() == "authn_login_fail"));
    assert_eq!(failed.count(), 2);
}

// ===== limits of attempts =====

fn throttle(flow: &crate::flow::Flow) -> Throttle {
    Throttle::new(MemoryCounters::new(), ThrottlePolicy::default()).clock(flow.fixture.time.clock())
}

#[tokio::test]
async fn r139_the_sixth_login_with_one_name_and_the_31st_from_one_address_are_429() {
    let flow = flow();
    let login = flow.login().throttle(throttle(&flow)).build().unwrap();
    // A name that nobody has is counted like any other.
    for name in ["nobody", "ada"] {
        for _ in 0..5 {
            assert_eq!(log_in(&login, &[], name, "wrong").await.status, 401);
        }
        for password in ["wrong", PASSWORD] {
            let refused = log_in(&login, &[], name, password).await;
            assert_eq!((refused.status.as_u16(), refused.code().as_str()), (429, "too_many_requests"));
            assert_eq!(refused.headers["retry-after"], "12");
        }
    }
    assert_eq!(flow.users.asked(), (10, 10), "before any look-up");
    assert_eq!(flow.fixture.events.count("excess_rate_limit_exceeded"), 4);

    for number in 14..30 {
        assert_eq!(log_in(&login, &[], &format!("user{number}"), "wrong").await.status, 401);
    }
    assert_eq!(log_in(&login, &[], "one-more", "wrong").await.status, 429);
    assert_eq!(flow.users.asked(), (26, 26));
    // Nobody at another address is locked out.
    let body = json!({ "username": "ada", "password": PASSWORD }).to_string();
    let elsewhere = send_from(&login, "2001:db8::1", Method::POST, "/", &[JSON], Body::from(body)).await;
    assert_eq!(elsewhere.status, 200);

    flow.fixture.time.advance(secs(12));
    assert_eq!(log_in(&login, &[], "ada", PASSWORD).await.status, 200);
}

/// Requests that name nobody cost nothing, and use up nobody's attempts.
#[tokio::test]
async fn r139_what_is_no_attempt_is_not_counted() {
    let flow = flow();
    let login = flow.login().cookie("token").throttle(throttle(&flow)).build().unwrap();
    for _ in 0..40 {
        assert_eq!(post(&login, &[SAME_ORIGIN, JSON], "{").await.status, 400);
        assert_eq!(log_in(&login, &[CROSS_SITE], "ada", "wrong").await.status, 403);
    }
    assert_eq!(log_in(&login, &[SAME_ORIGIN], "ada", PASSWORD).await.status, 200);
}

/// A header that the client writes is no address: the attempts of one peer stay those of one peer.
#[tokio::test]
async fn r139_the_address_is_not_the_clients_to_choose() {
    let flow = flow();
    let login = flow.login().throttle(throttle(&flow)).build().unwrap();
    let behind = flow
        .login()
        .client_ip(ClientIpPolicy::peer().trust("192.0.2.0/24"))
        .throttle(throttle(&flow))
        .build()
        .unwrap();
    let mut refused = (0, 0);
    for number in 0..10 {
        let forwarded = format!("198.51.100.{number}");
        let header = ("x-forwarded-for", forwarded.as_str());
        refused.0 += usize::from(log_in(&login, &[header], "ada", "wrong").await.status == 429);
        refused.1 += usize::from(log_in(&behind, &[header], "ada", "wrong").await.status == 429);
    }
    assert_eq!(refused, (5, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_k01_of_ten_thousand_parallel_guesses_the_limit_reaches_the_check() {
    let flow = flow();
    let login = flow.login().throttle(throttle(&flow)).build().unwrap();
    let mut guesses = Vec::new();
    for number in 0..10_000 {
        let login = login.clone();
        guesses.push(tokio::spawn(async move {
            log_in(&login, &[], "ada", &format!("guess{number}")).await.status.as_u16()
        }));
    }
    let mut refused = 0;
    for guess in guesses {
        let status = guess.await.unwrap();
        assert!(matches!(status, 401 | 429), "{status}");
        refused += usize::from(status == 429);
    }
    assert_eq!((refused, flow.users.asked()), (9_995, (5, 5)));
}

#[tokio::test]
async fn sec_k02_logging_in_oneself_gives_no_attempts_back() {
    let flow = flow();
    let login = flow.login().throttle(throttle(&flow)).build().unwrap();
    let mut guesses = 0;
    for _ in 0..15 {
        guesses += usize::from(log_in(&login, &[], "ada", "guess").await.status == 401);
        log_in(&login, &[], "bob", PASSWORD).await;
    }
    assert_eq!(guesses, 5);
    // The right password is refused as the wrong one was.
    let (right, wrong) =
        (log_in(&login, &[], "ada", PASSWORD).await, log_in(&login, &[], "ada", "guess").await);
    assert_eq!((right.status.as_u16(), &right.headers, &right.body), (429, &wrong.headers, &wrong.body));
}

#[tokio::test]
async fn r139_a_limit_that_cannot_be_counted_is_503() {
    let flow = flow();
    let throttle = Throttle::new(Broken, ThrottlePolicy::default());
    let login = flow.login().throttle(throttle).build().unwrap();
    assert_eq!(log_in(&login, &[], "ada", PASSWORD).await.status, 503);
    assert_eq!(flow.users.asked(), (0, 0));
}

struct Broken;

#[async_trait::async_trait]
impl portcullis::store::CounterStore for Broken {
    fn hit(
        &self,
        _key: &portcullis::store::CounterKey,
        _limit: Limit,
        _now: portcullis::clock::Timestamp,
    ) -> portcullis::maybe_ready::MaybeReady<Result<portcullis::store::Hit, portcullis::store::StoreError>>
    {
        portcullis::maybe_ready::MaybeReady::Now(Err(portcullis::store::StoreError::unavailable("planted")))
    }

    async fn forget(
        &self,
        _key: &portcullis::store::CounterKey,
    ) -> Result<(), portcullis::store::StoreError> {
        Ok(())
    }
}

// ===== tenants =====

#[tokio::test]
async fn sec_i08_a_login_belongs_to_the_tenant_and_client_of_its_request() {
    let flow = flow();
    let header = |name: &'static str| {
        move |head: &http::request::Parts| Some(head.headers.get(name)?.to_str().ok()?.to_owned())
    };
    let login = flow.login().tenant(header("x-tenant")).client(header("x-client")).build().unwrap();
    let answer = log_in(&login, &[("x-tenant", "red"), ("x-client", "app")], "ada", PASSWORD).await;
    assert_eq!(flow.users.tenants(), [Some("red".to_owned())]);
    let body = json!({ "refresh_token": answer.text("refresh_token") }).to_string();
    let refresh = RefreshService::new(flow.fixture.tokens.clone())
        .tenant(header("x-tenant"))
        .client(header("x-client"))
        .build()
        .unwrap();
    let others: [(&[(&str, &str)], Reason); 4] = [
        (&[], Reason::WrongTenant),
        (&[("x-tenant", "blue"), ("x-client", "app")], Reason::WrongTenant),
        (&[("x-tenant", "red")], Reason::WrongClient),
        (&[("x-tenant", "red"), ("x-client", "other")], Reason::WrongClient),
    ];
    for (headers, reason) in others {
        let refused = post(&refresh, &[headers, &[JSON]].concat(), &body).await;
        assert_eq!((refused.status.as_u16(), refused.reason()), (401, Some(reason)));
    }
    let next = post(&refresh, &[JSON, ("x-tenant", "red"), ("x-client", "app")], &body).await;
    assert_eq!(next.status, 200);
}

// ===== what is told =====

fn of_kind(events: &[Event], kind: EventKind) -> Vec<Event> {
    events.iter().filter(|event| *event.kind() == kind).cloned().collect()
}

#[tokio::test]
async fn sec_k03_logins_and_failures_are_told_with_whom_why_and_from_where() {
    let flow = flow();
    let login = flow.login().build().unwrap();
    log_in(&login, &[], "nobody", "x").await;
    log_in(&login, &[], "ada", "x").await;
    let good = log_in(&login, &[], "ada", PASSWORD).await;
    post(&login, &[JSON], "{}").await;
    let events = flow.fixture.events.all();
    let failed = of_kind(&events, EventKind::LoginFail);
    let told: Vec<_> =
        failed.iter().map(|event| (event.reason(), event.subject().map(Subject::id))).collect();
    assert_eq!(told, [(Some(Reason::UnknownUser), None), (Some(Reason::WrongPassword), Some("ada"))]);
    let success = of_kind(&events, EventKind::LoginSuccess);
    let [success] = &success[..] else { panic!("{events:?}") };
    assert_eq!(success.subject(), Some(&Subject::local("ada")));
    assert_eq!(success.channel(), Some(Channel::Header));
    assert_eq!(success.record().unwrap().as_str(), &good.text("access_token")[4..21]);
    let record: &LoginRecord = success.details().unwrap();
    assert_eq!(record.context().get("ip_address"), Some("192.0.2.7".into()));
    for event in failed.iter().chain([success]) {
        assert_eq!(event.client_ip(), Some("192.0.2.7".parse().unwrap()));
        assert_eq!(event.at(), flow.fixture.time.now());
    }
}

#[tokio::test]
async fn r209_a_device_is_new_until_a_live_login_of_the_user_has_the_same() {
    let flow = flow();
    let (login, cookie_login) = (flow.login().build().unwrap(), flow.cookie_login());
    let new = || flow.fixture.events.count("new_device");
    let phone = json!({ "username": "ada", "password": PASSWORD, "device": "phone" }).to_string();
    let agent = ("user-agent", "app/1");
    post(&login, &[JSON, agent], &phone).await;
    assert_eq!(new(), 1);
    post(&login, &[JSON, agent], &phone).await;
    assert_eq!(new(), 1, "the same device");
    post(&login, &[JSON, ("user-agent", "app/2")], &phone).await;
    assert_eq!(new(), 2, "another user agent");
    log_in(&login, &[agent], "ada", PASSWORD).await;
    assert_eq!(new(), 3, "another device");
    log_in(&login, &[agent], "bob", PASSWORD).await;
    assert_eq!(new(), 4, "another user");
    log_in(&login, &[agent], "ada", "wrong").await;
    assert_eq!(new(), 4, "nobody came in");

    // A login that was ended vouches for nothing: a thief's device is new again.
    flow.fixture.tokens.revoke_subject(&Subject::local("ada")).await.unwrap();
    let again = post(&cookie_login, &[JSON, agent, SAME_ORIGIN], &phone).await;
    assert_eq!(new(), 5);
    // But the browser's own login does, although the new one ends it.
    let cookie = again.cookie_header();
    post(&cookie_login, &[JSON, agent, SAME_ORIGIN, ("cookie", &cookie)], &phone).await;
    assert_eq!(new(), 5);

    let events = flow.fixture.events.all();
    let told = of_kind(&events, EventKind::NewDevice);
    assert!(told.iter().all(|event| event.details::<LoginRecord>().is_some() && event.client_ip().is_some()));
}

#[tokio::test]
async fn sec_d16_what_a_device_calls_itself_is_cut_and_cleaned() {
    let flow = flow();
    let login = flow.login().build().unwrap();
    let device = format!("a\r\nInjected: 1\0{}", "x".repeat(10_000));
    let body = json!({ "username": "ada", "password": PASSWORD, "device": device }).to_string();
    let agent = "y".repeat(4_000);
    let answer = post(&login, &[JSON, ("user-agent", &agent)], &body).await;
    assert_eq!(answer.status, 200);
    let verified = flow.fixture.tokens.verify(&answer.text("access_token"), None).await.unwrap();
    let context = verified.record().unwrap().context().to_object();
    let text = |key: &str| context[key].as_str().unwrap().to_owned();
    assert!(text("device").starts_with("aInjected: 1x") && text("device").len() == 256);
    assert_eq!(text("user_agent").len(), 512);
}

/// The service may be shared by any number of tasks.
#[tokio::test]
async fn a_service_can_be_cloned_and_shared() {
    fn check<T: Clone + Send + Sync + 'static>(_: &T) {}
    let flow = flow();
    let login = flow.login().build().unwrap();
    check(&login);
    let shared = Arc::new(login);
    assert_eq!(log_in(&*shared, &[], "ada", PASSWORD).await.status, 200);
    assert_eq!(send(&*shared, Method::GET, "/", &[], "").await.status, 405);
}
