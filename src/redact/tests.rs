use http::{HeaderMap, HeaderValue, Uri};
use serde_json::json;

use super::Redaction;

#[track_caller]
fn uri(redaction: &Redaction, text: &str, shown: &str) {
    let uri: Uri = text.parse().unwrap();
    assert_eq!(redaction.uri(&uri).to_string(), shown);
    assert_eq!(format!("{:?}", redaction.uri(&uri)), shown);
}

#[track_caller]
fn header(redaction: &Redaction, name: &'static str, value: &[u8], shown: &str) {
    let mut headers = HeaderMap::new();
    headers.insert(name, HeaderValue::from_bytes(value).unwrap());
    assert_eq!(format!("{:?}", redaction.headers(&headers)), format!("{{\"{name}\": {shown}}}"));
}

#[test]
fn r126_names_of_credentials_are_hidden_however_they_are_written() {
    let redaction = Redaction::new();
    for name in [
        "authorization",
        "Proxy-Authorization",
        "COOKIE",
        "Set-Cookie",
        "X-Api-Key",
        "apiKey",
        "api_key",
        "X-Auth-Token",
        "x-amz-security-token",
        "X-CSRF-Token",
        "x-xsrf-header",
        "password",
        "userPassword",
        "passwd",
        "client_secret",
        "client_assertion",
        "access_token",
        "refresh.token",
        "id_token_hint",
        "code",
        "code_verifier",
        "state",
        "nonce",
        "SAMLResponse",
        "SAMLRequest",
        "sid",
        "JSESSIONID",
        "signature",
        "X-Amz-Signature",
        "X-Amz-Credential",
        "otp",
        "pin",
        "jwt",
        "DPoP",
        "key",
        "private-key",
        "X-Auth-Key",
        "Ocp-Apim-Subscription-Key",
        "x-functions-key",
        "X-Auth",
        "Authentication",
        "authkey",
        "authorisation",
        "X-Goog-Signature",
        "sig",
        "hub.signature_256",
        "userPass",
        "passkey",
        "db-pwd",
        "creds",
        "mac",
        "author_key",
        "OAuth",
        "monkeykey",
    ] {
        assert!(redaction.hides(name), "{name}");
    }
    for name in [
        "accept",
        "content-type",
        "host",
        "page",
        "author",
        "keyboard",
        "zipcode",
        "spin",
        "monkey",
        "MONKEY",
        "user-agent",
        "author_id",
        "coverDesign",
        "Assigned-To",
        "keywords",
        "passengers",
        "country_code",
        "stopping",
    ] {
        assert!(!redaction.hides(name), "{name}");
    }
}

#[test]
fn r126_names_of_ones_own_add_to_the_built_in_ones() {
    let redaction = Redaction::new().and_names(["X-Customer"]).and_names(["Tenant_Id"]);
    for name in ["x-customer", "XCUSTOMER", "tenant-id", "authorization", "x-secret"] {
        assert!(redaction.hides(name), "{name}");
    }
    assert!(!Redaction::new().hides("x-customer"));
}

#[test]
fn r126_a_uri_shows_no_secret_behind_a_semicolon_or_in_another_uri() {
    let redaction = Redaction::new();
    for (text, shown) in [
        ("/app;jsessionid=0123456789abcdef/x", "/app;jsessionid=[redacted]/x"),
        ("/app;v=1;token=abc", "/app;v=1;token=[redacted]"),
        ("/a?b=1;access_token=abc&c=2", "/a?b=1;access_token=[redacted]&c=2"),
        ("/a?to=https://b.test/c?code=abc", "/a?to=[redacted]"),
        ("/a?to=https%3A%2F%2Fb.test%2Fc%3Fd%3D1%26code%3Dabc", "/a?to=[redacted]"),
        ("/a?to=https%3A%2F%2Fb.test%2Fc%3Fd%3D1", "/a?to=https%3A%2F%2Fb.test%2Fc%3Fd%3D1"),
        ("/a;b/c?d=1&e=2;f=3", "/a;b/c?d=1&e=2;f=3"),
    ] {
        uri(&redaction, text, shown);
    }
}

#[test]
fn r126_a_uri_shows_no_password_token_or_code() {
    let redaction = Redaction::new();
    uri(&redaction, "https://ada:planted@api.test:8443/a/b?page=2", "https://api.test:8443/a/b?page=2");
    uri(&redaction, "/cb?code=planted&state=planted&page=2", "/cb?code=[redacted]&state=[redacted]&page=2");
    uri(&redaction, "/cb?access%5Ftoken=planted", "/cb?access%5Ftoken=[redacted]");
    uri(&redaction, "/cb?ACCESS_TOKEN=planted&access_token=", "/cb?ACCESS_TOKEN=[redacted]&access_token=");
    uri(&redaction, "/a?plantedplantedplantedplanted", "/a?[redacted]");
    uri(&redaction, "/a?flag", "/a?flag");
    uri(&redaction, "/a?planted1", "/a?[redacted]");
    uri(
        &redaction,
        "/a?authkey=planted&subscription-key=planted&q=1",
        "/a?authkey=[redacted]&subscription-key=[redacted]&q=1",
    );
    let base64 = "planted0planted/planted+plantedPlantedplanted=";
    uri(
        &redaction,
        &format!("/a?q={base64}&to=/docs/pages/of/the/manual/chapter/one/index.html"),
        "/a?q=[redacted]&to=/docs/pages/of/the/manual/chapter/one/index.html",
    );
    let token = "planted0planted0planted0planted0planted0";
    uri(&redaction, &format!("/reset/{token}/form?q={token}"), "/reset/[redacted]/form?q=[redacted]");
    uri(&redaction, "/a?q=eyJhbGciOiJub25lIn0.e30.", "/a?q=[redacted]");
    uri(&redaction, "/v/123e4567-e89b-12d3-a456-426614174000", "/v/123e4567-e89b-12d3-a456-426614174000");
    uri(&redaction, "*", "*");
    uri(&redaction, "api.test:443", "api.test:443");
}

