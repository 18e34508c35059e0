"""Rules about content: what matches, however it is spelt, and what does not."""

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from vagus.agents.content import ContentRule, texts_of


def matches(rule: dict[str, Any], data: str | bytes) -> bool:
    found = texts_of(data if isinstance(data, bytes) else data.encode())
    return ContentRule.model_validate({"name": "tried", **rule}).matches(found)


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        (b"plain", ("plain",)),
        (b'{"a": ["b", 1, 2.50, true, null, {"c": "d"}]}', ("a", "b", "1", "2.50", "c", "d")),
        (b'"\\u0041bc"', ("Abc",)),
        (b'{"a": 1, "a": 2}', ('{"a": 1, "a": 2}',)),
        (b"\xff\xfe", ()),
        (b"", ("",)),
    ],
)
def test_a_payload_or_an_output_says_its_texts_keys_and_numbers(
    data: bytes, texts: tuple[str, ...]
) -> None:
    assert texts_of(data) == texts


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("the secret is out", True),
        ("SECRET", True),
        ("\uff53\uff45\uff43\uff52\uff45\uff54", True),  # full width
        ("se\u200bcr\u2060et", True),
        ("se\xadcret", True),
        ("{secret}", True),
        ('{"prompt": "\\u0073ecret"}', True),
        ('{"secret": 1}', True),
        ("secretary", False),
        ("a_secret", False),
        ("sec ret", False),
        ("Stra\xdfe", True),
        ("STRASSE", True),
        ("top level", True),
        ("stop level", False),
    ],
)
def test_a_word_is_found_as_people_read_it(text: str, found: bool) -> None:
    assert matches({"words": ["Secret", "strasse", "top level"]}, text) is found


@pytest.mark.parametrize(("text", "found"), [("abcd", False), ("abcde", True), ("é" * 4, False)])
def test_length_is_counted_in_characters(text: str, found: bool) -> None:
    assert matches({"longer": 4}, text) is found
    assert matches({"longer": 4}, json.dumps({"a": text[1:]})) is found


@pytest.mark.parametrize(
    ("kind", "text", "found"),
    [
        ("control", "a\x1b[2J", True),
        ("control", '{"a": "\\u0007"}', True),
        ("control", "a\tb\r\nc", False),
        ("format", "a\u202eb", True),
        ("format", "a\U000e0041b", True),
        ("format", "ab", False),
        ("private", "a\ue000b", True),
        ("unassigned", "a\u0378b", True),
        ("unassigned", "a\u0377b", False),
    ],
)
def test_characters_are_told_by_their_category(kind: str, text: str, found: bool) -> None:
    assert matches({"characters": [kind]}, text) is found


# Numbers that their issuers publish for tests, and examples of the standards.
@pytest.mark.parametrize(
    ("kind", "text", "found"),
    [
        ("card", "4242 4242 4242 4242", True),
        ("card", "pay 4000-0566-5566-5556 now", True),
        ("card", "378282246310005", True),
        ("card", '{"card": 4242424242424242}', True),
        ("card", "\uff14\uff12\uff14\uff12 4242 4242 4242", True),
        ("card", "4242 4242 4242 4243", False),
        ("card", "12345", False),
        ("card", "0" * 20, False),
        ("iban", "DE89 3704 0044 0532 0130 00", True),
        ("iban", "send to GB29NWBK60161331926819 today", True),
        ("iban", "to NL91ABNA0417164300 AND MORE", True),
        ("iban", "DE89370400440532013001", False),
        ("iban", "AB12 CDEF", False),
        ("email", "write to alice.smith+x@mail.example.org.", True),
        ("email", '{"to": "a@b.co"}', True),
        ("email", "a @ b.co", False),
        ("email", "@handle", False),
        ("email", "a@b", False),
        ("phone", "+44 20 7946 0958", True),
        ("phone", "call +1 (202) 555-0143!", True),
        ("phone", "+49301234567", True),
        ("phone", "020 7946 0958", False),
        ("phone", "1+1000000000000000000", False),
        ("phone", "+1234", False),
        ("secret", "-----BEGIN RSA PRIVATE KEY-----\nMII", True),
        ("secret", "-----BEGIN PRIVATE KEY-----", True),
        ("secret", "key AKIAIOSFODNN7EXAMPLE here", True),
        ("secret", "ghp_" + "a" * 36, True),
        ("secret", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefgh12345", True),
        ("secret", "-----BEGIN CERTIFICATE-----", False),
        ("secret", "0x" + "ab" * 32, False),
        ("secret", "risk-free and task-oriented", False),
    ],
)
def test_data_is_told_by_its_form_and_its_check_digits(kind: str, text: str, found: bool) -> None:
    assert matches({"data": [kind]}, text) is found


def test_nine_of_ten_random_card_numbers_fail_their_check() -> None:
    source = random.Random(0)
    count = sum(
        matches({"data": ["card"]}, f"{source.randrange(10**15, 10**16)}") for _ in range(500)
    )
    assert 25 < count < 75


@pytest.mark.parametrize(
    "rule",
    [
        {}, {"words": []}, {"words": [""]}, {"longer": 0}, {"characters": ["letters"]},
        {"data": ["dna"]}, {"longer": 1, "pattern": ".*"}, {"longer": 1, "name": "a\nb"},
        {"longer": 1, "name": ""}, {"longer": 1, "networks": [5]},
    ],
)  # fmt: skip
def test_a_rule_that_says_nothing_or_is_misspelt_is_no_rule(rule: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ContentRule.model_validate({"name": "tried", **rule})


EVERYTHING = {
    "words": ["a", "b c"],
    "characters": ["control", "format", "private", "unassigned"],
    "data": ["card", "email", "iban", "phone", "secret"],
}


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.text(max_size=200))
def test_whatever_stands_before_it_a_word_is_found(text: str) -> None:
    data = f"{text} zz".encode("utf-8", "replace")
    assert matches({**EVERYTHING, "words": ["ZZ"]}, data)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.binary(max_size=200))
def test_bytes_that_are_no_text_say_nothing(data: bytes) -> None:
    assert not matches(EVERYTHING, b"\xff" + data)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1 " * 4096, False),
        ("a@" * 4096, False),
        ("a." * 4096, False),
        ("a@" + "a." * 4095, False),
        ("DE89" * 2048, False),
        ("A1 " * 2730, False),
        ("+1" + "(" * 8190, False),
        ("eyJ" * 2730, False),
        ("-----BEGIN " * 744, False),
        ("sk-" * 2730, True),
    ],
)
def test_the_longest_text_of_each_form_is_read_to_its_end(text: str, found: bool) -> None:
    assert matches({"data": EVERYTHING["data"]}, text) is found
