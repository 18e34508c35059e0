"""Putting a canary to a backend, and its answer to the trusted one: whatever they do, an answer or an error."""

import asyncio

import structlog

from vagus.compute.base import Answer, Backend, Completion, Model
from vagus.compute.routing.checks import TIMEOUT, check
from vagus.compute.routing.sequential import Check
from vagus.protocol import Refuse, Retry

__all__ = ["Examiner"]

LATE = "it took too long"


class Examiner:
    """Asks, with nothing remembered. A plugin may keep to no time and to no errors: this does."""

    def __init__(self, trusted: Backend) -> None:
        self.trusted = trusted
        # It has traffic too, which many checks at once would keep waiting.
        self._checking = asyncio.Lock()
        self._log = structlog.get_logger("vagus.canaries")

    async def sells(self, model: Model) -> bool:
        """Whether the trusted backend says that it serves a model."""
        try:
            async with asyncio.timeout(TIMEOUT):
                return model in await self.trusted.models()
        except (Retry, Refuse, TimeoutError):
            return False
        except Exception as error:  # noqa: BLE001 - a plugin's defect must not stop the others
            self._defect(self.trusted, error)
            return False

    async def answer(self, backend: Backend, request: Completion) -> Answer:
        """Return what a backend answers. Raises Retry and Refuse."""
        try:
            async with asyncio.timeout(TIMEOUT):
                return await backend.complete(request, timeout=TIMEOUT)
        except (Retry, Refuse):
            raise
        except TimeoutError:
            raise Retry(LATE) from None
        except Exception as error:  # noqa: BLE001 - a plugin's defect must not stop the others
            raise self._defect(backend, error) from None

    async def check(self, request: Completion, answer: Answer) -> tuple[bool, Check]:
        """Return whether an answer passes, and by which check. Raises Retry and Refuse: nothing is known."""
        try:
            # A check is two calls at most.
            async with self._checking, asyncio.timeout(2 * TIMEOUT):
                return await check(self.trusted, request, answer)
        except (Retry, Refuse):
            raise
        except TimeoutError:
            raise Retry(LATE) from None
        except Exception as error:  # noqa: BLE001 - a plugin's defect must not stop the others
            raise self._defect(self.trusted, error) from None

    def _defect(self, backend: Backend, error: Exception) -> Retry:
        kind = type(error).__name__
        # A traceback quotes the question.
        self._log.error("a defect of a backend", backend=backend.name, error=kind)
        return Retry(f"a defect of backend {backend.name}: {kind}")
