//! What a copy of the engine shows.

use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use serde_json::json;

use super::{super::run::Lacking, bench::Bench};
use crate::{
    credential::Channel,
    identity::Subject,
    scope::Scope,
    token::{IssueOptions, Issued, RefreshRequest, TokenPolicy, TokenService},
};

/// The characters of an access token's secret, and of a refresh token's: behind brand, kind and id, and of the latter
/// behind its generation, too.
fn secret(text: &str, generation: usize) -> &str {
    let from = text.find('_').unwrap() + 2 + 17 + generation;
    &text[from..from + 43]
}

/// The 32 bytes that were drawn for it.
fn drawn(secret: &str) -> [u8; 32] {
    let mut number = [0_u8; 32];
    for digit in secret.bytes() {
        let mut carry = match digit {
            b'0'..=b'9' => u32::from(digit - b'0'),
            b'A'..=b'Z' => u32::from(digit - b'A') + 10,
            _ => u32::from(digit - b'a') + 36,
        };
        for byte in number.iter_mut().rev() {
            carry += u32::from(*byte) * 62;
            *byte = (carry & 255) as u8;
            carry >>= 8;
        }
    }
    number
}

fn holds(dump: &[u8], part: &[u8]) -> bool {
    dump.windows(part.len()).any(|window| window == part)
}

pub(super) async fn sec_d02_no_secret_is_in_a_copy_of_the_engine(bench: &Bench) -> Result<(), Lacking> {
    let Some(dump) = &bench.dump else {
        return Err(Lacking("a dump of the engine"));
    };
    let tokens = &bench.tokens;
    let mut issued = Vec::new();
    let options = IssueOptions::default()
        .tenant("red")
        .client("app")
        .scope(Scope::parse("read").unwrap())
        .data(&json!({"cart": [1]}));
    let service = TokenService::over(bench.one.clone(), TokenPolicy::default());
    for options in [IssueOptions::default(), options.clone(), options.browser_session()] {
        issued.push(service.issue_for_header(Subject::local("ada"), options.clone()).await.unwrap());
        issued.push(service.issue_for_cookie(Subject::local("sown-subject"), options).await.unwrap());
    }
    let login = bench.login("ada").await;
    let refresh = async |last: &Issued| {
        let text = last.refresh().unwrap().expose();
        tokens.refresh(RefreshRequest::new(text, Channel::Header)).await.unwrap()
    };
    let second = refresh(&login.issued).await;
    tokens.verify(second.access().expose(), None).await.unwrap();
    let third = refresh(&second).await;
    let rekeyed = tokens.rekey(&login.id()).await.unwrap();
    let last = refresh(&rekeyed).await;
    tokens.revoke(&issued[0].record().id()).await.unwrap();
    issued.extend([login.issued.clone(), second, third, rekeyed, last]);

    let dump = dump().await;
    assert!(holds(&dump, b"sown-subject"), "the search finds what is there");
    assert!(holds(&dump, login.id().as_bytes()), "the search finds what is there");
    let texts = issued.iter().flat_map(|issued| {
        let refresh = issued.refresh().map(|text| (text.expose(), 6));
        [(issued.access().expose(), 0)].into_iter().chain(refresh)
    });
    for (text, generation) in texts {
        let secret = secret(text, generation);
        for part in [text.as_bytes(), secret.as_bytes(), &drawn(secret)] {
            assert!(!holds(&dump, part), "a secret as it is");
            for encoding in [HEXLOWER, HEXUPPER, BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD] {
                assert!(!holds(&dump, encoding.encode(part).as_bytes()), "a secret, encoded");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::encode_secret;

    #[test]
    fn the_bytes_of_a_secret_are_found_again() {
        for bytes in [[0; 32], [255; 32], std::array::from_fn(|place| place as u8 * 7)] {
            let text = encode_secret(&bytes);
            assert_eq!(drawn(std::str::from_utf8(&*text).unwrap()), bytes);
        }
    }
}
