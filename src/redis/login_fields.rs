//! A login as a hash. The names are short: the server keeps them with each login.
//!
//! | field | column | field | column |
//! |---|---|---|---|
//! | `f` | the format | `k` | the subject's key |
//! | `i`, `u` | issuer and id of the subject | `ch` | channel |
//! | `bs` | browser session | `tn` | tenant |
//! | `cl` | client | `jk` | key thumbprint |
//! | `sc` | scope | `lb` | label |
//! | `cx` | context | `d`, `v` | data and its version |
//! | `a`, `r`, `p` | access, refresh, previous | `n`, `l` | nonce, lineage |
//! | `g` | generation | `gh` | grace hits |
//! | `ra`, `ca` | rotated, confirmed | `c`, `s` | created, last seen |
//! | `at`, `rt` | lives of access and refresh | `ae`, `re`, `xe` | ends of access, refresh, all |
//! | `e` | epoch | `wa`, `wr` | when and why revoked |

use std::sync::Arc;

use redis::{ScriptInvocation, Value};

use super::fields::{Fields, number, parts, put, put_if, put_number};
use crate::{
    credential::Channel,
    secret::SecretBytes,
    store::{Data, Epoch, Found, Life, LoginColumns, LoginRecord, StoreError},
    text::TokenId,
};

/// All fields but the subject's key and the epoch, which the insertion itself writes. The format is the first.
pub(super) fn write(step: &mut ScriptInvocation<'_>, login: &LoginColumns) {
    put_number(step, "f", i64::from(LoginRecord::FORMAT));
    put(step, "id", login.id.as_bytes());
    put(step, "i", login.subject.issuer().to_name().as_bytes());
    put(step, "u", login.subject.id());
    put(step, "ch", login.channel.as_str());
    put_if(step, "bs", login.browser_session.then_some("1"));
    put_if(step, "tn", login.tenant.as_deref());
    put_if(step, "cl", login.client.as_deref());
    put_if(step, "jk", login.key_thumbprint.as_deref());
    put_if(step, "sc", login.scope.as_deref().map(ToString::to_string));
    put_if(step, "lb", login.label.as_deref());
    put_if(step, "cx", Some(login.context.as_json()).filter(|json| *json != "{}"));
    put_if(step, "d", login.data.as_json());
    put_number(step, "v", login.version.cast_signed());
    put(step, "a", login.access.to_bytes());
    put_if(step, "r", login.refresh.as_ref().map(|digest| digest.to_bytes()));
    put_if(step, "p", login.previous.as_ref().map(|digest| digest.to_bytes()));
    put_if(step, "n", login.nonce.as_ref().map(SecretBytes::expose));
    put(step, "l", login.lineage.expose());
    put_number(step, "g", login.generation.into());
    put_number(step, "ra", login.rotated_at.as_millis());
    put_number(step, "ca", login.confirmed_at.as_millis());
    put_number(step, "gh", login.grace_hits.into());
    put_number(step, "c", login.created.as_millis());
    put_number(step, "s", login.last_seen.as_millis());
    put_number(step, "at", login.access_ttl.as_millis());
    put_number(step, "rt", login.refresh_ttl.as_millis());
    put_number(step, "ae", login.access_expires.as_millis());
    put_number(step, "re", login.refresh_expires.as_millis());
    put_number(step, "xe", login.absolute_expires.as_millis());
    if let Some(revocation) = login.revoked {
        put_number(step, "wa", revocation.at().as_millis());
        put(step, "wr", revocation.reason().as_str());
    }
}

/// What [`write`] wrote, and what changed since.
pub(super) fn read(value: Value) -> Result<LoginRecord, StoreError> {
    let mut row = Fields::of(value)?;
    if row.number::<u16>("f")? != LoginRecord::FORMAT {
        return Err(StoreError::damaged("format"));
    }
    let id = row.text("id")?.and_then(|id| TokenId::parse(&id)).ok_or_else(|| StoreError::damaged("id"))?;
    let channel = row.text("ch")?.and_then(|name| Channel::from_name(&name));
    let channel = channel.ok_or_else(|| StoreError::damaged("ch"))?;
    let access = row.digest("a")?.ok_or_else(|| StoreError::damaged("a"))?;
    let lineage = secret(&row.need("l")?, "l")?;
    let mut login = LoginColumns::new(id, row.subject()?, channel, access, lineage, row.moment("c")?);
    login.browser_session = row.take("bs").is_some();
    login.tenant = row.shared_text("tn")?;
    login.client = row.shared_text("cl")?;
    login.key_thumbprint = row.shared_text("jk")?;
    login.scope = row.scope()?;
    login.label = row.shared_text("lb")?;
    login.context = row.context()?;
    let data = row.text("d")?.map(|text| Data::from_json(&text)).transpose();
    login.data = data.map_err(|_says_nothing_more| StoreError::damaged("d"))?.unwrap_or_default();
    login.version = row.wide("v")?;
    login.refresh = row.digest("r")?;
    login.previous = row.digest("p")?;
    login.nonce = row.take("n").map(|bytes| secret(&bytes, "n")).transpose()?;
    login.generation = row.number("g")?;
    login.rotated_at = row.moment("ra")?;
    login.confirmed_at = row.moment("ca")?;
    login.grace_hits = row.number("gh")?;
    login.last_seen = row.moment("s")?;
    login.access_ttl = Life::from_millis(row.number("at")?);
    login.refresh_ttl = Life::from_millis(row.number("rt")?);
    login.access_expires = row.moment("ae")?;
    login.refresh_expires = row.moment("re")?;
    login.absolute_expires = row.moment("xe")?;
    login.epoch = Epoch::from_number(row.wide("e")?);
    login.revoked = row.revocation()?;
    Ok(login.into())
}

/// A login, the epoch of its subject and the era in which it was raised, and the era of today.
pub(super) fn read_found(value: Value) -> Result<Found, StoreError> {
    let [login, epoch, raised_in, era] = parts(value)?;
    let epoch = match (epoch, era) {
        (Value::BulkString(epoch), Value::BulkString(era)) => {
            let epoch = read_epoch(&epoch)?;
            // Everybody's were raised since.
            let is_current = matches!(raised_in, Value::BulkString(raised_in) if raised_in == era);
            Some(if is_current { epoch } else { epoch.next() })
        }
        // One of them was lost: nothing says any more that the login has not ended.
        _ => None,
    };
    Ok(Found::new(Arc::new(read(login)?), epoch))
}

pub(super) fn read_epoch(bytes: &[u8]) -> Result<Epoch, StoreError> {
    let number = number(bytes).map(i64::cast_unsigned).ok_or_else(|| StoreError::damaged("epoch"))?;
    Ok(Epoch::from_number(number))
}

fn secret(bytes: &[u8], column: &'static str) -> Result<SecretBytes, StoreError> {
    let bytes: [u8; 32] = bytes.try_into().map_err(|_of_another_length| StoreError::damaged(column))?;
    Ok(SecretBytes::new(bytes))
}
