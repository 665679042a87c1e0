//! A layer that knows tenants.

use std::sync::Arc;

use portcullis::{identity::Subject, inbound::AuthLayerBuilder, problem::Reason, token::IssueOptions};

use super::MODES;
use crate::support::{Fixture, ask, bearer, fixture, request};

fn by_host(fixture: &Fixture) -> AuthLayerBuilder<Subject> {
    fixture.layer().cookie("token").tenant(|head| {
        let host = head.headers().get("host")?.to_str().ok()?;
        host.strip_suffix(".shop.test").map(str::to_owned)
    })
}

#[tokio::test]
async fn sec_i08_a_token_of_one_tenant_is_invalid_at_another() {
    for mode in MODES {
        let fixture = fixture();
        fixture.store.set(mode);
        let login = async |tenant: Option<&str>| {
            let options = IssueOptions::default();
            let options = match tenant {
                Some(tenant) => options.tenant(tenant),
                None => options,
            };
            fixture.tokens.issue_for_header(Subject::local("ada"), options).await.unwrap()
        };
        let logins = [
            (Some("a"), login(Some("a")).await),
            (Some("b"), login(Some("b")).await),
            (None, login(None).await),
        ];
        for (tenant, issued) in &logins {
            let (name, good) = bearer(issued.access().expose());
            for (host, at) in [("a.shop.test", Some("a")), ("b.shop.test", Some("b")), ("shop.test", None)] {
                let answer = ask(by_host(&fixture), request(&[(&name, &good), ("host", host)])).await;
                if *tenant == at {
                    assert_eq!(answer.body, "ada header Bearer", "{tenant:?} at {at:?}");
                } else {
                    assert_eq!((answer.status.as_u16(), answer.reason()), (401, Some(Reason::WrongTenant)));
                    assert_eq!(answer.code(), "invalid_token");
                }
            }
            // A service without tenants knows logins without tenants.
            let single = ask(fixture.layer(), request(&[(&name, &good), ("host", "a.shop.test")])).await;
            assert_eq!(single.status.is_success(), tenant.is_none(), "{tenant:?}");
        }
    }
}

#[tokio::test]
async fn sec_i08_the_tenant_may_come_from_a_layer_outside() {
    let fixture = fixture();
    let issued = fixture
        .tokens
        .issue_for_header(Subject::local("ada"), IssueOptions::default().tenant("a"))
        .await
        .unwrap();
    let (name, good) = bearer(issued.access().expose());
    let layer = || fixture.layer().tenant(|head| head.extensions().get::<Arc<str>>().cloned());
    for (tenant, status) in [("a", 200), ("b", 401)] {
        let mut request = request(&[(&name, &good)]);
        request.extensions_mut().insert(Arc::<str>::from(tenant));
        assert_eq!(ask(layer(), request).await.status, status);
    }
}
