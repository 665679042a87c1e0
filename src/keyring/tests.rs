use super::*;

fn text_of(id: [u8; 4], bytes: [u8; 32]) -> Secret {
    Key { id: KeyId(id), bytes: Zeroizing::new(bytes) }.to_text()
}

#[test]
fn a_key_survives_its_text_form() {
    let key = Key::generate().unwrap();
    let text = key.to_text();
    let read = Key::parse(&text).unwrap();
    assert_eq!((read.id, *read.bytes), (key.id, *key.bytes));
    assert_eq!(text.expose().len(), 4 + 2 * 40);
}

#[test]
fn pass_phrases_repeated_bytes_and_typing_errors_are_refused() {
    for text in ["", "hunter2", "pk1_", "pk1_zz", "pk2_00"] {
        assert_eq!(Key::parse(&Secret::new(text)).unwrap_err(), KeyError::Malformed, "{text}");
    }
    assert_eq!(Key::parse(&text_of([1; 4], [7; 32])).unwrap_err(), KeyError::NotRandom);
    assert_eq!(
        Key::parse(&text_of([1; 4], *b"passwordpasswordpasswordpassword")).unwrap_err(),
        KeyError::NotRandom
    );
    let good = Key::generate().unwrap().to_text();
    let mut bent = good.expose().to_owned().into_bytes();
    bent[10] = if bent[10] == b'0' { b'1' } else { b'0' };
    let bent = Secret::new(String::from_utf8(bent).unwrap());
    assert_eq!(Key::parse(&bent).unwrap_err(), KeyError::Malformed);
    let letters = text_of([0xab; 4], std::array::from_fn(|place| 0xa0 + (place % 32) as u8));
    Key::parse(&letters).unwrap();
    for other in [
        letters.expose()[TEXT_PREFIX.len()..].to_owned(),
        letters.expose().to_uppercase().replacen("PK1_", TEXT_PREFIX, 1),
        format!("{}00", letters.expose()),
        letters.expose()[..letters.expose().len() - 2].to_owned(),
    ] {
        assert_eq!(Key::parse(&Secret::new(other)).unwrap_err(), KeyError::Malformed);
    }
}

#[test]
fn a_key_has_sixteen_different_bytes_at_least() {
    let of = |values: u8| text_of([1; 4], std::array::from_fn(|place| place as u8 % values));
    assert!(Key::parse(&of(16)).is_ok());
    assert_eq!(Key::parse(&of(15)).unwrap_err(), KeyError::NotRandom);
}

#[test]
fn sub_keys_differ_by_label_and_by_key() {
    let (a, b) = (Key::generate().unwrap(), Key::generate().unwrap());
    assert_eq!(a.sub_key("x"), a.sub_key("x"));
    assert_ne!(a.sub_key("x"), a.sub_key("y"));
    assert_ne!(a.sub_key("x"), b.sub_key("x"));
}

#[test]
fn the_ring_tells_known_retired_and_unknown_apart() {
    let (old, new, foreign) = (Key::generate().unwrap(), Key::generate().unwrap(), Key::generate().unwrap());
    let ring = KeyRing::new(new.clone()).verify_only(old.clone());
    assert_eq!(ring.standing(old.id()), Standing::Known);
    assert_eq!(ring.standing(new.id()), Standing::Known);
    assert_eq!(ring.standing(foreign.id()), Standing::Unknown);
    let ring = ring.retire(old.id());
    assert_eq!((ring.standing(old.id()), ring.standing(new.id())), (Standing::Retired, Standing::Known));
    // The key under which values are made, too.
    assert_eq!(ring.retire(new.id()).standing(new.id()), Standing::Retired);
}

#[test]
fn debug_shows_names_only() {
    let key = Key::generate().unwrap();
    let shown = format!("{:?}", KeyRing::new(key.clone()));
    let digits = data_encoding::HEXLOWER.encode(key.bytes.as_slice());
    assert!(!shown.contains(&digits[..16]) && !shown.contains("bytes"));
}
