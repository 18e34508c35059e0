"""GPU.net's market, read from its contract on the GAN chain (eip155:4048). It has no API for renting.

Source: the published source of GPURentalMarketplace and its views: `machineId()` is the newest machine's
number (the first is 10001), `machines(uint256)` a machine without its ports, its price in USD × 10^6
per hour. `rentMachine` takes calls of GPU.net's own server alone, so a machine is rented in its
console, and what is read here is what it costs and whether it is rented. Nothing was asked of the
real chain. Whoever listed a machine wrote its name and region: they are bounded and made printable.
"""

import asyncio
from dataclasses import dataclass
from decimal import Decimal

from vagus.compute.bounds import one_line
from vagus.compute.chain import ContractReader
from vagus.protocol import Retry, keccak256

__all__ = ["Machine", "Market"]

FIRST = 10_001
MAX_MACHINES = 512
AT_ONCE = 8
# Bytes of one machine, and of one of its texts.
MAX_ANSWER = 16 << 10
MAX_TEXT = 128
WORDS = 11
# Texts of a machine by their place, and its numbers.
_GPU, _VRAM, _REGION, _PRICE, _LISTED, _RENTED = 1, 2, 7, 8, 9, 10
_MACHINE_ID = keccak256(b"machineId()")[:4]
_MACHINES = keccak256(b"machines(uint256)")[:4]
# USD × 10^6 an hour that no GPU costs: more is a mistake or a joke.
MAX_PRICE = 10**6 * 10**6


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine as the market has it: memory in GB, USD per hour, printable texts."""

    number: int
    gpu: str
    vram: int
    region: str
    hourly: Decimal
    listed: bool
    rented: bool


class Market:
    """The marketplace at an address."""

    def __init__(self, reader: ContractReader, address: str) -> None:
        self._reader = reader
        self._address = address

    async def machine(self, number: int) -> Machine:
        """Read one machine as it is now. Raises Retry; also for one that there is not."""
        found = await self._read(number, await self._reader.head())
        if found is None:
            raise Retry(f"GPU.net's market has no machine {number}", 60.0)
        return found

    async def offers(self) -> tuple[Machine, ...]:
        """Read what may be rented now, cheapest first, of the newest machines. Raises Retry."""
        height = await self._reader.head()
        data = await self._reader.call(self._address, _MACHINE_ID, height)
        last = _word(data, 0)
        if last >= 1 << 63:
            raise Retry("GPU.net's market numbers its machines beyond belief")
        numbers = range(max(FIRST, last - MAX_MACHINES + 1), last + 1)
        slots = asyncio.Semaphore(AT_ONCE)

        async def read(number: int) -> Machine | None:
            async with slots:
                return await self._read(number, height)

        found = await asyncio.gather(*(read(number) for number in numbers))
        free = [each for each in found if each is not None and each.listed and not each.rented]
        return tuple(sorted(free, key=lambda each: (each.hourly, each.number)))

    async def _read(self, number: int, height: int) -> Machine | None:
        """Return a machine, None for a number that none has or whose entry is nonsense."""
        asked = _MACHINES + number.to_bytes(32, "big")
        data = await self._reader.call(self._address, asked, height)
        try:
            price, vram = _word(data, _PRICE), _word(data, _VRAM)
            gpu, region = _text(data, _GPU), _text(data, _REGION)
            listed, rented = _flag(data, _LISTED), _flag(data, _RENTED)
        except Retry:
            return None
        if not gpu or price > MAX_PRICE or vram > 1 << 20:
            return None
        hourly = Decimal(price).scaleb(-6)
        return Machine(number, gpu, vram, region, hourly, listed, rented)


def _word(data: bytes, at: int) -> int:
    """Return a word of an ABI answer as a number. Raises Retry where there is none."""
    if len(data) > MAX_ANSWER or len(data) < 32 * (at + 1):
        raise Retry(f"GPU.net's market answered with {len(data)} bytes")
    return int.from_bytes(data[32 * at : 32 * at + 32], "big")


def _flag(data: bytes, at: int) -> bool:
    value = _word(data, at)
    if value > 1:
        raise Retry("GPU.net's market answered with a flag that is neither yes nor no")
    return value == 1


def _text(data: bytes, at: int) -> str:
    """Return a text that a word of the answer points to: printable ASCII, cut where it is long."""
    begin = _word(data, at)
    if begin % 32 or begin < 32 * WORDS or begin + 32 > len(data):
        raise Retry("GPU.net's market answered with a text that is nowhere")
    length = _word(data, begin // 32)
    if begin + 32 + length > len(data):
        raise Retry("GPU.net's market answered with a text that does not end")
    found = data[begin + 32 : begin + 32 + min(length, MAX_TEXT)]
    return one_line(found.decode("utf-8", "replace"))[:MAX_TEXT]
