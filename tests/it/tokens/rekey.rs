//! New tokens for a login that goes on, and what becomes of the old ones.

use std::sync::Arc;

use portcullis::{
    TokenPolicy, TokenService,
    credential::Channel,
    event::{EventKind, RevokeReason},
    identity::Subject,
    problem::Reason,
    text::TokenId,
    token::{IssueOptions, Issued, LoginQuery},
    verify::Refusal,
};
use tokio::sync::Barrier;

use crate::support::{Fixture, Mode, fixture, fixture_with, invalid, refresh_text, secs};

/// A login that was refreshed twice: its access tokens and its refresh tokens, oldest first.
async fn lineage(fixture: &Fixture) -> (TokenId, Vec<String>, Vec<String>) {
    let first = fixture.login("ada").await;
    let (mut access, mut refresh) = (vec![first.access().expose().to_owned()], vec![refresh_text(&first)]);
    for _ in 0..2 {
        fixture.time.advance(secs(1));
        let next = fixture.refresh(refresh.last().unwrap()).await.unwrap();
        access.push(next.access().expose().to_owned());
        refresh.push(refresh_text(&next));
    }
    (first.record().id(), access, refresh)
}

/// None of them works, and presenting them changes nothing: not even the verdict "reused" is within their reach.
async fn powerless(fixture: &Fixture, id: &TokenId, access: &[String], refresh: &[String]) {
    let before = fixture.store.record(id).await;
    let (writes, incidents) = (fixture.store.writes(), fixture.events.incidents().len());
    for _ in 0..3 {
        for text in access {
            assert_eq!(fixture.verify(text).await, Err(Reason::WrongSecret));
            let out = fixture.tokens.logout(text, Channel::Header).await.unwrap();
            assert!(!out, "an old token logs nobody out");
        }
        for text in refresh {
            assert_eq!(fixture.refresh(text).await.map(|_| ()), Err(Reason::WrongTag));
        }
        fixture.time.advance(secs(20));
    }
    assert!(Arc::ptr_eq(&before, &fixture.store.record(id).await), "something was written");
    assert_eq!((fixture.store.writes(), fixture.events.incidents().len()), (writes, incidents));
}

#[tokio::test]
async fn sec_d06_rekeyed_old_tokens_are_dead_and_powerless() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        fixture.store.set(mode);
        let (id, access, refresh) = lineage(&fixture).await;
        let before = fixture.store.record(&id).await;
        fixture.time.advance(secs(3600));
        let rekeyed = fixture.tokens.rekey(&id).await.unwrap();
        assert!(!access.contains(&rekeyed.access().expose().to_owned()));
        powerless(&fixture, &id, &access, &refresh).await;

        // The login is the same one; its own lives begin anew.
        let record = rekeyed.record();
        assert_eq!((record.id(), record.generation()), (id, before.generation() + 1));
        assert_eq!(
            (record.created(), record.absolute_expires()),
            (before.created(), before.absolute_expires())
        );
        assert_eq!(rekeyed.expires_in(), Some(secs(24 * 3600)));
        assert_eq!(
            rekeyed.refresh_expires_in(),
            Some(secs(7 * 24 * 3600 - 3600 - 2)),
            "cut at the absolute end"
        );
        fixture.verify(rekeyed.access().expose()).await.unwrap();

        // It is refreshed as ever, repeats included.
        let next = fixture.refresh(&refresh_text(&rekeyed)).await.unwrap();
        let repeat = fixture.refresh(&refresh_text(&rekeyed)).await.unwrap();
        assert_eq!(next.access(), repeat.access());
        powerless(&fixture, &id, &access, &refresh).await;
        fixture.tokens.flush().await;
        assert_eq!(fixture.store.memory.len(), 1);
        assert_eq!(fixture.events.count("authz_change"), 1);
    }
}

#[tokio::test]
async fn sec_d06_a_login_without_a_refresh_token_gets_none_by_a_rekey() {
    let fixture = fixture_with(TokenPolicy::builder().refresh_ttl(None).build().unwrap());
    let login = fixture.login("ada").await;
    let rekeyed = fixture.tokens.rekey(&login.record().id()).await.unwrap();
    assert!(rekeyed.refresh().is_none() && rekeyed.refresh_expires_in().is_none());
    fixture.verify(rekeyed.access().expose()).await.unwrap();
    assert_eq!(fixture.verify(login.access().expose()).await, Err(Reason::WrongSecret));
}

