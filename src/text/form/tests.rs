use super::*;

fn brands() -> [Brand; 2] {
    ["new", "pc"].map(|text| Brand::parse(text).unwrap())
}

#[test]
fn r013_a_brand_is_one_to_sixteen_small_letters_and_digits() {
    for good in ["a", "0", "pc1", "abcdefghijklmnop"] {
        assert_eq!(Brand::parse(good).unwrap().to_string(), good);
    }
    for wrong in ["", "abcdefghijklmnopq", "A", "a_", "a-", " a", "\u{e9}"] {
        assert_eq!(Brand::parse(wrong), None, "{wrong:?}");
    }
}

#[test]
fn r013_an_id_is_seventeen_letters_and_digits() {
    assert_eq!(TokenId::parse("0123456789abcdXYZ").unwrap().as_str(), "0123456789abcdXYZ");
    for wrong in ["", "0123456789abcdXY", "0123456789abcdXYZ0", "0123456789abcdXY_", "0123456789abcdX\u{e9}"]
    {
        assert_eq!(TokenId::parse(wrong), None, "{wrong:?}");
    }
}

/// The second of two brands, of which a renewed cookie keeps the one that it has.
#[test]
fn r013_a_text_says_which_of_the_brands_it_has() {
    let (brands, id) = (brands(), TokenId::from_random(&[1; 12]));
    let secret = encode_secret(&[2; 32]);
    for (place, brand) in brands.iter().enumerate() {
        let access = compose_access(brand, id, &secret);
        assert_eq!(parse_access(access.expose(), &brands).unwrap().brand, place);
        assert!(is_access(access.expose(), &brands) && parse_refresh(access.expose(), &brands).is_none());
        let refresh = compose_refresh(brand, id, 7, &secret, |_| encode_tag(&[3; 16]));
        assert!(parse_refresh(refresh.expose(), &brands).is_some());
        assert!(!is_access(refresh.expose(), &brands));
    }
}

/// Without a look-up, a typing error is told apart from a token that is no longer known.
#[test]
fn r013_a_text_whose_check_does_not_fit_is_none() {
    let (brands, id) = (brands(), TokenId::from_random(&[1; 12]));
    let refresh = compose_refresh(&brands[1], id, 7, &encode_secret(&[2; 32]), |_| encode_tag(&[3; 16]));
    let (before, check) = refresh.expose().split_at(refresh.expose().len() - CHECK_WIDTH);
    assert_ne!(check, "000000");
    for wrong in [format!("{before}000000"), format!("{}{check}", before.replacen("000007", "000008", 1))] {
        assert!(parse_refresh(&wrong, &brands).is_none(), "{wrong}");
    }
}
