//! What is stored and what is handed out, byte for byte. Another label, order or width would log everybody out, and no
//! other test would notice, because each makes its tokens with the same code.
//!
//! The literals were computed by `golden.py` beside this file: SHA-2, HMAC and CRC-32 of Python's own library, put
//! together anew, without a line of the crate. With id `00 01 … 0b`, access secret `20 … 3f`, refresh
//! secret `40 … 5f`, lineage `60 … 7f`, nonce `80 … 9f`, key `a0 … bf` of the name `c0 c1 c2 c3`, generation 7.

use data_encoding::HEXLOWER;

use super::*;
use crate::{
    keyring::{Key, KeyRing},
    secret::{Secret, SecretBytes},
    store::{Digest, Epoch, HashAlgorithm, HashBytes, Insertion},
    text::{self, Brand, SecretChars},
    token::{
        pepper::Pepper,
        ratchet::{self, Kind, Pair},
    },
};

const ID: &str = "00065eoDiDgza8qaZ";
const ACCESS: &str = "pc_a00065eoDiDgza8qaZ7cMxemzhJjkW31yzTx5H07wJF2A2uBEOEec26ubYMsJ216Cq3";
const REFRESH: &str =
    "pc_r00065eoDiDgza8qaZ000007FEgKooW5RLbIKrUYErGAWCWMtO7YYD7L8rb7x51oVyx7WawqBVIw9cX0tHBzzYbXP1MiKvx";
const KEY: &str = "pk1_c0c1c2c3a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf762c1e65";
const DIGEST_KEY: &str = "4ad90373080325b376edf132c7f069aa5ba8a2d8e553ce1f85aba1b9bfdd678c";
const NEXT_KEY: &str = "0a8d6b79f9966ef1628edaf4072277ae8c211198e5f5d2bd210302762633bce1";

/// Algorithm; digest of the access and the refresh secret; both with the pepper.
const DIGESTS: [(HashAlgorithm, [&str; 4]); 3] = [
    (
        HashAlgorithm::Sha256,
        [
            "94ef5ed73b264abee9cdda7f046d5ce9f587a41279b6a00d0137454058614804",
            "715daccb4746d82e11f0133487d8c2ae420888f5f0571b019bdc909f3edccb95",
            "342f67893f040cc40a9da73686296a93ff03033df7c2ef90943cf903f2050fed",
            "fd44fcc25cec1d87939a15ed757119f2da02e9182871d0e039ea2b1573157ba6",
        ],
    ),
    (
        HashAlgorithm::Sha384,
        [
            "0e6e61bfa3ddce738af73a1dc690b90ca6ecfbb227ffb82dd28d195b1540d13c3df35a0872e7b59dfb8b3b3d72937075",
            "165a6c7ff76754f7538deb4c8b079627ec5760121803dd4a885be9be4b5e4ca1d4b8f46f99035d4c555fea8d14eee644",
            "dafdb4ae030f78b248c0121bd79865b19d1847503816a3c60d9ee0d720f0720402ed77477adc55d909f5fc1cff027d08",
            "48ab0bf32ac1e21b4c15bec9653a69f598c95a661ed64c06cf1ddf4a5fc790a827d708dc5c829a9adcbfa00e194173b5",
        ],
    ),
    (
        HashAlgorithm::Sha512,
        [
            "e2701144134acbc01a0f4ba8cd82da0b6bd31af6f71ed5ba175bf4aaca21ec94\
             06fec1f3cb352c0ecc1017d56c51791f8b826d645b023d9ed9289a865682091c",
            "bcdd3ce76ada2be1be4d2726a3bbadea427a40b3894af01443330df9e5135b94\
             49e1dad7f078f603ab3d1e09fa1cc4ce2ad5958885590553651cf20088a0a6ad",
            "443c9e8bc67d12aaae4522c4674df81e66eb5b40cce31a4cd5e73b4371552dc5\
             07b6827b34ac489a9cbad4ea2f5adfbcbeb67f47c2011c74430dfe1e4bc82193",
            "b92bade952d3920f735da7a117cec9e01ad7ebd3133f93f16bca7939762ddc1c\
             862e3fe5f62fe4c3f685a00b9855334c4a39c541b3b6c897d588f7d27c5792bf",
        ],
    ),
];

