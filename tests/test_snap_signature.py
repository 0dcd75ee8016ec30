"""SNAP's signatures: published vectors agree, any other byte does not, and nothing sent instead makes an exception."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from authz_service.bank.signature import (
    KeyUnusable,
    instant_of,
    is_signed_with_key,
    is_signed_with_secret,
    minified,
    public_key_of,
    signed_with_key,
    signed_with_secret,
    text_of_token_request,
    text_to_sign,
)
from tests.builders import quickly

V1_BODY: Final = (
    b'{"partnerReferenceNo":"2020102900000000000001","amount":{"value":"12345678.00","currency":"IDR"},'
    b'"feeAmount":{"value":"12345678.00","currency":"IDR"},"merchantId":"00007100010926",'
    b'"terminalId":"213141251124","validityPeriod":"2009-07-03T12:08:56-07:00"}'
)
V1_TEXT: Final = (
    b"POST:/v1.0/qr/qr-mpm-generate:myaccesstoken:"
    b"01463f60dbb6ca538581579dd95b31c8ba9fc6600eca750e4d8460ca4e402111:2024-03-05T10:37:16.196Z"
)
V1_SIGNATURE: Final = "wmzT7yjg1SxxCsxNsFgCR9SYXiZGGbceF6fV8xe97sAMHxZ+7OEBMIBmvb6Sj6GcksGp3iv77DiomgSbcST3XQ=="
V2_KEY: Final = (
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAlWbtlh3eM+bW3n5AFj42wddC4L7tQqbLiCFbTv8K67yng9iwK5mEn+UMXiRhvB2JVWFa"
    "fCPPxFamsiVG3MjneGjC0BYgmpmw4qXnAnyO3nCdCuPtmZ3ljhKvSTPdWZxrcLi1Xa9V/+Pzb8hrjb5iwMn6SZFNeMmZYgFKiSeueo6TPln2PoTq"
    "XCzs1HtsM8eUVe8GAsjJe/3dYl992nyXOpG21GgNu8o5T3WOptPg6GdDTWkTWUu483yRbVVy04Pz4L8DDZTDv+WcsAViDn1rA/jB1Auj/UGKx2ov"
    "GcBH/a/hor5TbABbODU6cPTHT54K3sSZtvZNV4eFDB1f/4wdfwIDAQAB"
)
V2_TOKEN_SIGNATURE: Final = (
    "WzW49tYIgKIBmBi/gVBHGLAkhEaZlXM11zcZxAiyHji6TLPjPbwLu3Z45it25AIeG0XDItcdTSkds47zFEMh6IP0PXPIP1+Ey4RmX/o2fuYRF/xB"
    "HvfvKnMmANMTS1axsXBSW3EHqYpbVrkCcqNnB3u+wu63us9WIhRZaWgxgQ2PJLaiVHIwgu9u7jxkWX7Bg4rerZH3RKdQfIJAAJsSN13efR7VdSAy"
    "zU7QaKjgislxrLqmesYNJkbD03XLjHdo6YWuzAVV7xdZRpLiGkIAkW7luXTBZYBO+4oENZAPQYzrLeN1qRY1Sr7BgLONCA2QA26BB6SYW4R7qofS"
    "9+RyOQ=="
)
V2_BODY: Final = (
    b'{"originalPartnerReferenceNo":"GP24043015193402809","originalReferenceNo":"A120240430081940S9vu8gSjaRID",'
    b'"merchantId":"G099333790","amount":{"value":"102800.00","currency":"IDR"},"latestTransactionStatus":"00",'
    b'"transactionStatusDesc":"SUCCESS","additionalInfo":{"refundHistory":[]}}'
)
V2_TEXT: Final = (
    b"POST:/v1.0/debit/notify:79ebbe6a6b695262dd686d0dedafc57c94e3b3dededf8d63971f8a95699ace85"
    b":2024-05-02T14:43:08+07:00"
)
V2_SIGNATURE: Final = (
    "RoJnP2tH/YiOhHM/lMVBMSAuzRmS8VrWdIy04Qqyb56daV7oWFMFoMMzqnjQ+q0MIUalYgU094GWQnCx2c29xb1kkqHhv2+iJ9xl6NjGmFGYqyvc"
    "KvUDAV83Y1Mw9JnsEcjcupdGw9/MRv/mm2GMrQ+BCZGfc4a46JDyPZbcY294vDGqs5rFBN6iYer5ro4cAQGo9hET2G82Y+j50vCyO/79GFE4vB1r"
    "vtu6PK2Bxi+vTYV8k7P7PS8tOPWM2O+kjiVWjwvLR99Botou+a8sxlQqZaihfWMKcByzV+Lgkr9cptpjys+1NIRWT1ad/sJBSLHyldzC3q2oRn5z"
    "5oZmyg=="
)
V3_BODY: Final = (
    b'{"originalPartnerReferenceNo":"AUTH-20241201-000001","originalReferenceNo":"2024120112400000000001",'
    b'"merchantId":"KUBE-6472-05-01","amount":{"value":"287500.00","currency":"IDR"},"latestTransactionStatus":"00",'
    b'"transactionStatusDesc":"SUCCESS","createdTime":"2024-12-01T09:15:00+08:00",'
    b'"finishedTime":"2024-12-01T09:15:02+08:00","additionalInfo":{"captureNo":"CAP-1"}}'
)
V3_TEXT: Final = (
    b"POST:/v1.0/debit/notify:mock-access-token:02da538460e7403808da5aed5d3a676b5ccc437152ba77af88d7ed3750a0976b"
    b":2024-12-01T09:15:03+08:00"
)
V3_SIGNATURE: Final = "0ryQMnz4lYaLtuuEisku+IEbFq5Bm3UC3TZ8OZcbseVIlsZJ8IJ5QENR99hSV7PNok9v/58UvQM2zvwsv+2zHQ=="
SECRET: Final = "self-made-client-secret"
OUR_KEY: Final = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="


def spki(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def with_one_byte_changed(text: bytes) -> Iterator[bytes]:
    for place, byte in enumerate(text):
        yield text[:place] + bytes([byte ^ 1]) + text[place + 1 :]


def with_one_character_changed(signature: str) -> Iterator[str]:
    """The neighbour in base64's alphabet, which before the padding may stand for the same bytes."""
    for place, character in enumerate(signature):
        other = ALPHABET[ALPHABET.index(character) ^ 1] if character != "=" else "A"
        yield signature[:place] + other + signature[place + 1 :]


