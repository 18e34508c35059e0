"""Terms are taken when every byte is understood, and refused otherwise."""

import json
from typing import Any

import pytest
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from vagus.protocol import MAX_TERMS, ZERO32, Refuse, Terms, hash_terms

FULL = (
    b'{"networks":["akash","io.net"],"privacy":"confidential","quantization":"fp16",'
    b'"regions":["eu"],"verification":"rescoring"}'
)


def test_every_key_is_understood_and_written_back() -> None:
    terms = Terms.parse(FULL)
    assert terms.networks == ("akash", "io.net")
    assert terms.regions == ("eu",)
    assert (terms.privacy, terms.quantization, terms.verification) == (
        "confidential",
        "fp16",
        "rescoring",
    )
    assert terms.encode() == FULL


def test_empty_bytes_are_no_terms_and_hash_to_zero() -> None:
    assert Terms.parse(b"") == Terms()
    assert Terms().encode() == b""
    assert hash_terms(b"") == ZERO32
    assert hash_terms(FULL) == keccak(FULL)


@pytest.mark.parametrize(
    "data",
    [
        b'{"regions":["eu"], "privacy":"x"}',
        b' {"regions":["eu"]}',
        b'{"regions":["eu"]}\n',
        b'{"regions":["eu"],"networks":["a"]}',
        b'{"regions":["eu"],"regions":["eu"]}',
        b'{"privacy":null}',
        b'{"regions":[]}',
        b'{"privacy":"\\u0061"}',
        b"null",
        b"[]",
        b"1",
        b'"eu"',
        b"{",
        b"\xff",
        b"\xef\xbb\xbf{}",
        b'{"privacy":"\xff"}',
        b'{"privacy":"\\ud800"}',
        b'{"region":["eu"]}',
        b'{"regions":"eu"}',
        b'{"regions":[1]}',
        b'{"regions":[""]}',
        b'{"regions":[["eu"]]}',
        b'{"privacy":true}',
        b'{"privacy":{}}',
        b'{"quantization":4}',
        b'{"verification":"trust-me"}',
        b'{"privacy":"' + b"x" * 65 + b'"}',
        b"[" * MAX_TERMS,
        b'{"a":' * 200,
        b'{"regions":' + b"[" * 1000,
    ],
)
def test_terms_that_are_not_canonical_or_not_understood_are_refused(data: bytes) -> None:
    with pytest.raises(Refuse, match=r"^terms are not (understood|in RFC 8785 form)"):
        Terms.parse(data)


def padded_to(size: int) -> bytes:
    regions = ["x" * 60] * 15
    slack = size - len(json.dumps({"regions": [*regions, ""]}, separators=(",", ":")))
    return json.dumps({"regions": [*regions, "y" * slack]}, separators=(",", ":")).encode()


def test_1024_bytes_are_terms_and_one_more_is_refused() -> None:
    assert len(Terms.parse(padded_to(MAX_TERMS)).regions) == 16
    with pytest.raises(Refuse, match="1025 bytes, at most 1024"):
        Terms.parse(padded_to(MAX_TERMS + 1))


@pytest.mark.parametrize(
    "fields",
    [
        {"regions": ("x" * 60,) * 17},
        {"privacy": ""},
        {"privacy": "x" * 65},
        {"verification": "trust-me"},
        {"regions": []},
        {"networks": (1,)},
        {"quantization": "\ud800"},
    ],
)
def test_terms_that_would_be_refused_are_not_written(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Terms(**fields).encode()


def test_check_takes_only_the_terms_that_were_hashed() -> None:
    assert Terms.check(keccak(FULL), FULL) == Terms.parse(FULL)
    assert Terms.check(ZERO32, b"") == Terms()
    for terms_hash, data in [
        (ZERO32, FULL),
        (keccak(FULL), b""),
        (keccak(b""), b""),
        (keccak(FULL), b"{}"),
    ]:
        with pytest.raises(Refuse, match="termsHash"):
            Terms.check(terms_hash, data)


@given(
    st.binary(max_size=1100)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["regions", "privacy", "x"]), inner, max_size=3)
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode())
)
def test_hostile_bytes_are_refused_or_written_back_unchanged(data: bytes) -> None:
    try:
        terms = Terms.parse(data)
    except Refuse:
        return
    assert terms.encode() == data or data == b"{}"


WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "regions": st.lists(WORDS, min_size=1, max_size=4).map(tuple),
            "networks": st.lists(WORDS, min_size=1, max_size=4).map(tuple),
            "quantization": WORDS,
            "privacy": WORDS,
            "verification": st.sampled_from(["exact", "fields", "tee", "zk"]),
        },
    )
)
def test_terms_come_back(fields: dict[str, Any]) -> None:
    terms = Terms(**fields)
    assert Terms.parse(terms.encode()) == terms
