"""What is alike in the backends that tests write."""

from typing import Self

from vagus.compute import Backend, BackendConfig

__all__ = ["Ready"]


class Ready(Backend):
    """Opens nothing and has no options of its own; what it serves, its subclass says."""

    Config = BackendConfig

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass
