"""The models that backends serve: the digests that a requester can pin, contexts, prices."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from vagus.compute.leases.leased import LeasedBackend
from vagus.compute.rates import MoneyConfig, Rates
from vagus.protocol import Refuse, Retry, VagusError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vagus.compute import Backend, Model

__all__ = ["list_models"]


async def list_models(
    backends: Iterable[Backend], money: MoneyConfig | None = None
) -> list[dict[str, Any]]:
    """Enter each backend in turn and return what it serves, as JSON shows it.

    One that rents machines is not entered, which only a running node may: its config says what it
    serves. Raises VagusError, which names the backend that does not answer. `weights` is a sha256 in
    hex, `context` tokens; None stands for what the backend does not know. `price` is in the unit of
    account's smallest parts per 1,000,000 tokens, or `unpriced` says why it is not known.
    """
    found: list[dict[str, Any]] = []
    async with Rates(money or MoneyConfig()) as rates:
        if money is not None and money.sources:
            with contextlib.suppress(Retry):  # then what is in dollars says that it has no price
                await rates.refresh()
        for backend in backends:
            backend.price_by(rates.money)
            async with contextlib.nullcontext() if isinstance(backend, LeasedBackend) else backend:
                try:
                    models = await backend.models()
                except (Retry, Refuse) as error:
                    raise VagusError(f"backend {backend.name}: {error.reason}") from None
                found += [_shown(backend, model) for model in models]
    return found


def _shown(backend: Backend, model: Model) -> dict[str, Any]:
    unpriced = None
    try:
        price = backend.price(model)
    except Retry as error:
        price, unpriced = None, error.reason
    return {
        "backend": backend.name,
        "model": model.name,
        "revision": model.revision,
        "quantization": model.quantization,
        "weights": model.weights,
        "digest": "0x" + model.digest.hex(),
        "context": backend.context(model),
        "price": None
        if price is None
        else {"input": f"{price.input:f}", "output": f"{price.output:f}", "source": price.source},
        "unpriced": unpriced,
    }
