//! Fixed-width base62, left-padded with `0`.

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Writes the big-endian number in `bytes` with `W` digits. `W` must be wide enough: 17 for 12 bytes, 22 for
/// 16, 43 for 32.
pub(super) fn encode<const W: usize>(bytes: &[u8]) -> [u8; W] {
    let mut limbs = [0_u32; 8];
    let count = bytes.len() / 4;
    debug_assert!(bytes.len().is_multiple_of(4) && count <= limbs.len());
    for (limb, chunk) in limbs.iter_mut().zip(bytes.chunks_exact(4)) {
        *limb = u32::from_be_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]);
    }
    let mut out = [b'0'; W];
    for digit in out.iter_mut().rev() {
        let mut rest = 0_u64;
        for limb in &mut limbs[..count] {
            let value = (rest << 32) | u64::from(*limb);
            // Both fit: the quotient of a number below 62 · 2³² is below 2³², the remainder below 62.
            *limb = (value / 62) as u32;
            rest = value % 62;
        }
        *digit = DIGITS[rest as usize];
    }
    debug_assert!(limbs.iter().all(|limb| *limb == 0), "width too small");
    zeroize::Zeroize::zeroize(&mut limbs);
    out
}

pub(super) fn encode_u32(mut number: u32) -> [u8; 6] {
    let mut out = [b'0'; 6];
    for digit in out.iter_mut().rev() {
        *digit = DIGITS[(number % 62) as usize];
        number /= 62;
    }
    out
}

/// The only decoder: a generation. `None` for another character and for a number above `u32::MAX`.
pub(super) fn decode_u32(text: &[u8; 6]) -> Option<u32> {
    let mut number = 0_u64;
    for byte in text {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'Z' => byte - b'A' + 10,
            b'a'..=b'z' => byte - b'a' + 36,
            _ => return None,
        };
        number = number * 62 + u64::from(digit);
    }
    u32::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_values_fit_their_widths() {
        // 0xFF × 12 is 2^96 - 1 and needs 17 digits; 0xFF × 32 is 2^256 - 1 and needs 43.
        assert_eq!(&encode::<17>(&[0xFF; 12]), b"1f2SI9UJPXvb7vdJ1");
        assert_ne!(encode::<43>(&[0xFF; 32])[0], b'0');
        assert_ne!(encode::<22>(&[0xFF; 16])[0], b'0');
        assert_eq!(&encode::<17>(&[0; 12]), &[b'0'; 17]);
        assert_eq!(&encode_u32(u32::MAX), b"4gfFC3");
    }

    #[test]
    fn numbers_below_the_base_are_single_digits() {
        let mut twelve = [0; 12];
        for (value, digit) in DIGITS.iter().enumerate() {
            twelve[11] = u8::try_from(value).unwrap();
            assert_eq!(encode::<17>(&twelve)[16], *digit);
            assert_eq!(encode_u32(u32::try_from(value).unwrap())[5], *digit);
        }
    }

    #[test]
    fn a_generation_has_one_text() {
        for number in [0, 1, 61, 62, 3843, 3844, u32::MAX - 1, u32::MAX] {
            assert_eq!(decode_u32(&encode_u32(number)), Some(number));
        }
        // 62^6 is 13 times 2^32: a decoder that wraps would accept several texts.
        assert_eq!(decode_u32(b"4gfFC4"), None);
        assert_eq!(decode_u32(b"zzzzzz"), None);
        assert_eq!(decode_u32(b"00000_"), None);
        assert_eq!(decode_u32(b"+00001"), None);
    }
}
