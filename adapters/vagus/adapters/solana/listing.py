"""Which transactions named an account, as one endpoint lists them: whole slots, the oldest first.

Nodes list the newest first, a thousand at a time. A long history is walked down once, keeping where each
page began; from then on it is read upwards from its old end, in windows of some pages.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import msgspec
from solders.pubkey import Pubkey

from vagus.adapters.errors import BadAnswer
from vagus.adapters.solana.blocks import number, signature_text
from vagus.adapters.solana.rpc import Rpc

__all__ = ["Listed", "Listing"]

_PAGE = 1_000
_WINDOW = 10
_MAX_PAGES = 100_000


class Listed(NamedTuple):
    """A successful transaction that names the account."""

    slot: int
    signature: str


class _Entry(msgspec.Struct):
    signature: str
    slot: int
    err: Any


_pages = msgspec.json.Decoder(list[_Entry])


class Listing:
    """The history of one account at one endpoint."""

    def __init__(self, rpc: Rpc, account: Pubkey) -> None:
        self._rpc = rpc
        self._account = account
        # Where pages of final transactions ended, the newest first.
        self._marks: list[Listed] = []
        self.reached = 0
        """Up to which slot the newest answer of `between` has everything."""

    async def between(self, after: int, until: int, commitment: str) -> list[Listed]:
        """List the successful ones in the slots after..until, without the first; `reached` says how far.

        A long history comes in windows: `reached` is then below `until`, and above `after`.
        """
        marks = [each for each in self._marks if after + 1 < each.slot <= until]
        resumed = marks[-_WINDOW] if len(marks) >= _WINDOW else None
        if resumed is None:
            self._marks = []
        pages: deque[list[_Entry]] = deque(maxlen=_WINDOW)
        top, before = (until, None) if resumed is None else (resumed.slot - 1, resumed.signature)
        for _ in range(_MAX_PAGES):
            page = await self._page(before, commitment)
            if len(pages) == _WINDOW and pages[0]:
                # What leaves the window may share its last slot with what stays.
                top = min(top, pages[0][-1].slot - 1)
            pages.append(page)
            if len(page) < _PAGE or page[-1].slot <= after:
                break
            before = page[-1].signature
            if resumed is None and commitment == "finalized":
                self._marks.append(Listed(page[-1].slot, before))
        else:
            raise BadAnswer(f"{self._rpc.name}: a history without an end")
        if top <= after:
            raise BadAnswer(f"{self._rpc.name}: more in a slot than slots hold")
        self.reached = top
        return [
            Listed(entry.slot, entry.signature)
            for page in reversed(pages)
            for entry in reversed(page)
            if after < entry.slot <= top and entry.err is None
        ]

    async def _page(self, before: str | None, commitment: str) -> list[_Entry]:
        # An endpoint that is behind lists too few: whoever asks has another count to hold that against.
        options: dict[str, object] = {"limit": _PAGE, "commitment": commitment}
        if before is not None:
            options["before"] = before
        params: list[object] = [str(self._account), options]
        page = await self._rpc.call("getSignaturesForAddress", params, _pages)
        try:
            _check(page, before)
        except ValueError as error:
            raise BadAnswer(f"{self._rpc.name}: getSignaturesForAddress: {error}") from None
        return page


def _check(page: list[_Entry], before: str | None) -> None:
    if len(page) > _PAGE:
        raise ValueError(f"{len(page)} signatures, over {_PAGE}")
    seen = {before}
    newest = 1 << 60
    for entry in page:
        signature_text(entry.signature)
        if number(entry.slot) > newest:
            raise ValueError("signatures that are not in the order of their slots")
        if entry.signature in seen:
            raise ValueError("one signature twice")
        seen.add(entry.signature)
        newest = entry.slot