#[tokio::test]
async fn sec_d06_what_has_ended_is_not_rekeyed() {
    let fixture = fixture();
    let refused = async |id: &TokenId| {
        let one = invalid(fixture.tokens.rekey(id).await).map(|_| ());
        let all = invalid(fixture.tokens.change_credentials(id).await).map(|_| ());
        assert_eq!(one, all);
        one.unwrap_err()
    };
    let nobody = TokenId::parse("00000000000000000").unwrap();
    assert_eq!(refused(&nobody).await, Reason::UnknownRecord);
    let (out, all) = (fixture.login("ada").await, fixture.login("bob").await);
    fixture.tokens.revoke(&out.record().id()).await.unwrap();
    assert_eq!(refused(&out.record().id()).await, Reason::Revoked);
    fixture.tokens.revoke_everyone().await.unwrap();
    assert_eq!(refused(&all.record().id()).await, Reason::Revoked);
    let old = fixture.login("ada").await;
    fixture.time.advance(secs(7 * 24 * 3600));
    assert_eq!(refused(&old.record().id()).await, Reason::Expired);
    let login = fixture.login("ada").await;
    fixture.store.set(Mode::NextEpoch);
    assert_eq!(refused(&login.record().id()).await, Reason::EpochChanged);

    // Trouble is trouble, and leaves the old tokens as they are.
    for mode in [Mode::Down, Mode::ReadOnly, Mode::AlwaysLate] {
        fixture.store.set(mode);
        let rekeyed = fixture.tokens.rekey(&login.record().id()).await;
        assert!(matches!(rekeyed, Err(Refusal::Unavailable(_))), "{mode:?}: {rekeyed:?}");
        fixture.store.set(Mode::Now);
        fixture.verify(login.access().expose()).await.unwrap();
    }
}

#[tokio::test]
async fn sec_d09_a_change_of_credentials_leaves_exactly_the_current_session() {
    for mode in [Mode::Now, Mode::Later] {
        let fixture = fixture();
        fixture.store.set(mode);
        let others = [fixture.login("ada").await, fixture.cookie_login("ada").await];
        let bystander = fixture.login("bob").await;
        let (id, access, refresh) = lineage(&fixture).await;
        let changed = fixture.tokens.change_credentials(&id).await.unwrap();
        assert_eq!(changed.record().id(), id);
        powerless(&fixture, &id, &access, &refresh).await;
        for other in &others {
            assert_eq!(fixture.verify(other.access().expose()).await, Err(Reason::Revoked));
            let end = fixture.store.record(&other.record().id()).await.revoked().unwrap();
            assert_eq!(end.reason(), RevokeReason::CredentialsChanged);
        }
        assert_eq!(fixture.refresh(&refresh_text(&others[0])).await.map(|_| ()), Err(Reason::Revoked));
        fixture.verify(bystander.access().expose()).await.unwrap();
        fixture.verify(changed.access().expose()).await.unwrap();
        let listed = fixture.tokens.logins(LoginQuery::of(Subject::local("ada"))).await.unwrap().logins;
        assert_eq!(listed.iter().map(|login| login.id()).collect::<Vec<_>>(), [id]);
        let next = fixture.refresh(&refresh_text(&changed)).await.unwrap();
        fixture.verify(next.access().expose()).await.unwrap();
        // A login after it is a login like any other.
        let fresh = fixture.login("ada").await;
        fixture.verify(fresh.access().expose()).await.unwrap();
    }
}

/// A refresh that has read the record before the change and writes after it.
#[tokio::test]
async fn sec_d09_a_stolen_refresh_token_does_not_survive_a_change_by_being_quick() {
    let fixture = Arc::new(fixture());
    let (stolen, current) = (fixture.login("ada").await, fixture.login("ada").await);
    fixture.store.gather(2);
    let thief = tokio::spawn({
        let (fixture, text) = (Arc::clone(&fixture), refresh_text(&stolen));
        async move { fixture.refresh(&text).await.map(|_| ()) }
    });
    let before = fixture.store.finds();
    while fixture.store.finds() == before {
        tokio::task::yield_now().await;
    }
    let elsewhere =
        TokenService::new(fixture.store.memory.clone(), TokenPolicy::default()).clock(fixture.time.clock());
    let changed = elsewhere.change_credentials(&current.record().id()).await.unwrap();
    // Lets the thief's refresh go on to its write.
    portcullis::store::TokenStore::find(&fixture.store, &stolen.record().id()).wait().await.unwrap();
    assert_eq!(thief.await.unwrap(), Err(Reason::Revoked));
    fixture.verify(changed.access().expose()).await.unwrap();
    assert!(fixture.verify(stolen.access().expose()).await.is_err());
}

#[tokio::test]
async fn sec_d09_if_the_current_session_has_ended_no_other_ends() {
    let fixture = fixture();
    let (current, other) = (fixture.login("ada").await, fixture.login("ada").await);
    fixture.tokens.revoke(&current.record().id()).await.unwrap();
    assert!(fixture.tokens.change_credentials(&current.record().id()).await.is_err());
    fixture.verify(other.access().expose()).await.unwrap();
}

