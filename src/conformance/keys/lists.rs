//! Lists of keys.

use super::bench::{Bench, HOUR};
use crate::{identity::Subject, store::KeyQuery, text::TokenId};

/// All pages of a query, and each no longer than it may be.
async fn pages(bench: &Bench, mut query: KeyQuery) -> Vec<TokenId> {
    let mut ids = Vec::new();
    loop {
        let page = bench.two.list_keys(&query).await.unwrap();
        assert!(page.len() <= query.limit);
        ids.extend(page.iter().map(|record| record.id));
        query.after = ids.last().copied();
        if page.len() < query.limit {
            return ids;
        }
    }
}

pub(super) async fn r060_keys_are_listed_by_id_page_by_page(bench: &Bench) {
    assert!(pages(bench, KeyQuery::new(None, 4)).await.is_empty());
    let (mut all, mut adas) = (Vec::new(), Vec::new());
    for number in 0..25_usize {
        let user = if number.is_multiple_of(3) { "ada" } else { "bob" };
        let record = bench.key(user).await;
        if number.is_multiple_of(2) {
            bench.one.revoke_key(&record.id, bench.ended()).await.unwrap();
        }
        if user == "ada" {
            adas.push(record.id);
        }
        all.push(record.id);
    }
    all.sort();
    adas.sort();
    assert_eq!(pages(bench, KeyQuery::new(None, 4)).await, all);
    assert_eq!(pages(bench, KeyQuery::new(Some(Subject::local("ada")), 4)).await, adas);
    assert!(pages(bench, KeyQuery::new(Some(Subject::of("https://idp.test", "ada")), 4)).await.is_empty());
    assert!(bench.one.list_keys(&KeyQuery::new(None, 0)).await.unwrap().is_empty());
}

pub(super) async fn r060_keys_are_listed_by_when_they_were_made(bench: &Bench) {
    let mut made = Vec::new();
    for number in 0..12_u32 {
        let mut record = bench.draft(["ada", "bob"][number as usize % 2]);
        record.created = bench.after(number * HOUR);
        made.push(bench.insert(record).await.id);
    }
    let query = |owner: Option<&str>, hours: u32| {
        let mut query = KeyQuery::new(owner.map(Subject::local), 2);
        query.created_before = bench.after(hours * HOUR);
        query
    };
    let mut first: Vec<_> = made[..5].to_vec();
    first.sort();
    assert_eq!(pages(bench, query(None, 5)).await, first, "before, not at");
    let mut adas: Vec<_> = made[..5].iter().copied().step_by(2).collect();
    adas.sort();
    assert_eq!(pages(bench, query(Some("ada"), 5)).await, adas);
    assert!(pages(bench, query(None, 0)).await.is_empty());
    assert_eq!(pages(bench, query(None, 100)).await.len(), 12);
}
