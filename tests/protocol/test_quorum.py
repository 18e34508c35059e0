"""A quorum is what a hub accepts; everything near it is rejected, with the reason said."""

import random
from typing import Any

import pytest
from eth_account import Account
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from vagus.protocol import MAX_SIGNERS, QuorumError, SignerSet, signers_hash, verify_quorum

DIGEST = bytes(range(32))
ZERO = bytes(20)
_ACCOUNTS = sorted(
    (Account.from_key(random.Random(i).randbytes(32)) for i in range(40)),
    key=lambda account: bytes.fromhex(account.address[2:]),
)
ADDRESSES = [bytes.fromhex(account.address[2:]) for account in _ACCOUNTS]
SIGNATURES = [bytes(account.unsafe_sign_hash(DIGEST).signature) for account in _ACCOUNTS]


def test_a_full_set_of_each_size_is_a_quorum_and_names_its_signers() -> None:
    for size in range(1, MAX_SIGNERS + 1):
        found = verify_quorum(DIGEST, SIGNATURES[:size], ADDRESSES[:size], size)
        assert found == tuple(ADDRESSES[:size])


def test_the_threshold_is_enough_and_more_is_welcome() -> None:
    picked = [SIGNATURES[0], SIGNATURES[2], SIGNATURES[3]]
    expected = (ADDRESSES[0], ADDRESSES[2], ADDRESSES[3])
    assert verify_quorum(DIGEST, picked, ADDRESSES[:4], 3) == expected
    assert verify_quorum(DIGEST, picked, ADDRESSES[:4], 2) == expected


def test_too_few_signatures_are_rejected() -> None:
    with pytest.raises(QuorumError, match="2 signatures, the threshold is 3"):
        verify_quorum(DIGEST, SIGNATURES[:2], ADDRESSES[:4], 3)
    with pytest.raises(QuorumError, match="0 signatures"):
        verify_quorum(DIGEST, [], ADDRESSES[:4], 1)


def test_more_signatures_than_signers_are_rejected_before_any_is_recovered() -> None:
    with pytest.raises(QuorumError, match="5 signatures, but the set has 4 signers"):
        verify_quorum(DIGEST, [b""] * 5, ADDRESSES[:4], 3)


def test_unsorted_signers_are_rejected() -> None:
    with pytest.raises(QuorumError, match="signature 1: signers are not strictly ascending"):
        verify_quorum(DIGEST, [SIGNATURES[1], SIGNATURES[0]], ADDRESSES[:3], 2)


def test_a_doubled_signer_is_rejected() -> None:
    with pytest.raises(QuorumError, match="signature 1: signers are not strictly ascending"):
        verify_quorum(DIGEST, [SIGNATURES[0]] * 2, ADDRESSES[:3], 2)


def test_an_unknown_signer_is_rejected_even_beside_a_quorum() -> None:
    with pytest.raises(QuorumError, match=f"signature 2: 0x{ADDRESSES[5].hex()} is not in the set"):
        verify_quorum(DIGEST, [*SIGNATURES[:2], SIGNATURES[5]], ADDRESSES[:3], 2)


def test_a_signature_over_another_digest_is_by_nobody_in_the_set() -> None:
    with pytest.raises(QuorumError, match="is not in the set"):
        verify_quorum(bytes(32), SIGNATURES[:2], ADDRESSES[:3], 2)


def test_an_invalid_signature_is_rejected_even_beside_a_quorum() -> None:
    with pytest.raises(QuorumError, match="signature 2: v is 0"):
        verify_quorum(DIGEST, [*SIGNATURES[:2], bytes(65)], ADDRESSES[:3], 2)


