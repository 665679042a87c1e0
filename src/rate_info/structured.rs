//! Lists of structured fields (RFC 9651 §4.2), as far as rate limits need them: items with parameters.
//!
//! An error anywhere makes the whole list none, as the RFC has it.

/// One item and its parameters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item<'a> {
    pub(super) value: Value,
    params: Vec<(&'a str, Value)>,
}

/// A bare item. Types that no rate limit uses are checked, and not kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    Integer(i64),
    /// A string or a token.
    Text(String),
    Other,
}

/// The items of a list; `None` if it is malformed, or holds an inner list.
pub(super) fn list(text: &str) -> Option<Vec<Item<'_>>> {
    let mut rest = Rest(text.trim_matches(' '));
    let mut items = Vec::new();
    loop {
        items.push(rest.item()?);
        rest.skip(|byte| byte == b' ' || byte == b'\t');
        if rest.0.is_empty() {
            return Some(items);
        }
        rest.expect(b',')?;
        rest.skip(|byte| byte == b' ' || byte == b'\t');
    }
}

// ===== impl Item =====

impl Item<'_> {
    /// The last one of this name counts.
    fn param(&self, name: &str) -> Option<&Value> {
        self.params.iter().rev().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// A parameter that is an integer and not negative.
    pub(super) fn count(&self, name: &str) -> Option<u64> {
        self.param(name).and_then(Value::count)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.param(name)? {
            Value::Text(text) => Some(text),
            Value::Integer(_) | Value::Other => None,
        }
    }
}

// ===== impl Value =====

impl Value {
    pub(super) fn count(&self) -> Option<u64> {
        match self {
            Self::Integer(value) => (*value).try_into().ok(),
            Self::Text(_) | Self::Other => None,
        }
    }
}

/// What is still to be read.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn item(&mut self) -> Option<Item<'a>> {
        let value = self.bare()?;
        let mut params = Vec::new();
        while self.expect(b';').is_some() {
            self.skip(|byte| byte == b' ');
            let key = self.key()?;
            // A name alone is true.
            let value = if self.expect(b'=').is_some() { self.bare()? } else { Value::Other };
            params.push((key, value));
        }
        Some(Item { value, params })
    }

    fn bare(&mut self) -> Option<Value> {
        match self.peek()? {
            b'"' => self.string().map(Value::Text),
            b'-' | b'0'..=b'9' => self.number(),
            b'*' | b'A'..=b'Z' | b'a'..=b'z' => {
                let token =
                    self.take(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte));
                Some(Value::Text(token.to_owned()))
            }
            b':' => {
                self.expect(b':')?;
                self.take(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
                self.expect(b':').map(|()| Value::Other)
            }
            b'?' => {
                self.expect(b'?')?;
                self.expect(b'0').or_else(|| self.expect(b'1')).map(|()| Value::Other)
            }
            _ => None,
        }
    }

    fn key(&mut self) -> Option<&'a str> {
        let starts = self.peek().is_some_and(|byte| byte == b'*' || byte.is_ascii_lowercase());
        let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte);
        starts.then(|| self.take(rest))
    }

    fn string(&mut self) -> Option<String> {
        self.expect(b'"')?;
        let mut text = String::new();
        let mut bytes = self.0.bytes().enumerate();
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'"' => {
                    self.0 = &self.0[at + 1..];
                    return Some(text);
                }
                b'\\' => {
                    let (_, escaped) = bytes.next()?;
                    matches!(escaped, b'"' | b'\\').then(|| text.push(char::from(escaped)))?;
                }
                b' '..=b'~' => text.push(char::from(byte)),
                _ => return None,
            }
        }
        None
    }

    /// At most 15 digits are an integer; with a point between digits it is a decimal, which counts nothing.
    fn number(&mut self) -> Option<Value> {
        let negative = self.expect(b'-').is_some();
        let digits = self.take(|byte| byte.is_ascii_digit());
        let fits = (1..=15).contains(&digits.len());
        if self.expect(b'.').is_some() {
            let fraction = self.take(|byte| byte.is_ascii_digit());
            return (digits.len() <= 12 && fits && (1..=3).contains(&fraction.len())).then_some(Value::Other);
        }
        let value: i64 = fits.then(|| digits.parse().ok())??;
        Some(Value::Integer(if negative { -value } else { value }))
    }

    fn peek(&self) -> Option<u8> {
        self.0.bytes().next()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.0 = self.0.strip_prefix(char::from(byte))?;
        Some(())
    }

    fn skip(&mut self, which: impl Fn(u8) -> bool) {
        self.take(which);
    }

    /// `which` accepts only ASCII.
    fn take(&mut self, which: impl Fn(u8) -> bool) -> &'a str {
        let end = self.0.bytes().position(|byte| !which(byte)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }
}
