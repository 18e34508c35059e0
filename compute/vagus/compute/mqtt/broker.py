"""A small MQTT broker as a child process: for demos and development networks, on loopback.

It lets everyone read and write everything. A committee's own is Mosquitto (`config/mosquitto/`).
"""

from __future__ import annotations

import contextlib
import importlib.util
from typing import TYPE_CHECKING, Self

from vagus.compute.child import Child
from vagus.compute.mqtt import broker_server
from vagus.protocol import Refuse

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Broker"]

# Seconds for it to listen.
_START = 10.0


class Broker:
    """`async with Broker() as broker: broker.url`. Port 0 has the system choose one.

    Entering raises Refuse without the extra, Retry where it can't be started. It ends with this
    process, however that ends.
    """

    def __init__(self, port: int = 0) -> None:
        self._settings = broker_server.Settings(port)
        self._life = contextlib.AsyncExitStack()
        self._child: Child | None = None
        self.port = port

    @property
    def url(self) -> str:
        """Where it listens, as MqttConfig takes it."""
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id; RuntimeError outside of the async with."""
        if self._child is None:
            raise RuntimeError("the broker is used outside its async with")
        return self._child.pid

    async def __aenter__(self) -> Self:
        if importlib.util.find_spec("iotcore") is None:
            raise Refuse("the embedded broker is an extra: pip install 'vagus[broker]'")
        async with contextlib.AsyncExitStack() as life:
            child = Child(broker_server.__name__, self._settings, what="the embedded broker")
            self._child = await life.enter_async_context(child)
            self.port = await self._child.port(timeout=_START)
            self._life = life.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._life.aclose()
