"""Logging: structlog. An event is one line, or one entry of systemd's journal; always to stderr.

For people on a terminal lines are coloured words, for everything else JSON. An event is named by
words that stay the same ("hub cannot be read"); what differs is in its fields: `intent` (its id),
`chain` (CAIP-2), `hub`, `reason`. Their values may be a stranger's: none can begin a line, forge a
field or steer a terminal.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from typing import TYPE_CHECKING, TextIO, cast

import structlog

from vagus.daemon.printable import printable
from vagus.daemon.service.journald import JOURNAL, JournalStream, is_journal

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from pathlib import Path
    from typing import Any

__all__ = ["set_up"]


def set_up(level: str, form: str, journal: Path = JOURNAL) -> None:
    """Configure structlog for this process; `form` is auto, json, console or journald.

    Tracebacks never show local variables: keys live there.
    """
    if form == "auto":
        form = "journald" if is_journal(sys.stderr) else "auto"
    human = form == "console" or (form == "auto" and sys.stderr.isatty())
    stream = cast("TextIO", JournalStream(journal)) if form == "journald" else sys.stderr
    shared: list[structlog.typing.Processor] = [
        # What an intent's task bound: it is in the events of its adapters and libraries too.
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    colors = stream.isatty() and not os.environ.get("NO_COLOR")
    render: list[structlog.typing.Processor] = (
        [
            _printable,
            structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=_plain_traceback),
        ]
        if human
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*shared, *render],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    # What libraries log by the standard way leaves in the same form, warnings and worse.
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
            foreign_pre_chain=shared,
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def _printable(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Escape, for a terminal, every character of an event that is not shown as itself."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = printable(value)
    return event


def _plain_traceback(stream: TextIO, exc_info: Any) -> None:
    """Write a traceback without local variables, its lines escaped like any value."""
    plain = io.StringIO()
    structlog.dev.plain_traceback(plain, exc_info)
    stream.write("\n".join(printable(line) for line in plain.getvalue().split("\n")))
