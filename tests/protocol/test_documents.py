"""Documents hash as their RFC 8785 bytes, checked with the RFC's own examples."""

from typing import Any

import pytest
import rfc8785
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from vagus.protocol import (
    EMPTY_HASH,
    ZERO32,
    agent_digest,
    canonical,
    document_hash,
    keccak256,
    model_digest,
    models_digest,
)

WEIGHTS = "ab" * 32


def test_canonical_bytes_are_those_of_rfc_8785s_example() -> None:
    document: Any = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }
    assert (
        canonical(document)
        == (
            '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
            '"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
        ).encode()
    )


def test_keys_sort_by_utf_16_as_in_rfc_8785s_example() -> None:
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    ordered = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    text = canonical(dict.fromkeys(keys, 0)).decode()
    assert text == "{" + ",".join(f'"{k}":0'.replace("\r", "\\r") for k in ordered) + "}"


@pytest.mark.parametrize(
    "document", [float("nan"), float("inf"), 2**53, -(2**53), "\ud800", {"\ud800": 1}, {1: 1}, b""]
)
def test_what_json_cannot_say_is_a_value_error(document: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        canonical(document)


def test_a_document_nested_too_deep_is_a_value_error() -> None:
    document: Any = []
    for _ in range(100_000):
        document = [document]
    with pytest.raises(ValueError, match="nested too deep"):
        canonical(document)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text() | st.floats(-9, 9),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=4), inner),
)


@given(PLAIN)
def test_every_document_has_the_bytes_that_another_implementation_gives(document: Any) -> None:
    assert canonical(document) == rfc8785.dumps(document)


@pytest.mark.parametrize("depth", [15, 16, 17, 100])
def test_a_deep_document_has_the_bytes_that_another_implementation_gives(depth: int) -> None:
    document: Any = {"b": 1, "a": "\x7f/\u2028"}
    for _ in range(depth):
        document = {"x": [document]}
    assert canonical(document) == rfc8785.dumps(document)


def test_document_hash_is_the_keccak_of_the_bytes() -> None:
    assert document_hash({"b": 1, "a": [2.0, "x"]}) == keccak(b'{"a":[2,"x"],"b":1}')


def test_agent_digest_is_of_name_version_and_config() -> None:
    expected = keccak(b'{"config":{"temperature":0},"name":"chat","version":"1.2.0"}')
    assert agent_digest("chat", "1.2.0", {"temperature": 0}) == expected


def test_model_digest_says_null_for_what_is_unknown() -> None:
    assert model_digest("m", None, None, None) == keccak(
        b'{"model":"m","quantization":null,"revision":null,"weights":null}'
    )
    assert model_digest("m", "r1", "Q4_K_M", WEIGHTS) == keccak(
        f'{{"model":"m","quantization":"Q4_K_M","revision":"r1","weights":"{WEIGHTS}"}}'.encode()
    )


@pytest.mark.parametrize("weights", ["", "AB" * 32, "0x" + WEIGHTS, "ab" * 31, WEIGHTS + "\n"])
def test_weights_are_a_lower_case_sha256(weights: str) -> None:
    with pytest.raises(ValueError, match="64 lower-case hex digits"):
        model_digest("m", None, None, weights)


def test_models_digest_is_zero_the_one_or_the_keccak_of_the_ascending_distinct() -> None:
    one, two = b"\1" * 32, b"\2" * 32
    assert models_digest([]) == ZERO32
    assert models_digest([two, two]) == two
    assert models_digest([two, one, two]) == keccak(one + two)
    for wrong in (b"", bytes(31)):
        with pytest.raises(ValueError, match="32 bytes"):
            models_digest([one, wrong])


def test_keccak_is_ethereums() -> None:
    assert EMPTY_HASH.hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    for size in (1, 135, 136, 137, 8192):
        assert keccak256(b"x" * size) == keccak(b"x" * size)
