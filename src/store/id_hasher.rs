//! How tables find a login by its id.

use std::hash::Hasher;

/// Ids are random text already: two multiplications mix them.
#[derive(Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (Some(head), Some(tail)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) else {
            return;
        };
        // The one character between the two words.
        let middle = u64::from(bytes[bytes.len() / 2]).wrapping_mul(0xA076_1D64_78BD_642F);
        let head = (u64::from_le_bytes(*head) ^ 0x9E37_79B9_7F4A_7C15).wrapping_add(middle);
        let tail = u64::from_le_bytes(*tail) ^ 0xD1B5_4A32_D192_ED03;
        let product = u128::from(head) * u128::from(tail);
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }

    /// The length prefix of an array: always the same.
    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
