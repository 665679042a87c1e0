//! Reads and, if it is told to, writes the golden file of the present format:
//!
//! ```text
//! PORTCULLIS_WRITE_GOLDEN=1 cargo test --lib golden
//! ```
//!
//! That throws the old one away, and with it the proof that what it holds is still honoured: for a new format only, into
//! a new file.

use std::{path::Path, time::Duration};

use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use super::*;
use crate::{
    clock::Timestamp,
    credential::Channel,
    identity::Subject,
    keyring::Key,
    scope::Scope,
    secret::SecretBytes,
    store::{Digest, HashAlgorithm, LoginColumns, LoginRecord, MemoryStore},
    token::{IssueOptions, Issued},
};

const WRITE: &str = "PORTCULLIS_WRITE_GOLDEN";

/// The first of January 2100: no engine believes that any of them has ended, and removes it.
const START: Timestamp = Timestamp::from_millis(4_102_444_800_123);

fn encode(golden: &Golden) -> Value {
    let mut columns = identity(&golden.columns);
    let rest = state(&golden.columns);
    columns.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    json!({
        "name": golden.name,
        "now": golden.now.as_millis(),
        "hash": golden.hash.as_str(),
        "pepper": golden.pepper.as_ref().map(|key| key.to_text().expose().to_owned()),
        "access": golden.access,
        "refresh": golden.refresh,
        "previous": golden.previous,
        "ancestor": golden.ancestor,
        "dead": golden.dead,
        "columns": columns,
    })
}

fn identity(login: &LoginColumns) -> Value {
    json!({
        "id": login.id.as_str(),
        "issuer": login.subject.issuer().to_name(),
        "subject": login.subject.id(),
        "channel": login.channel.as_str(),
        "browser_session": login.browser_session,
        "tenant": login.tenant.as_deref(),
        "client": login.client.as_deref(),
        "key_thumbprint": login.key_thumbprint.as_deref(),
        "scope": login.scope.as_ref().map(|scope| scope.to_string()),
        "label": login.label.as_deref(),
        "context": login.context.as_json(),
        "data": login.data.as_json(),
        "version": login.version,
    })
}

fn state(login: &LoginColumns) -> Value {
    let digest = |digest: &Digest| HEXLOWER.encode(&digest.to_bytes());
    let bytes = |bytes: &SecretBytes| HEXLOWER.encode(bytes.expose());
    json!({
        "access": digest(&login.access),
        "refresh": login.refresh.as_ref().map(digest),
        "previous": login.previous.as_ref().map(digest),
        "nonce": login.nonce.as_ref().map(bytes),
        "lineage": bytes(&login.lineage),
        "generation": login.generation,
        "rotated_at": login.rotated_at.as_millis(),
        "confirmed_at": login.confirmed_at.as_millis(),
        "grace_hits": login.grace_hits,
        "created": login.created.as_millis(),
        "last_seen": login.last_seen.as_millis(),
        "access_ttl": login.access_ttl.as_millis(),
        "refresh_ttl": login.refresh_ttl.as_millis(),
        "access_expires": login.access_expires.as_millis(),
        "refresh_expires": login.refresh_expires.as_millis(),
        "absolute_expires": login.absolute_expires.as_millis(),
        "epoch": login.epoch.number(),
        "revoked_at": login.revoked.map(|revoked| revoked.at().as_millis()),
        "revoked_reason": login.revoked.map(|revoked| revoked.reason().as_str()),
    })
}

/// What happens to a login before it is written down.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    New,
    Rotated(usize),
    Rekeyed,
    Revoked,
}

