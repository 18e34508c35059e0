"""Parameters of hubs that cannot work, by why: known before a chain is asked, on each kind of chain."""

from dataclasses import dataclass, replace

from vagus.adapters.base import HubParameters

__all__ = ["GOOD", "Unchecked", "wrong_parameters"]

GOOD = HubParameters(signers=(b"\x11" * 20, b"\x22" * 20), threshold=2)
DAYS_366 = 366 * 86_400


@dataclass(frozen=True, slots=True)
class Unchecked(HubParameters):
    """What only the chain refuses: nobody looks at it here."""

    def check(self, fee_bits: int, slowest: float) -> None:
        pass

    def check_finality(self, finality: float, slowest: float) -> None:
        pass


def wrong_parameters(fee_bits: int) -> dict[str, HubParameters]:
    """Each with what is said of it, on a chain whose amounts have so many bits."""
    one, two = GOOD.signers
    return {
        r"signers: .* not distinct": replace(GOOD, signers=(one, one)),
        r"signers: .* ascending": replace(GOOD, signers=(two, one)),
        "signers: the zero address": replace(GOOD, signers=(bytes(20), one)),
        "signers: a set has 1 to 32": replace(
            GOOD, signers=tuple(bytes([at]) * 20 for at in range(1, 34)), threshold=17
        ),
        "signers: a signer is an address": replace(GOOD, signers=(one, two[1:])),
        r"threshold: 0 is outside 1\.\.2": replace(GOOD, threshold=0),
        r"threshold: 3 is outside 1\.\.2": replace(GOOD, threshold=3),
        "threshold: 1 of 2 is no majority": replace(GOOD, threshold=1),
        f"min_fee: -1 is outside what {fee_bits} bits": replace(GOOD, min_fee=-1),
        f"min_fee: {2**fee_bits} is": replace(GOOD, min_fee=2**fee_bits),
        "max_callback_gas: -1": replace(GOOD, max_callback_gas=-1),
        f"max_callback_gas: {2**64}": replace(GOOD, max_callback_gas=2**64),
        "guardian: a word": replace(GOOD, guardian=b"\x11" * 20),
        "roster_hash: a word": replace(GOOD, roster_hash=b""),
        "min_ttl: -1 s": replace(GOOD, min_ttl=-1),
        "min_ttl: 59 s is too short": replace(GOOD, min_ttl=59),
        "max_ttl: 100 s is under min_ttl": replace(GOOD, max_ttl=100),
        f"max_ttl: {DAYS_366 + 1} s": replace(GOOD, max_ttl=DAYS_366 + 1),
        f"max_ttl: {10**20} s": replace(GOOD, max_ttl=10**20),
        "grace: -1 s": replace(GOOD, grace=-1),
        "grace: 659 s is too short": replace(GOOD, grace=659),
        f"grace: {DAYS_366 + 1} s": replace(GOOD, grace=DAYS_366 + 1),
        f"grace: {10**20} s": replace(GOOD, grace=10**20),
    }