def test_v1_the_symmetric_signature_that_midtrans_published() -> None:
    """Midtrans/SNAP-BI-Signature-Demo, commit a00d82ba, sample-code/symmetricSignature."""
    text = text_to_sign("post", "/v1.0/qr/qr-mpm-generate", V1_BODY, "2024-03-05T10:37:16.196Z", "myaccesstoken")
    assert text == V1_TEXT
    assert signed_with_secret("myclientsecret", text) == V1_SIGNATURE
    assert is_signed_with_secret("myclientsecret", text, V1_SIGNATURE)


def test_v2_the_token_request_that_midtrans_published() -> None:
    """The same repository, asymmetricSignatureNotificationVerification."""
    text = text_of_token_request("G1234325-SNAP", "2024-03-01T08:27:49.024Z")
    assert text == b"G1234325-SNAP|2024-03-01T08:27:49.024Z"
    assert is_signed_with_key(public_key_of(V2_KEY), text, V2_TOKEN_SIGNATURE)


def test_v2_the_notice_that_midtrans_published() -> None:
    """The same repository, asymmetricSignatureNotificationVerification."""
    text = text_to_sign("POST", "/v1.0/debit/notify", V2_BODY, "2024-05-02T14:43:08+07:00", None)
    assert text == V2_TEXT
    assert is_signed_with_key(public_key_of(V2_KEY), text, V2_SIGNATURE)
    assert not is_signed_with_key(public_key_of(V2_KEY), text, V2_TOKEN_SIGNATURE)


