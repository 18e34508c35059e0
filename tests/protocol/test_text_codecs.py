"""Base58 and bech32 against the vectors of draft-msporny-base58 and BIP-173."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vagus.protocol import base58, bech32

LONGEST = "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"\0", "1"),
        (b"Hello World!", "2NEpo7TZRRrLZSi2U"),
        (
            b"The quick brown fox jumps over the lazy dog.",
            "USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z",
        ),
        (bytes.fromhex("0000287fb4cd"), "11233QC4"),
    ],
)
def test_base58_holds_the_drafts_vectors(data: bytes, text: str) -> None:
    assert base58.encode(data) == text
    assert base58.decode(text) == data


@given(st.binary(max_size=64))
def test_base58_comes_back(data: bytes) -> None:
    assert base58.decode(base58.encode(data)) == data


@pytest.mark.parametrize("letter", ["0", "O", "I", "l", " ", "\n", "é", "１"])  # noqa: RUF001 - a full-width digit is what is tried
def test_base58_rejects_other_letters(letter: str) -> None:
    with pytest.raises(ValueError, match="no base58 letter"):
        base58.decode(f"2N{letter}Epo")


@pytest.mark.parametrize(
    ("text", "prefix", "data"),
    [
        ("a12uel5l", "a", ""),
        (f"{LONGEST}1tt5tgs", LONGEST, ""),
        (
            "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw",
            "abcdef",
            "00443214c74254b635cf84653a56d7c675be77df",
        ),
        (
            "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w",
            "split",
            "c5f38b70305f519bf66d85fb6cf03058f3dde463ecd7918f2dc743918f2d",
        ),
        ("?1ezyfcl", "?", ""),
    ],
)
def test_bech32_holds_bip173s_vectors(text: str, prefix: str, data: str) -> None:
    assert bech32.decode(text) == (prefix, bytes.fromhex(data))
    assert bech32.encode(prefix, bytes.fromhex(data)) == text


@pytest.mark.parametrize(
    "text",
    [
        " 1nwldj5",
        "\x7f1axkwrx",
        "\x801eym55h",
        f"{LONGEST}s11sg7hg6",  # 91 letters
        "an84characterslonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1569pvx",
        "pzry9x0s0muk",
        "1pzry9x0s0muk",
        "x1b4n0q5v",
        "li1dgmt3",
        "de1lg7wt\xff",
        "A1G7SGD8",
        "10a06t8",
        "1qzzfhee",
        "",
        "1",
        "A12UEL5L",  # valid in BIP-173, but an id has one spelling
        "a12UEL5L",
        "a1lqfn3a",  # a checksum of bech32m (BIP-350)
        "a12uel5m",
    ],
)
def test_bech32_rejects_what_bip173_does_and_upper_case(text: str) -> None:
    with pytest.raises(ValueError, match="bech32"):
        bech32.decode(text)


@pytest.mark.parametrize(
    "text",
    [
        "a1qqqd87cpp",  # three letters of zero: one byte and seven bits too many
        "a1qpamnt9j",  # one byte, and padding that is not zero
    ],
)
def test_bech32_rejects_padding_that_no_encoder_writes(text: str) -> None:
    with pytest.raises(ValueError, match="padded"):
        bech32.decode(text)


@given(st.binary(max_size=32), st.sampled_from(["a", "cosmos", "wasm", "x1y"]))
def test_bech32_comes_back_and_one_wrong_letter_is_found(data: bytes, prefix: str) -> None:
    text = bech32.encode(prefix, data)
    assert bech32.decode(text) == (prefix, data)
    for at in range(len(prefix) + 1, len(text)):
        wrong = text[:at] + ("q" if text[at] != "q" else "p") + text[at + 1 :]
        with pytest.raises(ValueError, match="bech32"):
            bech32.decode(wrong)
