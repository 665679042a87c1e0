//! Any bytes in any header: an answer of the table, no panic, no look-up for junk.

use http::{HeaderName, HeaderValue};
use portcullis::problem::Reason;
use proptest::prelude::*;

use crate::support::{ask_layer, fixture, request};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// What a header value may hold: everything but control characters, tab excepted.
fn raw() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        Just(b' '),
        Just(b'\t'),
        Just(b'='),
        Just(b';'),
        Just(b'%'),
        0x20..=0x7e_u8,
        0x80..=0xff_u8
    ];
    let start = prop_oneof![
        Just(String::new()),
        "(?i)bearer[ \t]?",
        "(?i)token ",
        Just("Basic ".to_owned()),
        Just("pc_a".to_owned()),
        Just("Bearer pc_a".to_owned()),
        Just("__Host-token=".to_owned()),
        Just("__Host-token=x; __Host-token".to_owned()),
    ];
    let length = prop_oneof![0..80_usize, Just(8 * 1024), Just(64 * 1024)];
    (start, length, prop::collection::vec(byte, 1..80)).prop_map(|(start, length, bytes)| {
        let mut value = start.into_bytes();
        value.extend(bytes.iter().cycle().take(length));
        value
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sec_a07_no_header_bytes_panic_or_reach_the_store(
        values in prop::collection::vec((prop_oneof![Just("authorization"), Just("cookie"), Just("sec-fetch-site")], raw()), 0..4),
        post in any::<bool>(),
        optional in any::<bool>(),
    ) {
        run(async {
            let fixture = fixture();
            let layer = fixture.layer().cookie("token");
            let layer = if optional { layer.optional() } else { layer }.build().unwrap();
            let mut request = request(&[]);
            if post {
                *request.method_mut() = http::Method::POST;
            }
            for (name, value) in &values {
                let value = HeaderValue::from_bytes(value).expect("no control characters");
                request.headers_mut().append(HeaderName::from_static(name), value);
            }
            let answer = ask_layer(&layer, request).await;
            let status = answer.status.as_u16();
            assert!(matches!(status, 400 | 401 | 403) || (optional && answer.body == "anonymous"), "{status}");
            assert_eq!(fixture.store.finds(), 0);
        });
    }

    /// Casing, tabs, other blanks, trailing blanks, empty tokens: exactly `scheme SP b64token` is a credential.
    #[test]
    fn sec_a02_exactly_one_form_is_a_credential(
        scheme in "(?i)bearer",
        space in prop_oneof![Just(" "), Just(""), Just("  "), Just("\t"), Just("\u{a0}"), Just(" \t")],
        token in prop_oneof!["[A-Za-z0-9._~+/-]{0,20}={0,2}", "[ -~]{0,20}", "[A-Za-z0-9]{1,10}[ \t]{1,2}"],
    ) {
        run(async {
            let fixture = fixture();
            let layer = fixture.layer().build().unwrap();
            let mut request = request(&[]);
            let value = format!("{scheme}{space}{token}");
            request.headers_mut().insert("authorization", HeaderValue::from_bytes(value.as_bytes()).unwrap());
            let answer = ask_layer(&layer, request).await;
            let rest = &value[scheme.len()..];
            let is_token68 = rest.strip_prefix(' ').is_some_and(|token| {
                let body = token.trim_end_matches('=');
                !body.is_empty() && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
            });
            let tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            let longer_scheme = rest.bytes().next().is_some_and(tchar);
            let expected = if longer_scheme {
                (401, Some(Reason::Absent))
            } else if is_token68 {
                (401, Some(Reason::Unclaimed))
            } else {
                assert!(matches!(
                    answer.reason(),
                    Some(Reason::SchemeAlone | Reason::NotTwoParts | Reason::NotToken68)
                ), "{value:?}: {:?}", answer.reason());
                (400, answer.reason())
            };
            assert_eq!((answer.status.as_u16(), answer.reason()), expected, "{value:?}");
        });
    }
}