def test_v3_a_notice_of_a_payout() -> None:
    """Of our own making, computed by hand from Bank Indonesia's page; nobody else has confirmed it."""
    text = text_to_sign("POST", "/v1.0/debit/notify", V3_BODY, "2024-12-01T09:15:03+08:00", "mock-access-token")
    assert text == V3_TEXT
    assert signed_with_secret(SECRET, text) == V3_SIGNATURE
    assert is_signed_with_secret(SECRET, text, V3_SIGNATURE)


def test_no_body_is_signed_as_an_empty_one() -> None:
    nothing = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert text_to_sign("GET", "/x?a=b", b"", "t", None) == b"GET:/x?a=b:" + nothing + b":t"
    assert text_to_sign("GET", "/x?a=b", b" \n", "t", "") == b"GET:/x?a=b::" + nothing + b":t"


def test_the_signature_may_be_lower_hex_and_nothing_else_besides() -> None:
    """As the samples of Bank Indonesia's sandbox have it."""
    in_hex = b64decode(V3_SIGNATURE).hex()
    assert is_signed_with_secret(SECRET, V3_TEXT, in_hex)
    assert not is_signed_with_secret(SECRET, V3_TEXT, in_hex.upper())
    assert not is_signed_with_secret(SECRET, V3_TEXT, V3_SIGNATURE.rstrip("="))


def test_a_secret_is_used_as_it_was_given_and_an_empty_one_signs_nothing() -> None:
    encoded = b64encode(SECRET.encode()).decode()
    assert not is_signed_with_secret(encoded, V3_TEXT, V3_SIGNATURE)
    assert not is_signed_with_secret("", V3_TEXT, signed_with_secret("", V3_TEXT))


def test_one_changed_byte_is_noticed_wherever_it_is() -> None:
    for secret_text in with_one_byte_changed(V3_TEXT):
        assert not is_signed_with_secret(SECRET, secret_text, V3_SIGNATURE)
    for secret in with_one_byte_changed(SECRET.encode()):
        assert not is_signed_with_secret(secret.decode(), V3_TEXT, V3_SIGNATURE)
    for body in with_one_byte_changed(V3_BODY):
        text = text_to_sign("POST", "/v1.0/debit/notify", body, "2024-12-01T09:15:03+08:00", "mock-access-token")
        assert not is_signed_with_secret(SECRET, text, V3_SIGNATURE)
    for signature in with_one_character_changed(V3_SIGNATURE):
        assert not is_signed_with_secret(SECRET, V3_TEXT, signature)


def test_one_changed_byte_is_noticed_by_a_key_too() -> None:
    key = public_key_of(V2_KEY)
    for text in with_one_byte_changed(V2_TEXT):
        assert not is_signed_with_key(key, text, V2_SIGNATURE)
    for signature in with_one_character_changed(V2_SIGNATURE):
        assert not is_signed_with_key(key, V2_TEXT, signature)


@quickly
@given(st.binary(max_size=200))
def test_what_was_signed_here_is_signed(text: bytes) -> None:
    by_key = signed_with_key(OUR_KEY, text)
    assert is_signed_with_key(OUR_KEY.public_key(), text, by_key)
    assert not is_signed_with_key(public_key_of(V2_KEY), text, by_key)
    assert is_signed_with_secret(SECRET, text, signed_with_secret(SECRET, text))
    assert not is_signed_with_secret("another", text, signed_with_secret(SECRET, text))


NO_SIGNATURES: Final = {
    "empty": "",
    "padding": "====",
    "one_character": "A",
    "three_bytes": "AAAA",
    "no_base64": "not base64!",
    "line_end": V2_SIGNATURE + "\n",
    "line_end_of_the_other": V3_SIGNATURE + "\n",
    "blank_before": " " + V2_SIGNATURE,
    "padding_cut": V2_SIGNATURE[:-2],
    "twice": V2_SIGNATURE * 2,
    "for_addresses": V2_SIGNATURE.replace("+", "-").replace("/", "_"),
    "not_ascii": "é" * 344,
    "other_digits": "\u0661" * 128,
    "nothing": "\x00",
    "half_a_character": "\ud800",
    "long": "A" * 100_000,
}