/// The device list ends a login while it is rekeyed: whichever comes first, it is ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sec_d06_a_revocation_that_races_a_rekey_wins() {
    for round in 0..500 {
        let fixture = Arc::new(fixture());
        if round % 2 == 1 {
            fixture.store.set(Mode::Later);
        }
        let id = fixture.login("ada").await.record().id();
        let start = Arc::new(Barrier::new(3));
        let rekeys: Vec<_> = (0..2)
            .map(|way| {
                let (fixture, start) = (Arc::clone(&fixture), Arc::clone(&start));
                tokio::spawn(async move {
                    start.wait().await;
                    let rekeyed = match way {
                        0 => fixture.tokens.rekey(&id).await,
                        _ => fixture.tokens.change_credentials(&id).await,
                    };
                    rekeyed.ok()
                })
            })
            .collect();
        start.wait().await;
        fixture.tokens.revoke(&id).await.unwrap();
        for rekeyed in rekeys {
            if let Some(rekeyed) = rekeyed.await.unwrap() {
                assert!(fixture.verify(rekeyed.access().expose()).await.is_err());
                assert!(fixture.refresh(&refresh_text(&rekeyed)).await.is_err());
            }
        }
        assert!(fixture.store.record(&id).await.revoked().is_some());
    }
}

// ===== fixation =====

async fn anonymous(fixture: &Fixture, options: IssueOptions) -> Issued {
    fixture.tokens.issue_for_cookie(Subject::anonymous("browser-1"), options).await.unwrap()
}

/// An attacker plants his own anonymous session in the victim's browser, and waits for the victim to log in.
#[tokio::test]
async fn sec_d06_a_planted_anonymous_session_is_not_adopted_and_dies_at_the_login() {
    let fixture = fixture();
    let planted = anonymous(&fixture, IssueOptions::default().data(&"planted").label("planted")).await;
    assert_eq!(fixture.verify(planted.access().expose()).await, Err(Reason::AnonymousSession));
    let options = IssueOptions::default().replaces(planted.record().id());
    let login = fixture.tokens.issue_for_cookie(Subject::local("ada"), options).await.unwrap();
    let record = login.record();
    assert_ne!(record.id(), planted.record().id());
    assert_ne!(login.access(), planted.access());
    assert!(record.data().is_none() && record.label().is_none(), "nothing of it is taken over");
    fixture.verify(login.access().expose()).await.unwrap();
    assert_eq!(fixture.verify(planted.access().expose()).await, Err(Reason::Revoked));
    assert!(fixture.tokens.rekey(&planted.record().id()).await.is_err());
    let end = fixture.store.record(&planted.record().id()).await.revoked().unwrap();
    assert_eq!(end.reason(), RevokeReason::Superseded);
    // Who listens for ends is told of this one, with its own subject.
    let told = fixture.events.all();
    let ended: Vec<_> = told.iter().filter(|event| event.name() == "authn_token_revoked").collect();
    let [event] = &ended[..] else { panic!("{ended:?}") };
    assert!(matches!(event.kind(), EventKind::TokenRevoked { reason: RevokeReason::Superseded, .. }));
    assert_eq!(event.record(), Some(planted.record().id()));
    assert!(event.subject().is_none_or(Subject::is_anonymous));
}

#[tokio::test]
async fn sec_d06_a_chosen_id_is_never_adopted() {
    let fixture = fixture();
    let chosen = TokenId::parse("attackerschosenid").unwrap();
    let options = IssueOptions::default().replaces(chosen);
    let login = fixture.tokens.issue_for_cookie(Subject::local("ada"), options).await.unwrap();
    assert_ne!(login.record().id(), chosen);
    assert_eq!(fixture.store.memory.len(), 1);
    assert_eq!(fixture.events.count("authn_token_revoked"), 0, "nothing ended");
    // A text of the right form with that id finds nothing.
    let text = login.access().expose();
    let forged = format!("{}{}{}", &text[..4], chosen.as_str(), &text[21..]);
    assert!(fixture.verify(&forged).await.is_err());
}

#[tokio::test]
async fn r212_a_change_of_credentials_is_told_as_one_and_a_change_of_rights_as_another() {
    let fixture = fixture();
    let login = fixture.login("ada").await.record().id();
    fixture.tokens.rekey(&login).await.unwrap();
    let counts = || (fixture.events.count("authz_change"), fixture.events.count("authn_password_change"));
    assert_eq!(counts(), (1, 0));
    fixture.tokens.change_credentials(&login).await.unwrap();
    assert_eq!(counts(), (1, 1));
    let event = fixture.events.all().pop().unwrap();
    assert_eq!((event.name(), event.record()), ("authn_password_change", Some(login)));
    assert_eq!(event.subject().map(|subject| subject.id()), Some("ada"));
}
