//! `application/x-www-form-urlencoded`, read strictly.
//!
//! The usual decoders put U+FFFD where bytes are no UTF-8, and leave a broken escape as it is. Two passwords could
//! then be one.

use zeroize::Zeroizing;

use super::fields::Field;
use crate::secret::Secret;

/// The pairs in their order; `None` if an escape is broken or a text is not UTF-8.
pub(super) fn parse(form: &[u8]) -> Option<Vec<(String, Field)>> {
    form.split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &b""[..]),
            };
            let (name, value) = (decode(name)?, decode(value)?);
            let name = std::str::from_utf8(&name).ok()?.to_owned();
            Some((name, Field::Text(Secret::new(std::str::from_utf8(&value).ok()?))))
        })
        .collect()
}

fn decode(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => digit(*rest.next()?)? << 4 | digit(*rest.next()?)?,
            byte => *byte,
        });
    }
    Some(out)
}

fn digit(character: u8) -> Option<u8> {
    char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
