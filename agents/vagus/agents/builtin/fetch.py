"""`fetch@1`: one value of a JSON API, by its JSONPath.

Payload: JSON `{"url": "https://…", "path": "$.price"}` and, where wanted, `type`, `decimals`,
`headers`, `secrets`, and `method` with `body`. The path must select exactly one value. Output, by `type`:

    number     the value times 10^decimals, rounded half to even, as an int256: 32 bytes in two's
               complement, most significant first; a JSON number, or a text that is one
    boolean    32 bytes: 1 or 0
    string     the text's UTF-8
    json       the value's RFC 8785 JSON

No model is asked. Which hosts may be, the committee's config says: none by default.
"""

import base64
import decimal
import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)

from vagus.agents.base import Agent
from vagus.agents.codec import parse_json
from vagus.agents.context import Context
from vagus.agents.http import GuardedHttp, HttpPolicy
from vagus.agents.jsonpath import JsonPath
from vagus.agents.manifest import AgentConfig, Mode
from vagus.compute.bounds import one_line
from vagus.protocol import Json, Refuse, canonical

__all__ = ["Fetch", "FetchConfig", "FetchInput", "Http"]

LEAST, MOST, MOST_DIGITS = -(1 << 255), (1 << 255) - 1, 77
MAX_BYTES = 1 << 20
MAX_DIGITS = 1000
# JSON's own numbers (RFC 8259), as some APIs write them into texts.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,4})?")
# Exact for MAX_DIGITS digits and every exponent that a float has.
_EXACT = decimal.Context(
    prec=2 * MAX_DIGITS, rounding=decimal.ROUND_HALF_EVEN, Emax=10**6, Emin=-(10**6)
)


def _path(text: str) -> str:
    JsonPath(text)
    return text


def _bounded(policy: HttpPolicy) -> HttpPolicy:
    if policy.max_bytes > MAX_BYTES:
        raise ValueError(f"max_bytes is at most {MAX_BYTES} here, since all of it is parsed")
    return policy


Http = Annotated[HttpPolicy, AfterValidator(_bounded)]


def _sealed(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("is no base64, as `vagus secret seal` prints it") from None
    return text


# A header's value, sealed to the committee's members for the URL's host (docs/sealed.md), in base64.
Sealed = Annotated[str, StringConstraints(max_length=6144), AfterValidator(_sealed)]


class FetchInput(BaseModel):
    """The payload."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[str, StringConstraints(min_length=1)]
    path: Annotated[str, StringConstraints(min_length=1), AfterValidator(_path)]
    type: Literal["number", "boolean", "string", "json"] = "number"
    decimals: Annotated[int, Field(ge=0, le=77)] = 0
    headers: dict[str, str] = {}
    secrets: Annotated[dict[str, Sealed], Field(max_length=4)] = {}
    method: Literal["GET", "POST"] = "GET"
    body: JsonValue = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.method == "POST") != (self.body is not None):
            raise ValueError("a POST has a body, and a GET has none")
        if self.decimals and self.type != "number":
            raise ValueError("decimals are of a number")
        canonical(self.body)  # its ValueError says what has no such form
        return self


class FetchConfig(AgentConfig):
    """http: which hosts may be asked, none by default, and how."""

    http: Http = HttpPolicy(hosts=())


class Fetch(Agent):
    """Asks one server once; `pages` is how."""

    name = "fetch"
    version = "1.0.0"
    Input = FetchInput
    Output = bytes
    Config = FetchConfig
    mode: ClassVar[Mode] = Mode(name="fields", parameters={"rule": "median"})
    asks = False
    config: FetchConfig

    def __init__(self, config: AgentConfig | None = None) -> None:
        super().__init__(config)
        self.pages = GuardedHttp(self.config.http)

    def numeric(self, value: FetchInput, /) -> bool:
        """Take the median of numbers; all else must be identical."""
        return value.type == "number"

    def sealed(self, value: FetchInput, /) -> tuple[tuple[bytes, str], ...]:
        """Return the secrets, each for the URL's host."""
        if not value.secrets:
            return ()
        host = self.config.http.target(value.url).host or ""
        return tuple((base64.b64decode(each), host) for each in value.secrets.values())

    async def run(self, ctx: Context, value: FetchInput, /) -> bytes:
        """Return the value that the path selects."""
        secrets = {
            name: ctx.secret(*pair)
            for name, pair in zip(value.secrets, self.sealed(value), strict=True)
        }
        if value.method == "POST":
            body = canonical(value.body)
            page = await self.pages.post(
                value.url, body, "application/json", value.headers, secrets
            )
        else:
            page = await self.pages.get(value.url, value.headers, secrets)
        ctx.cite(page.source)
        document = parse_json(page.body, "the body", fraction=_fraction)
        found = JsonPath(value.path).find(document, 2)
        if len(found) != 1:
            raise Refuse(f"the path selects {'several values' if found else 'nothing'}")
        return _encoded(found[0], value.type, value.decimals)


def _encoded(found: object, kind: str, decimals: int) -> bytes:
    match kind, found:
        case "number", _:
            return _scaled(found, decimals).to_bytes(32, "big", signed=True)
        case "boolean", bool():
            return found.to_bytes(32, "big")
        case "string", str():
            return found.encode()
        case "json", _:
            try:
                return canonical(_plain(found))
            except ValueError as error:
                raise Refuse(f"the value has no RFC 8785 form: {one_line(str(error))}") from None
        case _:
            raise Refuse(f"the path selects no {kind}")


def _scaled(found: object, decimals: int) -> int:
    if isinstance(found, str) and len(found) <= MAX_DIGITS and _NUMBER.fullmatch(found):
        found = decimal.Decimal(found)
    if isinstance(found, bool) or not isinstance(found, int | decimal.Decimal):
        raise Refuse("the path selects no number")
    number = decimal.Decimal(found)
    # Looked at before it is written out: 1e9999 is short.
    if not number or number.adjusted() < MOST_DIGITS:
        scaled = int(number.scaleb(decimals, _EXACT).to_integral_value(context=_EXACT))
        if LEAST <= scaled <= MOST:
            return scaled
    raise Refuse(f"the number does not fit into an int256 with {decimals} decimals")


def _fraction(text: str) -> decimal.Decimal:
    """Read a JSON number as it is written. Raises ValueError."""
    if len(text) > MAX_DIGITS or not _NUMBER.fullmatch(text):
        raise ValueError(f"a number has over {MAX_DIGITS} digits, or an exponent of over 4")
    return decimal.Decimal(text)


def _plain(value: object) -> Json:
    """Return parsed JSON with its fractions as floats, which is what RFC 8785 writes."""
    match value:
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case decimal.Decimal():
            return float(value)
        case _:
            return value  # type: ignore[return-value]  # parsed from JSON
