"""Tasks that live as long as an `async with`, and are seen by nobody outside of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine

__all__ = ["background"]


@contextlib.asynccontextmanager
async def background(**tasks: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run named tasks beside the body and cancel them at its end.

    What a task raises cancels the body and leaves as an ExceptionGroup. What the body raises leaves
    as it is, where a bare TaskGroup would wrap it: a caller of `async with adapter` writes
    `except Halt` and does not know of the tasks.
    """
    raised: Exception | None = None
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(task, name=name) for name, task in tasks.items()]
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised again below, outside of the group
            raised = error
        finally:
            for task in running:
                task.cancel()
    if raised is not None:
        raise raised
