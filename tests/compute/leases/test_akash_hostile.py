"""An API that answers well-formed nonsense costs a Retry or a Refuse, never another error."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from aiohttp import web

from support.leases import Clock, Network
from vagus.compute.leases.base import Lease
from vagus.compute.sandbox.akash import AkashSandbox
from vagus.protocol import Refuse, Retry

LABEL = "vagus-0123456789abcdef-1"
ODD: list[Any] = [
    *(None, True, -1, 0, 1e300, 10**40, "", "NaN", "1e999999", "-1", "\u202e", "x" * 5000),
    *([], {}, [None], {"a": []}, "127.0.0.1:1@evil", "http://169.254.169.254/", "../../x?y#z"),
]


def bent(dice: random.Random, value: Any) -> Any:
    """Return a JSON value with one part of it replaced, left out or repeated."""
    if isinstance(value, dict) and value and dice.random() < 0.9:
        key = dice.choice(list(value))
        if dice.random() < 0.15:
            return {name: each for name, each in value.items() if name != key}
        return {**value, key: bent(dice, value[key])}
    if isinstance(value, list) and value and dice.random() < 0.9:
        at = dice.randrange(len(value))
        return [*value[:at], bent(dice, value[at]), *value[at + 1 :]]
    return dice.choice(ODD)


@pytest.mark.parametrize("seed", range(40))
async def test_bent_answers_raise_nothing_else(
    akash: Network, clock: Clock, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    dice, honest = random.Random(seed), AkashSandbox._answer

    async def answer(self: AkashSandbox, request: web.Request, handler: Any) -> web.StreamResponse:
        found = await honest(self, request, handler)
        if dice.random() < 0.5 or not isinstance(found, web.Response):
            return found
        body = json.dumps(bent(dice, json.loads(found.body)))  # type: ignore[arg-type]
        return web.Response(text=body, status=found.status, content_type="application/json")

    monkeypatch.setattr(AkashSandbox, "_answer", answer)
    akash.sandbox.bids_after = akash.sandbox.starts_after = 0
    lease = Lease("1", LABEL)
    async with akash.make() as own:
        for _ in range(12):
            try:
                match dice.randrange(6):
                    case 0 | 1:
                        for quote in (await own.quote(akash.want))[:1]:
                            lease = await own.lease(quote, LABEL, "k" * 48)
                    case 2:
                        endpoint = await own.ready(lease)
                        assert endpoint is None or "@" not in endpoint.base_url
                    case 3:
                        await own.renew(lease, clock.now + 7200)
                    case 4:
                        await own.owned("vagus-")
                        await own.credit()
                    case _:
                        await own.release(lease)
            except (Retry, Refuse):
                continue