/// The pair of generation 8 and its SHA-256 digests; first without a pepper, then with it.
const NEXT: [[&str; 4]; 2] = [
    [
        "pc_a00065eoDiDgza8qaZKybraYW5M6pD0tKY2SF9jtLx0BkjfP3VobVLR4QUBLe3kSHyO",
        "pc_r00065eoDiDgza8qaZ000008F4Ep40DA26LEIQmLDg4ULCuM8ekz9AYKacOWUvI4tsK5a9eDU04AQiZksqZIxEIXU1tW3Er",
        "adf2e2adb938c15687ca21ae4223e2de8472869f8244295e3a6b5f267cda8b1a",
        "d27f44ea0beb4240d43bf015db27825e283b0d6d137f0f430c6b6b3ad6bf9a11",
    ],
    [
        "pc_a00065eoDiDgza8qaZZCJPR13LahfD0oqefe8oY1EoazyRnGEcIpRyXkCDDxB463J4x",
        "pc_r00065eoDiDgza8qaZ000008c12IXf6HSO4KLiHHjeIkOhfqfntgEakiSluCUVPaLd54eMxZ0xmFnIJSYeqIp28pI0GUlBr",
        "e9a35170537e6a1731f50dbfaf0bd9c948e39c1131eca1e6fb09e36819b65ec5",
        "78fcfbc9210f15011881e6163ec53748474cce329a6cc1de6105b8c785f75b88",
    ],
];

fn bytes(from: u8) -> [u8; 32] {
    std::array::from_fn(|place| from + u8::try_from(place).unwrap())
}

