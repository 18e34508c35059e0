"""The models that backends serve, with the digests that a requester can pin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vagus.protocol import Refuse, Retry, VagusError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vagus.compute import Backend

__all__ = ["list_models"]


async def list_models(backends: Iterable[Backend]) -> list[dict[str, Any]]:
    """Enter each backend in turn and return what it serves, as JSON shows it.

    Raises VagusError, which names the backend that does not answer. `weights` is a sha256 in hex; None stands for what the backend's config does not know.
    """
    found: list[dict[str, Any]] = []
    for backend in backends:
        async with backend:
            try:
                models = await backend.models()
            except (Retry, Refuse) as error:
                raise VagusError(f"backend {backend.name}: {error.reason}") from None
            found += [
                {
                    "backend": backend.name,
                    "model": model.name,
                    "revision": model.revision,
                    "quantization": model.quantization,
                    "weights": model.weights,
                    "digest": "0x" + model.digest.hex(),
                }
                for model in models
            ]
    return found
