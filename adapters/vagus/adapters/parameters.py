"""What a hub is deployed with, and what no hub of any kind takes: known before a chain is asked."""

import math
from dataclasses import dataclass

from vagus.protocol import QuorumError, SignerSet

__all__ = ["MAX_PERIOD", "HubParameters", "ParameterError"]

MAX_PERIOD = 366 * 86_400
"""Seconds that a hub's periods have at the most, on every kind of chain."""

_UINT64 = 64
_WORD = 32


class ParameterError(ValueError):
    """A parameter of a deployment that cannot work: its name, and what is wrong with it in words."""

    def __init__(self, name: str, fault: str) -> None:
        super().__init__(f"{name}: {fault}")
        self.name = name
        self.fault = fault


@dataclass(frozen=True, slots=True)
class HubParameters:
    """What a hub is deployed with. Times in seconds; `guardian` and `roster_hash` may be zero.

    `signers` are 20-byte addresses, ascending; `guardian` is a packed address of the hub's chain.
    """

    signers: tuple[bytes, ...]
    threshold: int
    guardian: bytes = bytes(32)
    min_fee: int = 0
    min_ttl: int = 120
    max_ttl: int = 30 * 86_400
    grace: int = 3_600
    max_callback_gas: int = 2_000_000
    roster_hash: bytes = bytes(32)

    def check(self, fee_bits: int, slowest: float) -> None:
        """Raise ParameterError for what no hub takes, or what no chain can keep, however fast it is.

        `fee_bits` is how wide the chain's amounts are, `slowest` the finality of the slowest
        destination in seconds.
        """
        self._check_set()
        _check_uint("min_fee", self.min_fee, fee_bits)
        _check_uint("max_callback_gas", self.max_callback_gas, _UINT64)
        for name in ("guardian", "roster_hash"):
            if len(getattr(self, name)) != _WORD:
                raise ParameterError(name, f"a word of {_WORD} bytes is wanted")
        for name in ("min_ttl", "max_ttl", "grace"):
            if not 0 <= getattr(self, name) <= MAX_PERIOD:
                fault = f"{getattr(self, name)} s is outside 0..{MAX_PERIOD}, which is 366 days"
                raise ParameterError(name, fault)
        if self.max_ttl < self.min_ttl:
            raise ParameterError("max_ttl", f"{self.max_ttl} s is under min_ttl, {self.min_ttl} s")
        if not (math.isfinite(slowest) and slowest >= 0):
            raise ParameterError("slowest", f"{slowest} is no number of seconds from 0 on")
        self.check_finality(0, slowest)

    def check_finality(self, finality: float, slowest: float) -> None:
        """Raise ParameterError for periods that the chains can't keep.

        `finality` is the origin's own, `slowest` that of the slowest destination, both in seconds.
        """
        if self.min_ttl < finality + 60:
            raise ParameterError(
                "min_ttl",
                f"{self.min_ttl} s is too short: this chain's finality takes {finality:.0f} s, and "
                "an answer needs 60 s more",
            )
        # Ten minutes of clock skew, a minute for inclusion on the origin.
        if self.grace < slowest + 660:
            raise ParameterError(
                "grace",
                f"{self.grace} s is too short: the slowest destination's finality takes "
                f"{slowest:.0f} s, and inclusion and clock skew 660 s more",
            )

    def _check_set(self) -> None:
        try:
            SignerSet(0, self.signers, len(self.signers))
        except QuorumError as error:
            raise ParameterError("signers", str(error)) from None
        try:
            SignerSet(0, self.signers, self.threshold)
        except QuorumError as error:
            raise ParameterError("threshold", str(error).removeprefix("threshold ")) from None


def _check_uint(name: str, value: int, bits: int) -> None:
    if not 0 <= value < 1 << bits:
        raise ParameterError(name, f"{value} is outside what {bits} bits hold, 0..2^{bits} - 1")
