"""The endpoints of a chain in its configuration: checked, each once, and shown without their secrets."""

from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

__all__ = ["HttpUrls", "WsUrls", "endpoint_name", "endpoint_names", "require_url"]


def endpoint_name(url: SecretStr) -> str:
    """Return what may be shown of an endpoint: an API key may stand in the rest of it."""
    parts = urlsplit(url.get_secret_value())
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def endpoint_names(urls: Sequence[SecretStr]) -> tuple[str, ...]:
    """Return a name for each endpoint; those of one host and port are told apart by a number."""
    names = [endpoint_name(url) for url in urls]
    return tuple(
        f"{name}#{names[: at + 1].count(name)}" if names.count(name) > 1 else name
        for at, name in enumerate(names)
    )


def require_url(url: SecretStr, *schemes: str) -> SecretStr:
    """Return the URL. Raises ValueError, which does not repeat it, for another scheme or no host."""
    try:
        parts = urlsplit(url.get_secret_value())
        known = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise ValueError(f"must be a URL that begins with {' or '.join(schemes)}://")
    return url


def _url(*schemes: str) -> AfterValidator:
    return AfterValidator(lambda url: require_url(url, *schemes))


def _several(urls: object) -> object:
    return urls if isinstance(urls, list | tuple) else (urls,)


def _differ(urls: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    """One endpoint under two spellings would have two votes."""
    parts = [urlsplit(url.get_secret_value().rstrip("/")) for url in urls]
    ports = [None if each.port in {80, 443} else each.port for each in parts]
    places = [(each.hostname, each.path, each.query) for each in parts]
    if len(set(zip(places, ports, strict=True))) < len(urls):
        raise ValueError("has an endpoint twice: each must be another one")
    return urls


_Http = Annotated[SecretStr, _url("http", "https")]
_Ws = Annotated[SecretStr, _url("ws", "wss")]

HttpUrls = Annotated[
    tuple[_Http, ...], BeforeValidator(_several), AfterValidator(_differ), Field(min_length=1)
]
"""One URL, or a list of them, each another one."""

WsUrls = Annotated[tuple[_Ws, ...], BeforeValidator(_several), AfterValidator(_differ)]
"""The same of websockets, and there may be none."""