@pytest.mark.parametrize("signature", NO_SIGNATURES.values(), ids=NO_SIGNATURES.keys())
def test_what_is_no_signature_is_refused_and_not_an_error(signature: str) -> None:
    """Row 18 of the incidents: others made anonymous 500s of it."""
    assert not is_signed_with_key(public_key_of(V2_KEY), V2_TEXT, signature)
    assert not is_signed_with_secret(SECRET, V3_TEXT, signature)


@quickly
@given(st.text() | st.text(ALPHABET) | st.binary(max_size=300).map(lambda raw: b64encode(raw).decode()))
def test_no_text_at_all_makes_an_error(text: str) -> None:
    """Row 18 of the incidents."""
    assert not is_signed_with_key(OUR_KEY.public_key(), V2_TEXT, text)
    assert not is_signed_with_secret(SECRET, V3_TEXT, text)
    text_of_token_request(text, text)
    text_to_sign(text, text, text.encode(errors="replace"), text, text)
    instant_of(text)
    with pytest.raises(KeyUnusable):
        public_key_of(text)


SPACE: Final = st.text(" \t\r\n", max_size=3).map(str.encode)
LITERALS: Final = [
    rb"1.0",
    rb"-0",
    rb"1E400",
    rb"123456789012345678901234567890",
    rb"true",
    rb"null",
    rb'""',
    rb'"  a \t b  "',
    rb'"\""',
    rb'"\\"',
    rb'"\\\" {"',
    rb'"\u00e9 \/ /"',
    '"é\u00a0\u2003"'.encode(),
]
"""As they must stay, to the byte."""
SCALARS: Final = st.sampled_from(LITERALS) | st.builds(
    lambda value, *, plain: json.dumps(value, ensure_ascii=plain).encode(),
    st.text(st.characters(exclude_categories=["Cs"]))
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False),
    plain=st.booleans(),
)
Tokens = list[bytes]


def _array(items: list[Tokens]) -> Tokens:
    return [b"[", *_separated(items), b"]"]


def _object(members: list[tuple[str, Tokens]]) -> Tokens:
    """Names may repeat."""
    return [b"{", *_separated([[json.dumps(name).encode(), b":", *value] for name, value in members]), b"}"]


def _separated(items: list[Tokens]) -> Tokens:
    return [token for item in items for token in (b",", *item)][1:]


DOCUMENTS: Final = st.recursive(
    SCALARS.map(lambda scalar: [scalar]),
    lambda inner: (
        st.lists(inner, max_size=4).map(_array)
        | st.lists(st.tuples(st.text('a" \\', max_size=3), inner), max_size=4).map(_object)
    ),
    max_leaves=12,
)


def in_order(text: bytes) -> Any:
    """All that a reader can see: repeated members and the digits of numbers as well."""
    return json.loads(text, object_pairs_hook=list, parse_float=str, parse_int=str)


@quickly
@given(st.data())
def test_white_space_between_tokens_goes_and_all_else_stays(data: st.DataObject) -> None:
    """Row 19 of the incidents: others parsed and wrote again, or took the blanks out of strings as well."""
    tokens = data.draw(DOCUMENTS)
    spaces = data.draw(st.lists(SPACE, min_size=len(tokens) + 1, max_size=len(tokens) + 1))
    written = b"".join(space + token for space, token in zip(spaces, [*tokens, b""], strict=True))
    assert minified(written) == b"".join(tokens)
    assert in_order(minified(written)) == in_order(written)
    assert minified(minified(written)) == minified(written)


@pytest.mark.parametrize("literal", LITERALS)
def test_a_value_stays_as_it_was_written(literal: bytes) -> None:
    """Row 19 of the incidents."""
    assert minified(b'\t{ "a b" : ' + literal + b' ,\r\n"a b":[ ] } ') == b'{"a b":' + literal + b',"a b":[]}'


def test_only_the_white_space_of_json_goes() -> None:
    assert minified(b" \t\r\n") == b""
    assert minified(b"\x0b\x0c\xa0\xef\xbb\xbf\x00") == b"\x0b\x0c\xa0\xef\xbb\xbf\x00"


