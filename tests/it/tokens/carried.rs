//! What a login carries: data, a context, and all of it through a refresh.

use std::{collections::HashMap, sync::Arc};

use portcullis::{
    TokenPolicy, TokenService,
    credential::Channel,
    event::RevokeReason,
    identity::Subject,
    problem::Reason,
    store::{CONTEXT_MAX, DATA_MAX, JsonError, LoginRecord},
    text::TokenId,
    token::{DataError, IssueOptions, RefreshRequest},
};
use serde_json::{Map, Value, json};
use tokio::sync::Barrier;

use super::{
    DAY, MILLI,
    lifetimes::{fields, issue},
};
use crate::support::{Mode, START, fixture, fixture_with, refresh_text, secs};

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

// ===== data =====

/// From where a login was used last, and how often it was.
type LastUse = (String, u32);

fn last_use(record: &LoginRecord) -> Option<LastUse> {
    record.data().parse().unwrap()
}

#[tokio::test]
async fn r024_typed_data_travels_through_issue_verify_refresh_and_rekey() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        fixture.store.set(mode);
        let noted: LastUse = ("192.0.2.1".to_owned(), 1);
        let login = issue(&fixture, IssueOptions::default().data(&noted)).await.unwrap();
        assert_eq!(last_use(login.record()).as_ref(), Some(&noted));
        let verified = fixture.tokens.verify(login.access().expose(), None).await.unwrap();
        assert_eq!(last_use(verified.record().unwrap()).as_ref(), Some(&noted));
        let next = fixture.refresh(&refresh_text(&login)).await.unwrap();
        assert_eq!(last_use(next.record()).as_ref(), Some(&noted));
        let id = login.record().id();
        let changed: LastUse = ("192.0.2.2".to_owned(), 2);
        assert!(fixture.tokens.save_data(&id, 0, &changed).await.unwrap());
        let rekeyed = fixture.tokens.rekey(&id).await.unwrap();
        assert_eq!(last_use(rekeyed.record()).as_ref(), Some(&changed));
        assert!(!format!("{:?} {:?}", login.record(), login.record().data()).contains("192.0.2"));
    }
}

#[tokio::test]
async fn r024_data_is_changed_by_compare_and_set_and_nothing_else_is() {
    let fixture = fixture();
    let login = issue(&fixture, IssueOptions::default().data(&1)).await.unwrap();
    let id = login.record().id();
    let read = async || fixture.store.record(&id).await;
    assert_eq!(read().await.version(), 0);
    assert!(fixture.tokens.save_data(&id, 0, &2).await.unwrap());
    let saved = read().await;
    assert!(!fixture.tokens.save_data(&id, 0, &3).await.unwrap(), "somebody was faster");
    assert!(!fixture.tokens.save_data(&id, 2, &3).await.unwrap());
    assert!(Arc::ptr_eq(&saved, &read().await), "something was written");
    assert_eq!((saved.version(), saved.data().as_json()), (1, Some("2")));
    assert_eq!((saved.generation(), saved.last_seen()), (0, START));

    // Neither a use nor a refresh counts as a change, so a version that was read stays good.
    fixture.time.advance(secs(2 * 3600));
    fixture.verify(login.access().expose()).await.unwrap();
    fixture.refresh(&refresh_text(&login)).await.unwrap();
    assert_eq!(read().await.version(), 1);
    assert!(fixture.tokens.save_data(&id, 1, &3).await.unwrap());

    // What has ended, and what never was, is not changed.
    fixture.tokens.revoke(&id).await.unwrap();
    let revoked = read().await;
    assert!(!fixture.tokens.save_data(&id, 2, &4).await.unwrap());
    assert!(!fixture.tokens.update_data(&id, |data: Option<u32>| data.unwrap_or(0) + 1).await.unwrap());
    assert!(Arc::ptr_eq(&revoked, &read().await));
    let nobody = TokenId::parse("00000000000000000").unwrap();
    assert!(!fixture.tokens.save_data(&nobody, 0, &4).await.unwrap());
    assert!(!fixture.tokens.update_data(&nobody, |_: Option<u32>| 1).await.unwrap());
    assert_eq!(fixture.store.memory.len(), 1);
}

