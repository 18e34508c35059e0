"""What an operator lets through: rules about the content of questions and answers, without code.

A rule matches where any of its conditions holds for what a payload or an output says: its text, or
the texts, keys and numbers of its JSON. Letters are compared as people read them: case, width and
unseen letters make no difference.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from vagus.agents.codec import parse_json
from vagus.agents.data_classes import DataClass, holds
from vagus.compute import Label
from vagus.protocol import Refuse

__all__ = ["ContentRule", "texts_of"]

Word = Annotated[str, StringConstraints(min_length=1, max_length=64)]
# Of Unicode's general categories, those that carry no meaning of their own.
Characters = Literal["control", "format", "private", "unassigned"]
_CATEGORIES = {"Cc": "control", "Cf": "format", "Co": "private", "Cn": "unassigned"}
_WHITE = frozenset("\t\n\r")


class ContentRule(BaseModel):
    """One rule; `name` is what a refusal says.

    words: texts that stand there as words. longer: more characters than this, in all. characters:
    any of such a kind, but tabs and line ends. data: any of such a class. networks: of a question,
    where what matches may go, and nowhere else; it is refused where this is empty.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(pattern=r"^[ -~]{1,64}$")]
    words: Annotated[tuple[Word, ...], Field(max_length=256)] = ()
    longer: Annotated[int, Field(ge=1)] | None = None
    characters: tuple[Characters, ...] = ()
    data: tuple[DataClass, ...] = ()
    networks: tuple[Label, ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.words or self.longer or self.characters or self.data):
            raise ValueError(
                f"rule {self.name!r} has no condition: words, longer, characters, data"
            )
        if blank := [each for each in self.words if not _plain(each).strip()]:
            raise ValueError(f"rule {self.name!r} looks for a word without letters: {blank[0]!r}")
        return self

    def matches(self, texts: Sequence[str]) -> bool:
        """Say whether any condition holds."""
        if self.longer is not None and sum(map(len, texts)) > self.longer:
            return True
        return any(self._matches(text) for text in texts)

    def _matches(self, text: str) -> bool:
        if self.characters and any(
            _CATEGORIES.get(unicodedata.category(each)) in self.characters and each not in _WHITE
            for each in text
        ):
            return True
        plain = _plain(text)
        if self._words is not None and self._words.search(plain.casefold()):
            return True
        return any(holds(kind, plain) for kind in self.data)

    @cached_property
    def _words(self) -> re.Pattern[str] | None:
        if not self.words:
            return None
        listed = "|".join(re.escape(_plain(each).casefold()) for each in self.words)
        return re.compile(rf"(?<!\w)(?:{listed})(?!\w)")


def texts_of(data: bytes) -> tuple[str, ...]:
    """Return what a payload or an output says; nothing where it is no text."""
    try:
        return tuple(_texts(parse_json(data, "it", fraction=str)))
    except Refuse:
        pass  # it is no JSON, or none that all read alike: then it is text
    try:
        return (data.decode(),)
    except UnicodeDecodeError:
        return ()


def _texts(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for key, each in value.items():
                yield key
                yield from _texts(each)
        case list():
            for each in value:
                yield from _texts(each)
        case int() if not isinstance(value, bool):
            yield str(value)
        case _:
            pass


def _plain(text: str) -> str:
    """Return a text in its usual letters (NFKC), without those that nobody sees."""
    whole = unicodedata.normalize("NFKC", text)
    return "".join(each for each in whole if unicodedata.category(each) != "Cf")
