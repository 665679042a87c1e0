//! The one encoding of a list of fields before it is hashed.

use zeroize::Zeroizing;

/// `"portcullis/v1/" label 0x00`, then for each field `0x00` if it is absent, else `0x01`, its length as a
/// big-endian `u32`, its bytes. Numbers are eight bytes, big-endian.
///
/// Two different lists under one label never have the same encoding: that is what keeps a digest of one thing
/// from being the digest of another. Wiped on drop, because secrets pass through it.
pub(crate) struct Canonical(Zeroizing<Vec<u8>>);

impl Canonical {
    pub(crate) fn new(label: &'static str) -> Self {
        // Room for every use in the crate, so that no grown-out buffer is left behind unwiped.
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(b"portcullis/v1/");
        bytes.extend_from_slice(label.as_bytes());
        bytes.push(0);
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn bytes(mut self, field: &[u8]) -> Self {
        // A field of 4 GiB cannot come here: every input is bounded far below.
        let length = u32::try_from(field.len()).expect("fields are shorter than 4 GiB");
        self.0.push(1);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(field);
        self
    }

    pub(crate) fn optional(mut self, field: Option<&[u8]>) -> Self {
        match field {
            Some(field) => self.bytes(field),
            None => {
                self.0.push(0);
                self
            }
        }
    }

    pub(crate) fn number(self, number: u64) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Fields {
        kind: String,
        tenant: Option<String>,
        channel: String,
        generation: u64,
    }

    fn fields() -> impl Strategy<Value = Fields> {
        let text = prop_oneof![Just(String::new()), "[\0a\x01]{0,6}", "1|12|\0\0\0\u{1}"];
        let tenant = prop_oneof![Just(None), text.clone().prop_map(Some)];
        let generation = prop_oneof![Just(1), Just(12), Just(256), any::<u64>()];
        (text.clone(), tenant, text, generation).prop_map(|(kind, tenant, channel, generation)| Fields {
            kind,
            tenant,
            channel,
            generation,
        })
    }

    fn encode(fields: &Fields) -> Vec<u8> {
        Canonical::new("test")
            .bytes(fields.kind.as_bytes())
            .optional(fields.tenant.as_ref().map(String::as_bytes))
            .bytes(fields.channel.as_bytes())
            .number(fields.generation)
            .as_slice()
            .to_vec()
    }

    proptest! {
        #[test]
        fn different_fields_have_different_encodings(a in fields(), b in fields()) {
            prop_assert_eq!(encode(&a) == encode(&b), a == b);
        }

        /// The same characters, divided among the fields in another way.
        #[test]
        fn moving_a_border_between_fields_changes_the_encoding(text in "[\0\u{1}a]{1,12}", cuts in (0..12_usize, 0..12_usize)) {
            let (one, two) = (cuts.0.min(text.len()), cuts.1.min(text.len()));
            let divided = |cut: usize| Canonical::new("test").bytes(&text.as_bytes()[..cut]).bytes(&text.as_bytes()[cut..]);
            prop_assert_eq!(divided(one).as_slice() == divided(two).as_slice(), one == two);
        }
    }

    #[test]
    fn absent_and_empty_differ() {
        let absent = Canonical::new("test").optional(None);
        let empty = Canonical::new("test").optional(Some(b""));
        assert_ne!(absent.as_slice(), empty.as_slice());
    }

    #[test]
    fn the_layout_is_fixed_for_ever() {
        let encoded = Canonical::new("x").bytes(b"ab").optional(None).number(1);
        assert_eq!(
            encoded.as_slice(),
            b"portcullis/v1/x\0\x01\0\0\0\x02ab\0\x01\0\0\0\x08\0\0\0\0\0\0\0\x01"
        );
    }
}
