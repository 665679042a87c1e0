//! Rights as types.

use portcullis::{
    Auth,
    identity::Subject,
    inbound::{Any, Denied, Not, Permission, Policy},
};

use super::{caller, missing};
use crate::support::fixture;

pub(super) struct Reads;
pub(super) struct Writes;
struct Everybody;
pub(super) struct Nobody;

/// Needs another scope at night; it alone writes `check`.
struct Daytime;

impl Permission for Reads {
    type Identity = Subject;
    const SCOPE: Option<&'static str> = Some("orders:read");

    fn granted(auth: &Auth<Subject>) -> bool {
        auth.scope().is_none_or(|scope| scope.contains("orders:read"))
    }
}

impl Permission for Writes {
    type Identity = Subject;
    const SCOPE: Option<&'static str> = Some("orders:write");

    fn granted(auth: &Auth<Subject>) -> bool {
        auth.scope().is_none_or(|scope| scope.contains("orders:write"))
    }
}

impl Permission for Everybody {
    type Identity = Subject;

    fn granted(_: &Auth<Subject>) -> bool {
        true
    }
}

impl Permission for Nobody {
    type Identity = Subject;

    fn granted(_: &Auth<Subject>) -> bool {
        false
    }
}

impl Permission for Daytime {
    type Identity = Subject;

    fn granted(auth: &Auth<Subject>) -> bool {
        Self::check(auth).is_ok()
    }

    fn check(auth: &Auth<Subject>) -> Result<(), Denied> {
        Err(Denied::needs(format!("night:{}", auth.user().id())))
    }
}

#[tokio::test]
async fn r032_rights_that_are_types_combine() {
    let fixture = fixture();
    let auth = caller(&fixture, Some("orders:read"), &[]).await;
    let denied = |scope: &str| Err(scope.to_owned());
    for (policy, expected) in [
        (Policy::of::<(Everybody, Reads)>(), Ok(())),
        (Policy::of::<(Reads, Writes)>(), denied("orders:write")),
        (Policy::of::<(Writes, Nobody)>(), denied("orders:write")),
        (Policy::of::<(Nobody, Writes)>(), denied("")),
        (Policy::of::<(Everybody, Reads, Everybody)>(), Ok(())),
        (Policy::of::<(Everybody, Reads, Nobody)>(), denied("")),
        (Policy::of::<(Everybody, Reads, Everybody, Reads)>(), Ok(())),
        (Policy::of::<(Everybody, Reads, Everybody, Writes)>(), denied("orders:write")),
        (Policy::of::<Any<(Nobody, Reads)>>(), Ok(())),
        (Policy::of::<Any<(Nobody, Writes)>>(), denied("orders:write")),
        (Policy::of::<Any<(Writes, Daytime)>>(), denied("orders:write")),
        (Policy::of::<Any<(Nobody, Daytime, Writes)>>(), denied("night:ada")),
        (Policy::of::<Any<(Nobody, Writes, Everybody)>>(), Ok(())),
        (Policy::of::<Any<(Nobody, Nobody, Nobody, Reads)>>(), Ok(())),
        (Policy::of::<Any<(Nobody, Nobody, Nobody, Nobody)>>(), denied("")),
        (Policy::of::<Not<Nobody>>(), Ok(())),
        (Policy::of::<Not<Everybody>>(), denied("")),
        (Policy::of::<Not<(Reads, Writes)>>(), Ok(())),
        (Policy::of::<Not<Any<(Reads, Writes)>>>(), denied("")),
        (Policy::of::<(Any<(Nobody, Reads)>, Not<Writes>)>(), Ok(())),
    ] {
        assert_eq!(missing(&policy, &auth), expected);
    }
    assert!(<(Everybody, Reads)>::granted(&auth) && !<(Everybody, Writes)>::granted(&auth));
    assert!(<Any<(Writes, Reads)>>::granted(&auth) && !<Any<(Writes, Nobody)>>::granted(&auth));
}