def test_a_body_that_was_cut_is_copied_to_its_end() -> None:
    body = rb'{ "a \" b" : "\\" , "c" : "d e\\\"" }'
    for end in range(len(body)):
        assert len(minified(body[:end])) <= end
    assert minified(rb'{ "a b" : "c d') == rb'{"a b":"c d'
    assert minified(rb'{ "a b" : "c d\ ') == rb'{"a b":"c d\ '
    assert minified(b'{ "a b" : "c d \\') == b'{"a b":"c d \\'


@quickly
@given(st.binary() | st.text('" \\\n{}:,a').map(str.encode))
def test_no_bytes_make_an_error_and_only_white_space_is_lost(body: bytes) -> None:
    assert minified(minified(body)) == minified(body)
    assert minified(body).translate(None, b" \t\r\n") == body.translate(None, b" \t\r\n")


def pem(key: rsa.RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_a_key_is_read_from_pem_and_from_base64_however_it_is_broken_into_lines() -> None:
    numbers = OUR_KEY.public_key().public_numbers()
    bare = b64encode(spki(OUR_KEY)).decode()
    in_lines = "\r\n".join(bare[place : place + 64] for place in range(0, len(bare), 64))
    for written in (pem(OUR_KEY), f"\n{pem(OUR_KEY)}\n", bare, f" {in_lines}\r\n"):
        assert public_key_of(written).public_numbers() == numbers


def a_private_key_in_pem() -> str:
    return OUR_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("", "This is no public key: give a PEM file, or the base64 of an SPKI."),
        ("-----BEGIN PUBLIC KEY-----", "This is no public key: give a PEM file, or the base64 of an SPKI."),
        (a_private_key_in_pem(), "This is no public key: give a PEM file, or the base64 of an SPKI."),
        (V2_KEY[:-4], "This is no public key: give a PEM file, or the base64 of an SPKI."),
        (V2_KEY + "é", "This is no public key: give a PEM file, or the base64 of an SPKI."),
        (
            b64encode(spki(ec.generate_private_key(ec.SECP256R1()))).decode(),
            "This is no RSA key; SNAP signs with SHA256withRSA.",
        ),
        (
            pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)),
            "This key has 1024 bits; 2048 are the least.",
        ),
    ],
    ids=["empty", "head", "private", "cut", "not_ascii", "curve", "short"],
)
def test_what_is_no_usable_key_is_refused_with_the_reason(written: str, why: str) -> None:
    with pytest.raises(KeyUnusable) as refused:
        public_key_of(written)
    assert str(refused.value) == why


@pytest.mark.parametrize(
    ("timestamp", "moment"),
    [
        ("2020-12-17T10:55:00+07:00", datetime(2020, 12, 17, 3, 55, tzinfo=UTC)),
        ("2024-12-01T09:15:03+08:00", datetime(2024, 12, 1, 1, 15, 3, tzinfo=UTC)),
        ("2024-03-05T10:37:16.196Z", datetime(2024, 3, 5, 10, 37, 16, 196_000, tzinfo=UTC)),
        ("2024-03-05T10:37:16.1-05:30", datetime(2024, 3, 5, 16, 7, 16, 100_000, tzinfo=UTC)),
    ],
)
def test_a_timestamp_is_an_instant(timestamp: str, moment: datetime) -> None:
    assert instant_of(timestamp) == moment


@pytest.mark.parametrize(
    "timestamp",
    [
        "",
        "2024-03-05T10:37:16",
        "2024-03-05 10:37:16Z",
        "2024-03-05T10:37Z",
        "2024-03-05T10:37:16+0700",
        "2024-03-05T10:37:16.Z",
        "2024-03-05T10:37:16.1234Z",
        "2024-03-05T10:37:16Z\n",
        " 2024-03-05T10:37:16Z",
        "2024-02-30T10:37:16Z",
        "2024-03-05T10:37:60Z",
        "2024-03-05T10:37:16+24:00",
        "1999-12-31T23:59:59Z",
        "2101-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "1709635036",
        "٢٠٢٤-03-05T10:37:16Z",
    ],
)
def test_what_is_no_time_of_this_century_is_none(timestamp: str) -> None:
    assert instant_of(timestamp) is None