#[test]
fn r126_headers_that_nobody_has_listed_are_hidden() {
    let redaction = Redaction::new();
    // A key of 32 hexadecimal digits looks like many an id; only its header tells them apart.
    let key = b"plantedplantedplantedplantedplan";
    for name in [
        "x-auth-key",
        "ocp-apim-subscription-key",
        "x-functions-key",
        "x-auth",
        "authentication",
        "x-anything",
    ] {
        header(&redaction, name, key, "[redacted]");
    }
    for name in [
        "content-type",
        "content-length",
        "user-agent",
        "host",
        "date",
        "cache-control",
        "etag",
        "retry-after",
    ] {
        header(&redaction, name, b"value", "\"value\"");
    }
    let shown = Redaction::new().and_shown_headers(["X-Region"]);
    header(&shown, "x-region", b"eu", "\"eu\"");
    header(&shown, "x-other", b"eu", "[redacted]");
    header(&shown, "accept", b"eu", "\"eu\"");
}

#[test]
fn r126_nothing_shows_a_header_whose_name_is_hidden() {
    let hidden_last = Redaction::new()
        .and_shown_headers(["Authorization", "x-api-key", "x-region"])
        .and_names(["X-Region"]);
    let hidden_first =
        Redaction::new().and_names(["x_region", "accept"]).and_shown_headers(["x-region", "accept"]);
    for name in ["authorization", "x-api-key", "x-region"] {
        header(&hidden_last, name, b"planted", "[redacted]");
    }
    for name in ["x-region", "accept"] {
        header(&hidden_first, name, b"planted", "[redacted]");
    }
}

#[test]
fn r126_headers_show_no_secret_and_are_bounded() {
    let redaction = Redaction::new().and_shown_headers(["x-other", "x-long"]);
    header(&redaction, "x-other", b"planted0planted/planted+plantedPlantedplanted=", "[redacted]");
    header(
        &redaction,
        "x-other",
        b"/planted/planted/planted/planted/planted/planted",
        "\"/planted/planted/planted/planted/planted/planted\"",
    );
    header(
        &redaction,
        "accept",
        b"application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "\"application/vnd.openxmlformats-officedocument.wordprocessingml.document\"",
    );
    header(&redaction, "accept", b"text/html", "\"text/html\"");
    header(&redaction, "authorization", b"Bearer planted", "[redacted]");
    header(&redaction, "x-forwarded-access-token", b"planted", "[redacted]");
    header(&redaction, "x-other", b"Bearer planted0planted0planted0planted0planted0", "[redacted]");
    header(&redaction, "x-other", b"eyJhbGciOiJub25lIn0.e30.", "[redacted]");
    header(&redaction, "x-other", b"caf\xc3\xa9", "[5 bytes]");
    header(&redaction, "x-other", b"a\tb", r#""a\tb""#);
    header(&redaction, "location", b"/cb?code=planted&page=1#planted", "\"/cb?code=[redacted]&page=1\"");
    header(&redaction, "referer", b"https://ada:planted@x.test/", "\"https://x.test/\"");
    header(&redaction, "location", b"not a uri planted", "[redacted]");

    let mut sensitive = HeaderValue::from_static("planted");
    sensitive.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert("x-other", sensitive);
    headers.insert("x-long", "word ".repeat(200).parse().unwrap());
    for number in 0..100 {
        headers.insert(
            http::HeaderName::try_from(format!("x-{number}")).unwrap(),
            HeaderValue::from_static("1"),
        );
    }
    let shown = format!("{:?}", redaction.headers(&headers));
    assert!(!shown.contains("planted") && shown.contains("(1000 bytes)") && shown.contains(".."), "{shown}");
    assert!(shown.len() < 64 * 300);
}

#[test]
fn r126_json_members_are_hidden_with_all_below_them() {
    let redaction = Redaction::new().and_names(["customer"]);
    let value = json!({
        "user": "ada", "password": "planted", "nested": [{ "Refresh-Token": { "deep": "planted" }, "id": 7 }],
        "customer": ["planted"], "token": null, "note": "planted0planted0planted0planted0planted0",
    });
    let shown = redaction.json(&value);
    assert_eq!(
        shown,
        json!({
            "user": "ada", "password": "[redacted]",
            "nested": [{ "Refresh-Token": "[redacted]", "id": 7 }],
            "customer": "[redacted]", "token": null, "note": "[redacted]",
        })
    );
    let mut deep = json!("planted");
    for _ in 0..100 {
        deep = json!([deep]);
    }
    assert!(!redaction.json(&deep).to_string().contains("planted"));
}
