"""Computes the literals of golden.rs with nothing of the crate, and so says what texts, digests, tags and pairs are.

Run it with any Python 3: it prints one `name value` per line. It is kept to show where the literals come from; a
literal that has to change means that every token handed out so far would stop working.
"""

import hashlib
import hmac
import zlib

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def base62(number, width):
    out = ""
    for _ in range(width):
        number, digit = divmod(number, 62)
        out = DIGITS[digit] + out
    assert number == 0
    return out


def number(data):
    return int.from_bytes(data, "big")


def field(data):
    return b"\0" if data is None else b"\1" + len(data).to_bytes(4, "big") + data


def enc(label, *fields):
    return b"portcullis/v1/" + label + b"\0" + b"".join(map(field, fields))


def check(text):
    return text + base62(zlib.crc32(text.encode()), 6)


def sub_key(key, label):
    prk = hmac.new(bytes(32), key, hashlib.sha256).digest()  # HKDF without salt, one block (RFC 5869)
    return hmac.new(prk, label + b"\1", hashlib.sha256).digest()


def binding(label, kind, issuer, subject, tenant, channel):
    return hashlib.sha256(enc(label, kind, ID.encode(), issuer, subject, tenant, channel)).digest()[:12]


def digest(algorithm, bound, secret, key=None):
    message = bound + secret.encode()
    return hmac.new(key, message, algorithm).hexdigest() if key else hashlib.new(algorithm, message).hexdigest()


def tag(tagged):
    return base62(number(hmac.new(LINEAGE, enc(b"lineage", tagged.encode()), hashlib.sha256).digest()[:16]), 22)


def following(kind, previous, generation, pepper=b""):
    message = enc(b"next", kind, ID.encode(), generation.to_bytes(8, "big"), NONCE)
    return base62(number(hmac.new(previous.encode() + pepper, message, hashlib.sha256).digest()), 43)


def access_text(secret):
    return check("pc_a" + ID + secret)


def refresh_text(generation, secret):
    tagged = "pc_r" + ID + base62(generation, 6) + secret
    return check(tagged + tag(tagged))


ID = base62(number(bytes(range(12))), 17)
ACCESS = base62(number(bytes(range(0x20, 0x40))), 43)
REFRESH = base62(number(bytes(range(0x40, 0x60))), 43)
LINEAGE = bytes(range(0x60, 0x80))
NONCE = bytes(range(0x80, 0xA0))
KEY = bytes(range(0xA0, 0xC0))
KEY_ID = bytes([0xC0, 0xC1, 0xC2, 0xC3])
GENERATION = 7
DIGEST_KEY, NEXT_KEY = sub_key(KEY, b"token digest"), sub_key(KEY, b"token next")

print("id", ID)
print("access", access_text(ACCESS))
print("refresh", refresh_text(GENERATION, REFRESH))
print("key", "pk1_" + (KEY_ID + KEY).hex() + "%08x" % zlib.crc32(KEY_ID + KEY))
print("digest_key", DIGEST_KEY.hex())
print("next_key", NEXT_KEY.hex())
LOCAL = {kind: binding(b"digest", kind, None, b"ada", None, b"header") for kind in (b"access", b"refresh")}
for algorithm in ("sha256", "sha384", "sha512"):
    for kind, secret in ((b"access", ACCESS), (b"refresh", REFRESH)):
        print(algorithm, kind.decode(), digest(algorithm, LOCAL[kind], secret))
        print(algorithm, kind.decode(), "peppered", digest(algorithm, LOCAL[kind], secret, DIGEST_KEY))
foreign = binding(b"digest", b"access", b"https://idp.test", b"ada", b"red", b"cookie")
print("foreign", digest("sha256", foreign, ACCESS))
nobody = binding(b"digest of nobody's", b"access", None, b"guest", None, b"cookie")
print("nobody", digest("sha256", nobody, ACCESS))
for name, pepper in (("plain", b""), ("peppered", NEXT_KEY)):
    access, refresh = (following(kind, REFRESH, GENERATION + 1, pepper) for kind in (b"access", b"refresh"))
    print("next", name, access_text(access))
    print("next", name, refresh_text(GENERATION + 1, refresh))
    key = DIGEST_KEY if pepper else None
    print("next", name, "access", digest("sha256", LOCAL[b"access"], access, key))
    print("next", name, "refresh", digest("sha256", LOCAL[b"refresh"], refresh, key))
