"""What the help says is what is shown: brackets in it are no markup."""

from collections.abc import Iterator
from typing import Any

import typer
from rich.markup import render

from vagus.daemon.cli import app


def texts(command: Any, name: str) -> Iterator[tuple[str, str]]:
    yield name, f"{command.help or ''}{command.epilog or ''}"
    for each in command.params:
        yield f"{name} {each.name}", getattr(each, "help", None) or ""
    for under, each in getattr(command, "commands", {}).items():
        yield from texts(each, f"{name} {under}")


def test_no_words_of_the_help_are_taken_for_markup() -> None:
    found = dict(texts(typer.main.get_command(app), "vagus"))
    assert len(found) > 200
    assert [where for where, text in found.items() if render(text).plain != text] == []