/// By time, by the epoch of its subject, by the floor of the policy: nothing was revoked, and nothing is changed.
#[tokio::test]
async fn r024_data_of_a_login_that_has_ended_by_itself_is_not_changed() {
    let add = |data: Option<u32>| data.unwrap_or(0) + 1;
    let refused = async |tokens: &TokenService, id: &TokenId| {
        !tokens.save_data(id, 1, &3).await.unwrap()
            && !tokens.update_data(id, add).await.unwrap()
            && !tokens.set_label(&Subject::local("ada"), id, Some("late")).await.unwrap()
    };
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        fixture.store.set(mode);
        let login = issue(&fixture, IssueOptions::default().data(&1)).await.unwrap();
        let id = login.record().id();
        // The access token has ended; the login can be refreshed and lives.
        fixture.time.advance(secs(7 * 24 * 3600) - MILLI);
        assert_eq!(fixture.verify(login.access().expose()).await, Err(Reason::Expired));
        assert!(fixture.tokens.save_data(&id, 0, &2).await.unwrap());
        let before = fixture.store.record(&id).await;

        let floor = TokenPolicy::builder().issued_not_before(login.record().created().plus(MILLI));
        let floor =
            TokenService::new(fixture.store.clone(), floor.build().unwrap()).clock(fixture.time.clock());
        assert!(refused(&floor, &id).await, "it is from before the floor");
        for epoch in [Mode::NextEpoch, Mode::NoEpoch] {
            fixture.store.set(epoch);
            assert!(refused(&fixture.tokens, &id).await, "{epoch:?}");
        }
        fixture.store.set(mode);
        fixture.time.advance(MILLI);
        assert!(refused(&fixture.tokens, &id).await, "its last token has ended");
        assert!(Arc::ptr_eq(&before, &fixture.store.record(&id).await), "something was written");
        assert_eq!(before.revoked(), None);
    }
}

