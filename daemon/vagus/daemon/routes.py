"""Which backend serves which model: each is asked now and then, sooner where it did not answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from vagus.agents import Route
from vagus.compute import Barred
from vagus.protocol import Refuse, Retry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vagus.compute import Backend

__all__ = ["Routes"]

# Seconds that a backend gets to say what it serves, and until it is asked again.
PATIENCE = 10.0
AGAIN = 10.0
# The same for one that has said it: intents wait for what it says now.
KNOWN_PATIENCE = 1.0
KNOWN_AGAIN = 60.0
# Seconds until an operator may have mended what bars this node.
BARRED_AGAIN = 30.0


class Routes:
    """A route for each backend and model, in the order of the config."""

    def __init__(self, backends: Sequence[Backend]) -> None:
        self._backends = backends
        self._routes: dict[str, tuple[Route, ...]] = {}
        self._failed: dict[str, tuple[float, Retry | Refuse]] = {}
        # When each that is known is asked again, in seconds of the loop's clock.
        self._next: dict[str, float] = {}

    async def all(self) -> list[Route]:
        """Return the routes that are known; a backend that does not answer is left out for now.

        One that has answered before stays with what it said last.

        Raises Retry, or a Refuse of the only kind that there is, where no backend answered.
        """
        now = asyncio.get_running_loop().time()
        due = [each for each in self._backends if self._due(each.name, now)]
        if due:
            async with asyncio.TaskGroup() as group:
                for each in due:
                    group.create_task(self._ask(each), name=f"models of {each.name}")
        found = self.known()
        if not found and self._failed:
            raise _word([error for _, error in self._failed.values()])
        return found

    def known(self) -> list[Route]:
        """Return the routes that are known, and ask nobody."""
        return [route for each in self._backends for route in self._routes.get(each.name, ())]

    def silent(self) -> list[tuple[Backend, str]]:
        """Return who has not said what it serves, with the reason."""
        return [
            (each, self._failed[each.name][1].reason)
            for each in self._backends
            if each.name in self._failed
        ]

    def unheard(self) -> Retry | None:
        """Return why one may serve more than is known: it has not said yet what; None for no such."""
        errors = [error for _, error in self._failed.values() if isinstance(error, Retry)]
        return errors[0] if errors else None

    def _due(self, name: str, now: float) -> bool:
        if name in self._routes:
            return self._next[name] <= now
        # While nothing is known nobody is spared: an intent waits for it.
        return not self._routes or name not in self._failed or self._failed[name][0] <= now

    async def _ask(self, backend: Backend) -> None:
        known = backend.name in self._routes
        # Whoever comes while it is asked goes on with what is known.
        self._next[backend.name] = asyncio.get_running_loop().time() + KNOWN_AGAIN
        try:
            async with asyncio.timeout(KNOWN_PATIENCE if known else PATIENCE):
                models = await backend.models()
        except (Retry, Refuse) as error:
            self._fail(backend, error)
        except TimeoutError:
            self._fail(backend, Retry(f"backend {backend.name} does not say what it serves"))
        else:
            self._failed.pop(backend.name, None)
            self._routes[backend.name] = tuple(Route(backend, each) for each in models)

    def _fail(self, backend: Backend, error: Retry | Refuse) -> None:
        if backend.name in self._routes:
            return
        self._failed[backend.name] = asyncio.get_running_loop().time() + AGAIN, error


def _word(errors: Sequence[Retry | Refuse]) -> Retry | Refuse:
    """Return what it means that nobody answered: nothing is decided, unless all refuse for good."""
    for error in errors:
        if isinstance(error, Retry):
            return error
    for error in errors:
        if isinstance(error, Barred):
            return Retry(error.reason, BARRED_AGAIN)
    return errors[0]
