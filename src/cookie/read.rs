//! Reading the cookie from a request, and seeing whether a response already writes it.

use http::{HeaderMap, HeaderValue, header};

use super::{CookieError, CookieSettings};

/// Whose cookie a pair is.
enum Owner {
    Ours,
    /// The name differs from ours in the case of its prefix only.
    LookAlike,
}

impl CookieSettings {
    /// The value in the request's `Cookie` headers, or `None`; an empty value counts as absent.
    ///
    /// Browsers hold a prefix to its promise in any case (RFC 6265bis §5.4), servers know it in one (§4.1.3).
    /// So `__HOST-token` is not ours; beside ours it is refused, because somebody in front of us may read it
    /// as ours.
    ///
    /// # Errors
    /// [`CookieError::Duplicate`] if the name comes twice, or once more with its prefix in another case: any
    /// rule for choosing one is a rule somebody else does not share. [`CookieError::InvalidValue`] if the value
    /// is not visible ASCII.
    pub fn read<'a>(&self, headers: &'a HeaderMap) -> Result<Option<&'a str>, CookieError> {
        let mut found: Option<&[u8]> = None;
        let (mut look_alike, mut twice) = (false, false);
        for header in headers.get_all(header::COOKIE) {
            for pair in header.as_bytes().split(|byte| *byte == b';') {
                match self.owner(pair.trim_ascii()) {
                    None => {}
                    Some((Owner::LookAlike, _)) => look_alike = true,
                    Some((Owner::Ours, value)) => twice |= found.replace(value).is_some(),
                }
            }
        }
        match found {
            Some(_) if look_alike || twice => Err(CookieError::Duplicate),
            None | Some([]) => Ok(None),
            Some(value) if value.iter().all(u8::is_ascii_graphic) => {
                Ok(Some(std::str::from_utf8(value).expect("visible ASCII is UTF-8")))
            }
            Some(_) => Err(CookieError::InvalidValue),
        }
    }

    /// Whether a `Set-Cookie` among these headers writes or removes the cookie, so that nothing that comes
    /// later may undo it.
    pub(crate) fn is_set_by(&self, headers: &HeaderMap) -> bool {
        headers.get_all(header::SET_COOKIE).iter().any(|line| self.is_set_in(line))
    }

    /// Adds a `Set-Cookie` of this cookie in the place of all others among these headers.
    pub(crate) fn put(&self, headers: &mut HeaderMap, line: HeaderValue) {
        if self.is_set_by(headers) {
            let lines: Vec<_> = headers.get_all(header::SET_COOKIE).iter().cloned().collect();
            headers.remove(header::SET_COOKIE);
            for other in lines.into_iter().filter(|line| !self.is_set_in(line)) {
                headers.append(header::SET_COOKIE, other);
            }
        }
        headers.append(header::SET_COOKIE, line);
    }

    fn is_set_in(&self, line: &HeaderValue) -> bool {
        let pair = line.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        self.owner(pair.trim_ascii()).is_some()
    }

    /// The pair's value, if the name is ours but for the case of its prefix.
    fn owner<'a>(&self, pair: &'a [u8]) -> Option<(Owner, &'a [u8])> {
        let (name, rest) = pair.split_at_checked(self.name.len())?;
        let (prefix, bare) = name.split_at(self.prefix_len);
        let (our_prefix, our_bare) = self.name.as_bytes().split_at(self.prefix_len);
        if bare != our_bare || !prefix.eq_ignore_ascii_case(our_prefix) {
            return None;
        }
        let value = rest.trim_ascii_start().strip_prefix(b"=")?.trim_ascii();
        Some((if prefix == our_prefix { Owner::Ours } else { Owner::LookAlike }, value))
    }
}