/// Every task has read the same version before the first one writes, again and again.
#[tokio::test]
async fn r024_no_parallel_update_is_lost_over_a_slow_store() {
    let fixture = Arc::new(fixture());
    fixture.store.set(Mode::Later);
    let id = fixture.login("ada").await.record().id();
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let fixture = Arc::clone(&fixture);
            tokio::spawn(async move {
                fixture.tokens.update_data(&id, |count: Option<u32>| count.unwrap_or(0) + 1).await
            })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap().unwrap());
    }
    let record = fixture.store.record(&id).await;
    assert_eq!((record.data().as_json(), record.version()), (Some("50"), 50));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn r024_no_parallel_update_is_lost_on_many_threads() {
    let fixture = Arc::new(fixture());
    let id = fixture.login("ada").await.record().id();
    let start = Arc::new(Barrier::new(50));
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (fixture, start) = (Arc::clone(&fixture), Arc::clone(&start));
            tokio::spawn(async move {
                start.wait().await;
                for _ in 0..20 {
                    let add = |count: Option<u32>| count.unwrap_or(0) + 1;
                    assert!(fixture.tokens.update_data(&id, add).await.unwrap());
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(fixture.store.record(&id).await.data().as_json(), Some("1000"));
}

#[tokio::test]
async fn r024_bad_data_is_refused_and_changes_nothing() {
    let fixture = fixture();
    let id = issue(&fixture, IssueOptions::default().data(&"text")).await.unwrap().record().id();
    let before = fixture.store.record(&id).await;
    // Two of the bytes are the quotes.
    let too_long = fixture.tokens.save_data(&id, 0, &"x".repeat(DATA_MAX - 1)).await.unwrap_err();
    assert!(matches!(too_long, DataError::Json(JsonError::TooLong)), "{too_long:?}");
    let wrong = fixture.tokens.update_data(&id, |number: Option<u32>| number.unwrap_or(0)).await.unwrap_err();
    assert!(matches!(wrong, DataError::Json(JsonError::WrongType)), "{wrong:?}");
    let unwritable = HashMap::from([((1, 2), 3)]);
    let unwritable = fixture.tokens.save_data(&id, 0, &unwritable).await.unwrap_err();
    assert!(matches!(unwritable, DataError::Json(JsonError::Unwritable)), "{unwritable:?}");
    assert!(Arc::ptr_eq(&before, &fixture.store.record(&id).await));
    assert!(fixture.tokens.save_data(&id, 0, &"x".repeat(DATA_MAX - 2)).await.unwrap());

    fixture.store.set(Mode::Down);
    let down = fixture.tokens.update_data(&id, |text: Option<String>| text.unwrap_or_default()).await;
    assert!(matches!(down, Err(DataError::Store(_))), "{down:?}");
}

// ===== context =====

#[tokio::test]
async fn r025_a_context_is_read_leniently_or_strictly() {
    let fixture = fixture();
    let context = object(json!({ "device": "phone", "_data": 1, "_strict": true, "get": null, "": [] }));
    let login = issue(&fixture, IssueOptions::default().context(context.clone())).await.unwrap();
    let verified = fixture.tokens.verify(login.access().expose(), None).await.unwrap();
    let read = verified.record().unwrap().context();
    // No key is out of reach, whatever it is called.
    for (key, value) in &context {
        assert_eq!(read.get(key).as_ref(), Some(value), "{key}");
    }
    assert_eq!(read.to_object(), context);
    assert_eq!(read.get("browser"), None);
    assert_eq!(read.require::<String>("device").unwrap(), "phone");
    assert_eq!(read.require::<String>("browser"), Err(JsonError::MissingKey));
    assert_eq!(read.require::<u32>("device"), Err(JsonError::WrongType));

    let empty = fixture.login("ada").await;
    assert_eq!(empty.record().context().as_json(), "{}");
    assert!(empty.record().context().to_object().is_empty());
    assert_eq!(empty.record().context().get("device"), None);
    assert_eq!(empty.record().context().require::<String>("device"), Err(JsonError::MissingKey));
}

#[tokio::test]
async fn r025_what_is_no_object_is_no_context() {
    let fixture = fixture();
    for value in [json!([]), json!("text"), json!(1), json!(null), json!(true)] {
        let error = issue(&fixture, IssueOptions::default().context_of(&value)).await.unwrap_err();
        assert_eq!(fields(&error), ["context"], "{value}");
    }
    let typed = HashMap::from([("port".to_owned(), 443_u16)]);
    let login = issue(&fixture, IssueOptions::default().context_of(&typed)).await.unwrap();
    assert_eq!(login.record().context().parse::<HashMap<String, u16>>().unwrap(), typed);
}

#[tokio::test]
async fn r025_a_context_is_bounded_to_the_byte() {
    let fixture = fixture();
    let of_length = |length: usize| {
        // {"k":"…"}
        IssueOptions::default().context(object(json!({ "k": "x".repeat(length - 8) })))
    };
    let login = issue(&fixture, of_length(CONTEXT_MAX)).await.unwrap();
    assert_eq!(login.record().context().as_json().len(), CONTEXT_MAX);
    assert_eq!(fields(&issue(&fixture, of_length(CONTEXT_MAX + 1)).await.unwrap_err()), ["context"]);
}

// ===== all of it =====

#[tokio::test]
async fn r034_a_refresh_carries_everything_over() {
    let policy = TokenPolicy::builder().refresh_ttl(Some(7 * DAY)).build().unwrap();
    let fixture = fixture_with(policy);
    let options = IssueOptions::default()
        .tenant("red")
        .client("app")
        .key_thumbprint("k1")
        .label("phone")
        .context(object(json!({ "ip": "192.0.2.1" })))
        .data(&7)
        .access_ttl(Some(secs(60)))
        .refresh_ttl(Some(secs(600)))
        .absolute(Some(secs(6_000)))
        .browser_session();
    let login =
        fixture.tokens.issue_for_cookie(Subject::of("https://idp.test", "ada"), options).await.unwrap();
    fixture.time.advance(secs(90));
    let text = refresh_text(&login);
    let request = RefreshRequest::new(&text, Channel::Cookie)
        .with_tenant("red")
        .with_client("app")
        .with_key_thumbprint("k1");
    let next = fixture.tokens.refresh(request).await.unwrap();
    let (before, after) = (login.record(), next.record());
    assert_eq!(before.id(), after.id());
    assert_eq!(before.subject(), after.subject());
    assert_eq!(before.channel(), after.channel());
    assert_eq!(before.tenant(), after.tenant());
    assert_eq!(before.client(), after.client());
    assert_eq!(before.key_thumbprint(), after.key_thumbprint());
    assert_eq!(before.label(), after.label());
    assert_eq!(before.context().as_json(), after.context().as_json());
    assert_eq!((before.data().as_json(), before.version()), (after.data().as_json(), after.version()));
    assert_eq!((before.created(), before.absolute_expires()), (after.created(), after.absolute_expires()));
    assert!(after.is_browser_session() && next.cookie_max_age().is_none());
    assert_eq!((next.expires_in(), next.refresh_expires_in()), (Some(secs(60)), Some(secs(600))));
    // And the record that rests says the same as the one that was handed out.
    let rests = fixture.store.record(&before.id()).await;
    assert_eq!((rests.generation(), rests.access_expires()), (1, after.access_expires()));
    assert_eq!(rests.revoked().map(|end| end.reason()), None::<RevokeReason>);
}
