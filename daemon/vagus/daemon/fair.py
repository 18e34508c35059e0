"""What another member's run may have cost, as this one sees it: its cost is paid by the fee, and to it.

Prices and tokens are the leader's own word. They are held to what does not come from it: the fee, the
bounds that each run has, this member's own run, the prices that its own backends list.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from vagus.agents import Budget
from vagus.compute import Price, Usage
from vagus.protocol import Refuse, Retry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vagus.agents import Route
    from vagus.agents.document import CallDocument, Document

__all__ = ["check_prices", "check_tokens", "listed_prices"]

# One model costs so many times as much at one network as at another, and prices move.
DEARER = 4
# Two runs of one agent on one question have at most so many times as many tokens one as the other, and
# so many more a call: tokenizers, templates and answers differ.
LONGER, MORE = 4, 256


def check_tokens(document: Document, own: Document | None) -> None:
    """Refuse more tokens than a run may have, or than follow from this member's own run.

    own: the evidence of that, where it had one. What was written is compared where the models are the
    same: another one may think at length before it answers.
    """
    read, written = _tokens(document)
    if written > (most := Budget().max_tokens):
        raise Refuse(f"its models wrote {written} tokens, and a run may have {most}")
    if own is None:
        return
    read_here, written_here = _tokens(own)
    more = MORE * len(own.calls)
    if read > LONGER * read_here + more:
        raise Refuse(f"its models read {read} tokens, and {read_here} in this node's own run")
    if _models(document) <= _models(own) and written > LONGER * written_here + more:
        raise Refuse(
            f"its models wrote {written} tokens, and {written_here} in this node's own run"
        )


def check_prices(document: Document, most: Price | None, listed: dict[str, Price]) -> None:
    """Refuse prices over what this member's operator lets tokens cost, or far above what it would pay.

    most: the operator's word, None for none. listed: as `listed_prices` returns them; a model that is not
    there is held to the dearest that is.
    """
    if most is not None:
        for price in map(_price, document.calls):
            if not price.within(most):
                raise Refuse(f"{_shown(price)}, over this operator's maximum price")
        return
    if not listed:
        return
    dearest = _dearest(listed.values())
    known = [listed.get(call.model.digest, dearest) for call in document.calls]
    usages = [Usage(call.usage.prompt, call.usage.completion) for call in document.calls]
    usual = sum(price.cost(usage) for price, usage in zip(known, usages, strict=True))
    if int(document.cost) > DEARER * usual:
        raise Refuse(
            f"it cost {document.cost}, over {DEARER} times the {usual} that it would cost here"
        )


def listed_prices(routes: Iterable[Route]) -> dict[str, Price]:
    """Return the dearest price of each model that is not free here, by its digest in 0x-prefixed hex."""
    found: dict[str, Price] = {}
    for route in routes:
        try:
            price = route.backend.price(route.model)
        except (Retry, Refuse):
            continue  # it is not known now
        if price.input or price.output:
            digest = "0x" + route.model.digest.hex()
            found[digest] = _dearest([price, found.get(digest, price)])
    return found


def _tokens(document: Document) -> tuple[int, int]:
    read = sum(call.usage.prompt for call in document.calls)
    return read, sum(call.usage.completion for call in document.calls)


def _models(document: Document) -> set[str]:
    return {call.model.digest for call in document.calls}


def _dearest(prices: Iterable[Price]) -> Price:
    found = list(prices)
    return Price(max(each.input for each in found), max(each.output for each in found))


def _price(call: CallDocument) -> Price:
    return Price(Decimal(call.price.input), Decimal(call.price.output))


def _shown(price: Price) -> str:
    return f"its tokens cost {price.input:f} and {price.output:f} a million"
