//! An API key as a hash.
//!
//! | field | column | field | column |
//! |---|---|---|---|
//! | `f` | the format | `k` | the owner's key |
//! | `i`, `u` | issuer and id of the owner | `kd` | kind |
//! | `tn` | tenant | `sc` | scope |
//! | `lb` | label | `cx`, `v` | context, version |
//! | `h` | digest | `c`, `s` | created, last used |
//! | `x` | end | `wa`, `wr` | when and why revoked |

use redis::ScriptInvocation;

use super::fields::{Fields, put, put_if, put_number};
use crate::{
    store::{KeyRecord, StoreError},
    text::TokenId,
};

/// All fields but the owner's key, which the insertion itself writes.
pub(super) fn write(step: &mut ScriptInvocation<'_>, key: &KeyRecord) {
    put_number(step, "f", i64::from(KeyRecord::FORMAT));
    put(step, "id", key.id.as_bytes());
    put(step, "i", key.owner.issuer().to_name().as_bytes());
    put(step, "u", key.owner.id());
    put(step, "kd", &*key.kind);
    put_if(step, "tn", key.tenant.as_deref());
    put_if(step, "sc", key.scope.as_deref().map(ToString::to_string));
    put_if(step, "lb", key.label.as_deref());
    put(step, "cx", key.context.as_json());
    put_number(step, "v", key.version.cast_signed());
    put(step, "h", key.digest.to_bytes());
    put_number(step, "c", key.created.as_millis());
    put_number(step, "s", key.last_used.as_millis());
    put_number(step, "x", key.expires.as_millis());
    if let Some(revocation) = key.revoked {
        put_number(step, "wa", revocation.at().as_millis());
        put(step, "wr", revocation.reason().as_str());
    }
}

/// What [`write`] wrote, and what changed since.
pub(super) fn read(mut row: Fields) -> Result<KeyRecord, StoreError> {
    if row.number::<u16>("f")? != KeyRecord::FORMAT {
        return Err(StoreError::damaged("format"));
    }
    let id = row.text("id")?.and_then(|id| TokenId::parse(&id)).ok_or_else(|| StoreError::damaged("id"))?;
    let kind = row.text("kd")?.ok_or_else(|| StoreError::damaged("kd"))?;
    let digest = row.digest("h")?.ok_or_else(|| StoreError::damaged("h"))?;
    let mut key = KeyRecord::new(id, row.subject()?, kind, digest, row.moment("c")?);
    key.tenant = row.shared_text("tn")?;
    key.scope = row.scope()?;
    key.label = row.shared_text("lb")?;
    key.context = row.context()?;
    key.version = row.wide("v")?;
    key.last_used = row.moment("s")?;
    key.expires = row.moment("x")?;
    key.revoked = row.revocation()?;
    Ok(key)
}
