"""What is wrong with a config, one line a fault: where it is, and what was probably meant."""

from __future__ import annotations

import difflib
import re
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from vagus.protocol import VagusError

__all__ = ["ConfigError", "NoConfigError", "fault_lines"]

_BRANCH = re.compile(r"[\[\]]|^constrained-|^(str|int|float|bool)$")

# What a text has to look like, by how its pattern begins.
_FORMS = (
    ("^mqtts?://", "write mqtt://host:port or mqtts://host:port"),
    (
        "^https?://",
        "write http:// or https://, a host, and a path as /v1, without a name or a key in it",
    ),
)


class ConfigError(VagusError):
    """The config cannot be used; `lines` say where and what to do, one line a fault."""

    exit_code = 2
    advice = "mend it; docs/config.md has every key"

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class NoConfigError(ConfigError):
    """There is no config at a path that can be read."""

    def __init__(self, fault: str, advice: str) -> None:
        super().__init__([f"{fault}: {advice}"])
        self.fault = fault
        self.advice = advice


def fault_lines(error: ValidationError, model: type[BaseModel], outer: str) -> list[str]:
    """Return one line a fault: where it is, what is wrong, and what was probably meant.

    `outer` is the place of the model itself: a file and ": ", or a table in it as well.
    """
    lines: dict[str, str] = {}
    for fault in error.errors(include_url=False, include_input=False):
        # pydantic puts the tried branch of a union into the place, as in finality.literal[…].
        place = [part for part in fault["loc"] if not _BRANCH.search(str(part))]
        where = ".".join(str(part) for part in place)
        said = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "string_pattern_mismatch":
            pattern = fault.get("ctx", {}).get("pattern", "")
            said = next((form for begins, form in _FORMS if pattern.startswith(begins)), said)
        if fault["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(place[-1]), _keys(model, place[:-1]), 1, 0.5)
            hint = f'did you mean "{near[0]}"?' if near else "see docs/config.md"
            said = f"unknown key; {hint}"
        lines[where] = f"{lines[where]}, or: {said}" if where in lines else said
    dot = "" if outer.endswith(": ") else "."
    whole = outer.removesuffix(": ")
    return [f"{outer}{dot}{at}: {said}" if at else f"{whole}: {said}" for at, said in lines.items()]


def _keys(model: Any, outer: list[int | str]) -> list[str]:
    """Return the keys of the model found at a place in another; none where there is no model."""
    for part in outer:
        if isinstance(part, int):
            continue  # an element of a list of models: the list's annotation names the model
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return []
        field = model.model_fields.get(part)
        if field is None:
            return []
        found = [field.annotation, *get_args(field.annotation)]
        models = [each for each in found if isinstance(each, type) and issubclass(each, BaseModel)]
        model = models[0] if models else None
    return list(model.model_fields) if model is not None else []