async fn make(
    name: &str,
    (channel, options): (Channel, IssueOptions),
    life: Life,
    (hash, pepper): (HashAlgorithm, Option<Key>),
) -> Golden {
    let (store, time) = (MemoryStore::new(), ManualClock::new(START));
    let policy = TokenPolicy::builder().hash(hash).touch_every(None).build().unwrap();
    let mut service = TokenService::new(store.clone(), policy).clock(time.clock());
    if let Some(key) = &pepper {
        service = service.pepper(KeyRing::new(key.clone()));
    }
    let subject = Subject::local(format!("golden {name}"));
    let mut all: Vec<Issued> = Vec::new();
    all.push(match channel {
        Channel::Header => service.issue_for_header(subject, options).await.unwrap(),
        Channel::Cookie => service.issue_for_cookie(subject, options).await.unwrap(),
    });
    let id = all[0].record().id();
    let rotations = match life {
        Life::Rotated(times) => times,
        Life::Rekeyed => 1,
        Life::New | Life::Revoked => 0,
    };
    for _ in 0..rotations {
        time.advance(Duration::from_millis(1_234_567));
        let text = all.last().and_then(Issued::refresh).unwrap().expose().to_owned();
        all.push(service.refresh(RefreshRequest::new(&text, channel)).await.unwrap());
    }
    match life {
        Life::Rekeyed => all.push(service.rekey(&id).await.unwrap()),
        Life::Revoked => service.revoke(&id).await.unwrap(),
        Life::New | Life::Rotated(_) => {}
    }
    let found = store.find(&id).wait().await.unwrap().unwrap();
    let mut columns = LoginColumns::from(&*found.record);
    columns.epoch = found.epoch.unwrap();
    let text = |back: usize| {
        let issued = all.len().checked_sub(back + 1).map(|place| &all[place]);
        issued.and_then(Issued::refresh).map(|text| text.expose().to_owned())
    };
    let repeats = matches!(life, Life::Rotated(_));
    let (last, before) = all.split_last().unwrap();
    Golden {
        name: name.to_owned(),
        now: time.now(),
        hash,
        pepper,
        columns,
        access: last.access().expose().to_owned(),
        refresh: text(0),
        previous: text(1).filter(|_| repeats),
        ancestor: text(2).filter(|_| repeats),
        dead: before.iter().map(|issued| issued.access().expose().to_owned()).collect(),
    }
}

async fn all() -> Vec<Golden> {
    let header = |options| (Channel::Header, options);
    let plain = || (HashAlgorithm::Sha256, None);
    let session = IssueOptions::default().refresh_ttl(None).browser_session().data(&json!({"cart": [1]}));
    let bound = IssueOptions::default()
        .tenant("red \u{e9}")
        .scope(Scope::parse("read write").unwrap())
        .label("Ada's \u{1f4f1}")
        .context_of(&json!({"ip_address": "192.0.2.7", "user_agent": "test"}))
        .data(&json!({"n": 1.5, "text": "\u{1f980}\0"}));
    let mine = bound.clone().client("app").key_thumbprint("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    let endless = || IssueOptions::default().access_ttl(None).refresh_ttl(None).absolute(None);
    let peppered = || (HashAlgorithm::Sha512, Some(Key::generate().unwrap()));
    let default = IssueOptions::default;
    vec![
        make("header pair", header(default()), Life::New, plain()).await,
        make("cookie pair", (Channel::Cookie, default()), Life::Rotated(1), plain()).await,
        make("session", (Channel::Cookie, session), Life::New, plain()).await,
        make("rotated once", header(default()), Life::Rotated(1), plain()).await,
        make("rotated twice", header(default()), Life::Rotated(2), plain()).await,
        make("rotated often", header(default()), Life::Rotated(7), plain()).await,
        make("rekeyed", header(default()), Life::Rekeyed, plain()).await,
        make("revoked", header(default()), Life::Revoked, plain()).await,
        make("never ends", header(endless()), Life::New, plain()).await,
        make("never ends, peppered", header(endless()), Life::New, peppered()).await,
        make("bound", header(bound), Life::New, plain()).await,
        make("bound to a client and a key", header(mine), Life::New, (HashAlgorithm::Sha384, None)).await,
        make("peppered", header(default()), Life::New, peppered()).await,
        make("peppered, rotated twice", header(default()), Life::Rotated(2), peppered()).await,
    ]
}

#[tokio::test]
async fn r213_the_golden_file_holds_what_is_read_from_it() {
    let mut lines = FORMAT_1.to_owned();
    if std::env::var_os(WRITE).is_some() {
        lines = all().await.iter().map(|golden| format!("{}\n", encode(golden))).collect();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/conformance/tokens/golden/format_1.jsonl");
        std::fs::write(path, &lines).unwrap();
    }
    for line in lines.lines() {
        let written: Value = serde_json::from_str(line).unwrap();
        assert_eq!(encode(&Golden::parse(line)), written);
    }
    assert_eq!(lines.lines().count(), 14);
    assert_eq!(LoginRecord::FORMAT, 1, "another format has a file of its own");
}
