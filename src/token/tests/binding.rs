//! A digest belongs to one record as it was issued, and to nothing else.

use super::*;
use crate::{
    credential::Credential,
    store::{Binding, Epoch, Insertion},
    text::{self, with_check},
    token::ratchet::{self, Kind},
    verify::{Attempt, Verify},
};

type Edit = fn(&mut LoginRecord);

/// A record that is in the store under the same id, changed in a way that no operation of a store allows.
async fn plant(fixture: &Fixture, record: LoginRecord) -> TokenService {
    let store = MemoryStore::new();
    let first = Epoch::from_number(record.epoch.number());
    store.insert(record, Insertion::new(first, fixture.time.now())).await.unwrap();
    TokenService::new(store, TokenPolicy::builder().danger_any_channel().build().unwrap())
        .clock(fixture.time.clock())
}

#[track_caller]
fn reason<T: std::fmt::Debug>(result: Result<T, Refusal>) -> Reason {
    match result {
        Err(Refusal::Invalid(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn r007_an_edited_record_verifies_nothing() {
    let fixture = fixture();
    let options = || IssueOptions::default().tenant("red");
    let issued = fixture.tokens.issue_for_header(Subject::local("ada"), options()).await.unwrap();
    let record = fixture.record(&issued.record().id()).await;
    let text = issued.access().expose();

    // As it was issued it verifies, so each refusal below is the edit's doing.
    let attempt = |tenant| {
        Attempt::new(Credential::header(text, "Bearer"), fixture.time.clock().now()).with_tenant(tenant)
    };
    plant(&fixture, (*record).clone()).await.verify_attempt(&attempt("red")).await.unwrap();

    // What is remembered of the original must not be remembered of its edited copy.
    Verify::verify(&fixture.tokens, &attempt("red")).wait().await.unwrap();
    let record = fixture.record(&issued.record().id()).await;
    let edits: [(&str, Edit); 5] = [
        ("subject", |record| record.subject = Arc::new(Subject::local("eve"))),
        ("issuer", |record| record.subject = Arc::new(Subject::of("https://evil.test", "ada"))),
        ("tenant", |record| record.extras.get_mut().tenant = Some("blue".into())),
        ("no tenant", |record| record.extras.get_mut().tenant = None),
        ("channel", |record| record.channel = Channel::Cookie),
    ];
    for (what, edit) in edits {
        let mut edited = (*record).clone();
        edit(&mut edited);
        let tenant = edited.tenant().map(str::to_owned);
        let tokens = plant(&fixture, edited).await;
        let mut attempt = Attempt::new(Credential::header(text, "Bearer"), fixture.time.clock().now());
        if let Some(tenant) = &tenant {
            attempt = attempt.with_tenant(tenant);
        }
        assert_eq!(reason(tokens.verify_attempt(&attempt).await), Reason::WrongSecret, "{what}");
    }
}

/// So the first verification of a login costs as much as the next.
#[tokio::test]
async fn a_new_login_knows_its_binding() {
    let fixture = fixture();
    let record = fixture.record(&fixture.login().await.record().id()).await;
    let known = record.binding.get_or_init(|| panic!("it has to be computed"));
    assert_eq!(known, ratchet::binding(Kind::Access, &LoginRecord::clone(&record)));
}

#[tokio::test]
async fn r007_a_digest_copied_to_another_record_verifies_nothing() {
    let fixture = fixture();
    let (mine, hers) = (fixture.login().await, fixture.login().await);
    let mut forged = (*fixture.record(&hers.record().id()).await).clone();
    forged.access = fixture.record(&mine.record().id()).await.access.clone();
    forged.binding = Binding::default();
    let tokens = plant(&fixture, forged).await;

    // My secret under her id, with a check that fits.
    let (mine, hers) = (mine.access().expose(), hers.access().expose());
    let text = with_check(&format!("{}{}", &hers[..4 + 17], &mine[4 + 17..4 + 17 + 43]));
    assert_eq!(reason(tokens.verify(&text, None).await), Reason::WrongSecret);
}

#[tokio::test]
async fn r007_only_the_right_kind_channel_and_tenant_verify() {
    let fixture = fixture();
    for issued_tenant in [None, Some("red"), Some("")] {
        for channel in [Channel::Header, Channel::Cookie] {
            let options = issued_tenant
                .map_or_else(IssueOptions::default, |tenant| IssueOptions::default().tenant(tenant));
            let subject = Subject::local("ada");
            let issued = match channel {
                Channel::Header => fixture.tokens.issue_for_header(subject, options).await.unwrap(),
                Channel::Cookie => fixture.tokens.issue_for_cookie(subject, options).await.unwrap(),
            };
            let text = issued.access().expose();
            for tenant in [None, Some("red"), Some("blue"), Some("")] {
                for presented in [Channel::Header, Channel::Cookie] {
                    let credential = match presented {
                        Channel::Header => Credential::header(text, "Bearer"),
                        Channel::Cookie => Credential::cookie(text),
                    };
                    let mut attempt = Attempt::new(credential, fixture.time.clock().now());
                    if let Some(tenant) = tenant {
                        attempt = attempt.with_tenant(tenant);
                    }
                    let expected = tenant == issued_tenant && presented == channel;
                    let found = fixture.tokens.verify_attempt(&attempt).await;
                    assert_eq!(
                        found.is_ok(),
                        expected,
                        "{issued_tenant:?} {channel:?} as {tenant:?} {presented:?}"
                    );
                }
            }
        }
    }
}

/// The secret of one kind in the text of the other, with a check that fits.
#[tokio::test]
async fn r007_an_access_secret_is_no_refresh_secret_and_the_reverse() {
    let fixture = fixture();
    let issued = fixture.login().await;
    let (access, refresh) = (issued.access().expose(), issued.refresh().unwrap().expose());
    assert_eq!(fixture.verify(refresh).await, Err(Reason::Malformed));
    assert_eq!(fixture.refresh(access).await.map(|_| ()), Err(Reason::Malformed));

    let record = fixture.record(&issued.record().id()).await;
    let brand = fixture.tokens.parts.policy.brand();
    let presented = text::parse_refresh(refresh, &fixture.tokens.parts.policy.brands).unwrap();
    let as_access = text::compose_access(brand, record.id, &presented.secret);
    assert_eq!(fixture.verify(as_access.expose()).await, Err(Reason::WrongSecret));
    let presented = text::parse_access(access, &fixture.tokens.parts.policy.brands).unwrap();
    let tag = |tagged: &str| crate::token::ratchet::tag(&record.lineage, tagged);
    let as_refresh = text::compose_refresh(brand, record.id, 0, &presented.secret, tag);
    assert_eq!(fixture.refresh(as_refresh.expose()).await.map(|_| ()), Err(Reason::WrongSecret));
}

/// Refresh digests too: the lineage key is copied along, so that the tag is right and the digest alone decides.
#[tokio::test]
async fn r007_an_edited_record_refreshes_nothing() {
    let fixture = fixture();
    let issued = fixture.login().await;
    let text = refresh_text(&issued);
    let edits: [(&str, Edit); 4] = [
        ("subject", |record| record.subject = Arc::new(Subject::local("eve"))),
        ("issuer", |record| record.subject = Arc::new(Subject::of("https://evil.test", "ada"))),
        ("tenant", |record| record.extras.get_mut().tenant = Some("blue".into())),
        ("channel", |record| record.channel = Channel::Cookie),
    ];
    for rotated in [false, true] {
        if rotated {
            fixture.refresh(&text).await.unwrap();
        }
        for (what, edit) in edits {
            let mut edited = (*fixture.record(&issued.record().id()).await).clone();
            edit(&mut edited);
            let tokens = plant(&fixture, edited).await;
            let refused = tokens.refresh(RefreshRequest::new(&text, Channel::Header)).await;
            assert_eq!(reason(refused), Reason::WrongSecret, "{what}, rotated: {rotated}");
        }
    }

    let mine = fixture.login().await;
    let mut hers = (*fixture.record(&issued.record().id()).await).clone();
    let record = fixture.record(&mine.record().id()).await;
    (hers.refresh, hers.lineage, hers.generation) = (record.refresh.clone(), record.lineage.clone(), 0);
    let policy = &fixture.tokens.parts.policy;
    let presented = text::parse_refresh(&refresh_text(&mine), &policy.brands).unwrap();
    let tag = |tagged: &str| crate::token::ratchet::tag(&hers.lineage, tagged);
    let forged = text::compose_refresh(policy.brand(), hers.id, 0, &presented.secret, tag);
    let tokens = plant(&fixture, hers).await;
    let refused = tokens.refresh(RefreshRequest::new(forged.expose(), Channel::Header)).await;
    assert_eq!(reason(refused), Reason::WrongSecret);
}

/// Even with the digest of the access secret in the place of the refresh digest.
#[tokio::test]
async fn r007_a_digest_of_one_kind_proves_nothing_of_the_other() {
    let fixture = fixture();
    let issued = fixture.login().await;
    let policy = &fixture.tokens.parts.policy;
    let mut edited = (*fixture.record(&issued.record().id()).await).clone();
    edited.refresh = Some(edited.access.clone());
    let presented = text::parse_access(issued.access().expose(), &policy.brands).unwrap();
    let tag = |tagged: &str| crate::token::ratchet::tag(&edited.lineage, tagged);
    let forged = text::compose_refresh(policy.brand(), edited.id, 0, &presented.secret, tag);
    let tokens = plant(&fixture, edited).await;
    let refused = tokens.refresh(RefreshRequest::new(forged.expose(), Channel::Header)).await;
    assert_eq!(reason(refused), Reason::WrongSecret);
}

impl TokenService {
    async fn verify_attempt(&self, attempt: &Attempt<'_>) -> crate::verify::Outcome<Subject> {
        Verify::verify(self, attempt).wait().await
    }
}