fn id() -> TokenId {
    TokenId::from_random(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
}

fn key() -> Key {
    Key::parse(&Secret::new(KEY)).unwrap()
}

fn brand() -> Brand {
    Brand::parse("pc").unwrap()
}

fn lineage() -> SecretBytes {
    SecretBytes::new(bytes(0x60))
}

fn pair() -> Pair {
    Pair { access: text::encode_secret(&bytes(0x20)), refresh: text::encode_secret(&bytes(0x40)) }
}

fn texts(pair: &Pair, generation: u32) -> [String; 2] {
    let refresh = text::compose_refresh(&brand(), id(), generation, &pair.refresh, |tagged| {
        ratchet::tag(&lineage(), tagged)
    });
    let access = text::compose_access(&brand(), id(), &pair.access);
    [access, refresh].map(|text| text.expose().to_owned())
}

fn digest(kind: Kind, secret: &SecretChars, algorithm: HashAlgorithm, pepper: Option<&Pepper>) -> String {
    let binding = ratchet::bind(kind, id(), &Subject::local("ada"), None, Channel::Header);
    let digest = ratchet::new_digest(binding, secret, algorithm, pepper);
    assert_eq!((digest.algorithm(), digest.key()), (algorithm, pepper.map(|_| key().id())));
    HEXLOWER.encode(digest.as_bytes())
}

#[test]
fn r013_the_texts_of_tokens_and_keys_are_what_they_were() {
    assert_eq!(id().as_str(), ID);
    assert_eq!(texts(&pair(), 7), [ACCESS, REFRESH]);
    assert_eq!(key().id().as_bytes(), &[0xC0, 0xC1, 0xC2, 0xC3]);
    assert_eq!(key().to_text().expose(), KEY);
}

#[test]
fn r015_the_digests_are_what_they_were() {
    let pepper = Pepper::new(KeyRing::new(key()));
    assert_eq!(HEXLOWER.encode(pepper.current().digest.as_slice()), DIGEST_KEY);
    assert_eq!(HEXLOWER.encode(pepper.current().next.as_slice()), NEXT_KEY);
    let Pair { access, refresh } = pair();
    for (algorithm, expected) in DIGESTS {
        let made = [
            digest(Kind::Access, &access, algorithm, None),
            digest(Kind::Refresh, &refresh, algorithm, None),
            digest(Kind::Access, &access, algorithm, Some(&pepper)),
            digest(Kind::Refresh, &refresh, algorithm, Some(&pepper)),
        ];
        assert_eq!(made, expected, "{algorithm:?}");
    }
    // Of somebody else's user and tenant, and of a browser without a user.
    for (subject, tenant, expected) in [
        (
            Subject::of("https://idp.test", "ada"),
            Some("red"),
            "45095d284df58fa7b2357b18884ae6d768d3c258fe6cd43fd7c1aee8f965ac6b",
        ),
        (
            Subject::anonymous("guest"),
            None,
            "f73cfcf4e782ee1e9400f0316aa34dea47e1baa1292638e71c0b519ba67258df",
        ),
    ] {
        let binding = ratchet::bind(Kind::Access, id(), &subject, tenant, Channel::Cookie);
        let made = ratchet::new_digest(binding, &access, HashAlgorithm::Sha256, None);
        assert_eq!(HEXLOWER.encode(made.as_bytes()), expected);
    }
}

#[test]
fn r034_the_next_pair_is_what_it_was() {
    let pepper = Pepper::new(KeyRing::new(key()));
    let nonce = SecretBytes::new(bytes(0x80));
    for (pepper, [access, refresh, access_digest, refresh_digest]) in
        [None, Some(&pepper)].into_iter().zip(NEXT)
    {
        let next = ratchet::next_pair(&pair().refresh, id(), 8, &nonce, pepper.map(Pepper::current));
        assert_eq!(texts(&next, 8), [access, refresh]);
        let sha256 = HashAlgorithm::Sha256;
        assert_eq!(digest(Kind::Access, &next.access, sha256, pepper), access_digest);
        assert_eq!(digest(Kind::Refresh, &next.refresh, sha256, pepper), refresh_digest);
    }
}

/// A login that lies in a store since then: its tokens verify, and its last refresh is repeated.
#[tokio::test]
async fn r015_a_login_of_then_is_a_login_of_now() {
    for (peppered, [access, refresh, access_digest, refresh_digest]) in [false, true].into_iter().zip(NEXT) {
        let fixture = fixture();
        let template = fixture.login().await;
        let mut record = LoginRecord::clone(&*fixture.record(&template.record().id()).await);
        let stored = |hex: &str| {
            let hash = HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap();
            Digest::new(peppered.then(|| key().id()), HashBytes::Sha256(hash))
        };
        record.id = TokenId::parse(ID).unwrap();
        record.access = stored(access_digest);
        record.refresh = Some(stored(refresh_digest));
        record.previous = Some(Box::new(stored(DIGESTS[0].1[if peppered { 3 } else { 1 }])));
        record.nonce = Some(Box::new(SecretBytes::new(bytes(0x80))));
        record.lineage = lineage();
        record.generation = 8;
        record.confirmed_at = Timestamp::NEVER;
        let insertion = Insertion::new(Epoch::from_number(1), fixture.time.now());
        fixture.store.insert(record, insertion).await.unwrap();
        let tokens = match peppered {
            false => fixture.tokens.clone(),
            true => fixture.tokens.clone().pepper(KeyRing::new(key())),
        };
        let repeated = tokens.refresh(RefreshRequest::new(REFRESH, Channel::Header)).await.unwrap();
        assert_eq!(repeated.access().expose(), access);
        assert_eq!(refresh_text(&repeated), refresh);
        tokens.verify(access, None).await.unwrap();
        let next = tokens.refresh(RefreshRequest::new(refresh, Channel::Header)).await.unwrap();
        assert_eq!(next.record().generation(), 9);
    }
}
