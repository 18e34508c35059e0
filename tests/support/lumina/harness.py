"""The EVM harness for a chain of another namespace, which has no websockets."""

from collections.abc import Sequence
from typing import Self

from pydantic import SecretStr
from vagus_lumina.adapter import LuminaAdapter, LuminaConfig

from support.evm_harness import EvmHarness, _wallet
from support.lumina.chain import lumina_builds, renamed
from vagus.adapters.base import ChainAdapter
from vagus.adapters.conformance.harness import Urls

__all__ = ["LuminaHarness"]


class LuminaHarness(EvmHarness):
    """anvil with blocks by order alone."""

    async def __aenter__(self) -> Self:
        with lumina_builds():
            await super().__aenter__()
        self.hub = renamed(self.hub)
        self.node = Urls(self.anvil.rpc)
        return self

    def adapter(
        self, endpoints: Sequence[Urls], *, account: int = 0, quorum: int = 1, poll: float = 0.05
    ) -> ChainAdapter:
        config = LuminaConfig(
            id=renamed(self.anvil.chain),
            hub=self.hub,
            rpc=tuple(SecretStr(each.rpc) for each in endpoints),
            quorum=quorum,
            finality=self._rule,
            poll_interval=poll,
            timeout=2.0,
            max_answer=4 << 20,
        )
        return LuminaAdapter(config, _wallet(account))
