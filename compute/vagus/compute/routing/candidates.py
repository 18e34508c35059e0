"""Filters: who may serve, and of who may not, by which rule in words."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

__all__ = ["Rule", "Sifted", "sift", "tokens_about"]

T = TypeVar("T")

# Bytes of a token of plain text, about: who counts exactly is the backend.
BYTES = 4


@dataclass(frozen=True, slots=True)
class Rule(Generic[T]):
    """A filter; `words` name what it asks for: "the terms' regions"."""

    words: str
    holds: Callable[[T], bool]


class Sifted(NamedTuple, Generic[T]):
    """What passed all rules, in the given order, and what fell out, each by its first rule."""

    kept: tuple[T, ...]
    out: tuple[tuple[T, Rule[T]], ...]

    def last(self, rules: Sequence[Rule[T]]) -> Rule[T] | None:
        """Return the rule after which nothing was left; None where something is."""
        if self.kept:
            return None
        fell = [rule for _, rule in self.out]
        return max(fell, key=rules.index, default=None)


def sift(items: Iterable[T], rules: Sequence[Rule[T]]) -> Sifted[T]:
    """Apply rules in their order."""
    kept: list[T] = []
    out: list[tuple[T, Rule[T]]] = []
    for item in items:
        for rule in rules:
            if not rule.holds(item):
                out.append((item, rule))
                break
        else:
            kept.append(item)
    return Sifted(tuple(kept), tuple(out))


def tokens_about(size: int, max_tokens: int) -> int:
    """Return about how many tokens a prompt of so many bytes and its longest answer have."""
    return size // BYTES + max_tokens
