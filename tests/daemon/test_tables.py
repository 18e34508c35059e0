"""The table of intents shows a stranger's words as words: no markup, no terminal codes."""

import io
from typing import Any

import pytest
from rich.console import Console

from vagus.daemon.tables import intents_table


def shown(output: str, width: int = 120) -> str:
    intent: dict[str, Any] = {
        "id": "0x" + "ab" * 32,
        "origin": "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1:" + "1" * 44,
        "stage": "settled",
        "status": "fulfilled",
        "output": output,
        "reason": "",
    }
    written = io.StringIO()
    Console(file=written, width=width, force_terminal=True).print(intents_table([intent]))
    return written.getvalue()


@pytest.mark.parametrize(
    "output", ["[/INST]", "[red]no[/red]", "[link=http://a.b]x[/link]", "[bold", "[@click=x]y[/]"]
)
def test_markup_is_text(output: str) -> None:
    assert output in shown(output)


@pytest.mark.parametrize(
    "output", ["\x1b]0;owned\x07", "\x1b[2Jgone", "a\rb", "\x9b31m", "\u202egnp.exe", "\x00"]
)
def test_codes_for_a_terminal_are_left_out(output: str) -> None:
    usual = shown("plain")
    for code in {each for each in output if not each.isprintable()}:
        assert shown(output).count(code) == usual.count(code)


def test_only_the_beginning_of_a_long_answer_is_shown() -> None:
    assert "x" * 60 in shown("x" * 9000)
    assert "x" * 61 not in shown("x" * 9000)


def test_a_narrow_terminal_still_shows_how_an_intent_stands() -> None:
    lines = shown("an answer that is longer than what is left", width=80).splitlines()
    assert len(lines) == 2
    assert "settled" in lines[1]
    assert "fulfilled" in lines[1]
    assert "an answer" in lines[1]
