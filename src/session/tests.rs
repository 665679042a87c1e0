//! What only the inside can show: what rests in the store.

use super::{SessionPolicy, Sessions};
use crate::{
    identity::Subject,
    store::{MemoryStore, TokenStore},
    token::IssueOptions,
};

#[tokio::test]
async fn r060_a_digest_rests_in_the_store_and_no_part_of_the_cookies_secret() {
    let store = MemoryStore::new();
    let sessions = Sessions::new(store.clone(), SessionPolicy::default());
    let (issued, _) = sessions.login(Subject::local("ada"), IssueOptions::default()).await.unwrap();
    let cookie = issued.access().expose();
    let record = store.find(&issued.record().id()).wait().await.unwrap().unwrap().record;
    assert!(record.refresh.is_none() && record.previous.is_none() && record.nonce.is_none());

    let (secret, check) = cookie["pcs_a".len() + 17..].split_at(43);
    assert_eq!(check.len(), 6);
    let mut rests = format!("{record:?} {:?} {:?} {:?}", record.access, record.context, record.data());
    for bytes in [record.access.as_bytes(), &record.lineage.expose()[..]] {
        rests.push_str(&data_encoding::HEXLOWER.encode(bytes));
        rests.push_str(&data_encoding::BASE64.encode(bytes));
        rests.push_str(&String::from_utf8_lossy(bytes));
    }
    for start in 0..=secret.len() - 6 {
        assert!(!rests.contains(&secret[start..start + 6]));
    }
}
