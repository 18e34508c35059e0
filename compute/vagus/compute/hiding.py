"""Takes secrets out of what others say, however they spell them: whole, cut, escaped or in pieces."""

import html
import re
from collections.abc import Iterable
from urllib.parse import unquote

__all__ = ["Hider"]

# Letters and digits: a run of so many that a secret has too is taken out, and no shorter secret is one.
RUN = 6
LEAST = 4
_CODE = re.compile(r"\\u([0-9a-fA-F]{4})")
_ESCAPE = re.compile(r'\\+[nrtbf"\\/]?')


class Hider:
    """The secrets that no text may repeat.

    Escapes of JSON, HTML and URLs are undone first, and only letters and digits are compared, whatever
    their case: what stands between them is spelt in too many ways. Nothing is known of other codings
    (base64), nor of secrets of under four letters and digits.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._runs: dict[int, set[str]] = {}
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        """Hide these as well, from now on."""
        for secret in secrets:
            for said in (secret, _plain(secret)):
                word = "".join(letter for _, letter in _letters(said))
                size = min(RUN, len(word))
                if size >= LEAST:
                    runs = {word[at : at + size] for at in range(len(word) - size + 1)}
                    self._runs.setdefault(size, set()).update(runs)

    def __call__(self, text: str) -> str:
        """Return a text without its escapes, and with `…` for each part that is of a secret."""
        text = _plain(text)
        letters = _letters(text)
        word = "".join(letter for _, letter in letters)
        hidden = bytearray(len(word))
        for size, runs in self._runs.items():
            for at in range(len(word) - size + 1):
                if word[at : at + size] in runs:
                    hidden[at : at + size] = b"\1" * size
        kept: list[str] = []
        last = 0
        for begin, end in _spans(hidden):
            first, behind = letters[begin][0], letters[end - 1][0] + 1
            kept += [text[last:first], "…"]
            last = behind
        return "".join([*kept, text[last:]])


def _plain(text: str) -> str:
    """Return a text with its escapes undone, those of escapes too."""
    for _ in range(3):
        before = text
        text = unquote(html.unescape(text))
        text = _CODE.sub(lambda found: chr(int(found[1], 16)), text)
        if text == before:
            break
    return _ESCAPE.sub(" ", text)


def _letters(text: str) -> list[tuple[int, str]]:
    """Return a text's letters and digits, small, each with its place."""
    return [(at, each.lower()[0]) for at, each in enumerate(text) if each.isalnum()]


def _spans(marks: bytearray) -> list[tuple[int, int]]:
    return [found.span() for found in re.finditer(b"\1+", marks)]