@pytest.mark.parametrize(
    ("signers", "reason"),
    [
        ([], "1 to 32 signers, not 0"),
        (ADDRESSES[:33], "1 to 32 signers, not 33"),
        ([ZERO, *ADDRESSES[:2]], "zero address"),
        ([*ADDRESSES[:2], ZERO], "not distinct and ascending"),
        ([ADDRESSES[1], ADDRESSES[0]], "not distinct and ascending"),
        ([ADDRESSES[0], ADDRESSES[0]], "not distinct and ascending"),
        ([bytes(19)], "20 bytes"),
        ([bytes(12) + ADDRESSES[0]], "20 bytes"),
        (["0x" + "11" * 9], "20 bytes"),
    ],
)
def test_a_malformed_set_is_rejected_everywhere(signers: list[Any], reason: str) -> None:
    with pytest.raises(QuorumError, match=reason):
        verify_quorum(DIGEST, SIGNATURES[:1], signers, 1)
    with pytest.raises(QuorumError, match=reason):
        SignerSet(1, tuple(signers), max(1, len(signers)))
    with pytest.raises(QuorumError, match=reason):
        signers_hash(signers)


@pytest.mark.parametrize("threshold", [0, -1, 4, 33])
def test_a_threshold_of_0_or_over_the_sets_size_is_rejected(threshold: int) -> None:
    with pytest.raises(QuorumError, match=r"threshold -?\d+ is outside 1..3"):
        verify_quorum(DIGEST, SIGNATURES[:3], ADDRESSES[:3], threshold)
    with pytest.raises(QuorumError, match=r"threshold -?\d+ is outside 1..3"):
        SignerSet(1, tuple(ADDRESSES[:3]), threshold)


@pytest.mark.parametrize("threshold", [True, 2.0, "2", None])
def test_a_threshold_that_is_no_int_is_rejected(threshold: Any) -> None:
    with pytest.raises(QuorumError, match="must be an int"):
        verify_quorum(DIGEST, SIGNATURES[:3], ADDRESSES[:3], threshold)


@pytest.mark.parametrize(("size", "threshold"), [(2, 1), (4, 2), (32, 16), (5, 2)])
def test_a_set_whose_threshold_is_no_majority_is_rejected(size: int, threshold: int) -> None:
    with pytest.raises(QuorumError, match="no majority"):
        SignerSet(1, tuple(ADDRESSES[:size]), threshold)


@pytest.mark.parametrize(("size", "threshold"), [(1, 1), (2, 2), (3, 2), (4, 3), (32, 17)])
def test_a_set_whose_threshold_is_a_majority_stands(size: int, threshold: int) -> None:
    signers = SignerSet(7, tuple(ADDRESSES[:size]), threshold)
    assert (signers.epoch, signers.threshold, len(signers.signers)) == (7, threshold, size)


@pytest.mark.parametrize("epoch", [-1, 2**64, True, None])
def test_an_epoch_outside_uint64_is_a_value_error(epoch: Any) -> None:
    with pytest.raises(ValueError, match=r"^epoch "):
        SignerSet(epoch, (ADDRESSES[0],), 1)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 8), st.integers(1, 8), st.lists(st.integers(0, 9), max_size=9))
def test_exactly_the_ascending_member_lists_of_threshold_length_pass(
    size: int, threshold: int, picks: list[int]
) -> None:
    valid = (
        threshold <= size
        and threshold <= len(picks) <= size
        and picks == sorted(set(picks))
        and all(pick < size for pick in picks)
    )
    signatures = [SIGNATURES[pick] for pick in picks]
    if valid:
        found = verify_quorum(DIGEST, signatures, ADDRESSES[:size], threshold)
        assert found == tuple(ADDRESSES[pick] for pick in picks)
    else:
        with pytest.raises(QuorumError):
            verify_quorum(DIGEST, signatures, ADDRESSES[:size], threshold)


def test_signers_hash_is_the_keccak_of_padded_addresses() -> None:
    padded = b"".join(bytes(12) + address for address in ADDRESSES[:3])
    assert signers_hash(ADDRESSES[:3]) == keccak(padded)
