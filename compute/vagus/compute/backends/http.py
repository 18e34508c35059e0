"""What backends over HTTP share: where the server is, its key, its bounds, and one pool of connections."""

import contextlib
import pathlib
from types import TracebackType
from typing import Annotated, ClassVar, Generic, Self, TypeVar

from pydantic import Field, StringConstraints, model_validator

from vagus.compute.base import Backend
from vagus.compute.client import ChatClient
from vagus.compute.config import BackendConfig
from vagus.compute.http import Endpoint
from vagus.compute.pinning import Reach, check_url
from vagus.protocol import Refuse, Retry

__all__ = ["BaseUrl", "HttpBackend", "HttpConfig", "Seconds", "Text", "read_key"]

BaseUrl = Annotated[str, StringConstraints(pattern=r"^https?://[^\s@?#]+$")]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class HttpConfig(BackendConfig):
    """What a backend over HTTP adds to a `[[backends]]` table.

    api_key_file: holds the bearer token. Timeouts are seconds: to connect, of silence within
    a stream, and over all. max_response: bytes. allow_private: whether base_url may lead into a private
    network; 127.0.0.1, ::1 and localhost it may name without.
    """

    needs_key: ClassVar[bool] = False

    base_url: BaseUrl
    api_key_file: pathlib.Path | None = None
    allow_private: bool = False
    connect_timeout: Seconds = 5.0
    read_timeout: Seconds = 60.0
    timeout: Seconds = 120.0
    max_response: Annotated[int, Field(ge=1024, le=64 << 20)] = 2 << 20

    @model_validator(mode="after")
    def _has_a_key(self) -> Self:
        if self.needs_key and self.api_key_file is None:
            raise ValueError("api_key_file is missing: it names a file with the key, chmod 600")
        return self

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Self:
        try:
            check_url(self.base_url, self.reach)
        except Refuse as error:
            raise ValueError(error.reason) from None
        return self

    @property
    def reach(self) -> Reach:
        """Which addresses base_url may lead to."""
        return Reach.PRIVATE if self.allow_private else Reach.NAMED


C = TypeVar("C", bound=HttpConfig)


class HttpBackend(Backend, Generic[C]):
    """A backend with one server: entered, it has a `client` for it until it is left."""

    def __init__(self, config: C) -> None:
        super().__init__(config)
        self.config = config
        self._client: ChatClient | None = None
        self._life = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        config = self.config
        endpoint = Endpoint(
            base_url=config.base_url,
            api_key=None if config.api_key_file is None else read_key(config.api_key_file),
            connect_timeout=config.connect_timeout,
            read_timeout=config.read_timeout,
            timeout=config.timeout,
            max_response=config.max_response,
            max_in_flight=config.max_in_flight,
            reach=config.reach,
        )
        self._client = await self._life.enter_async_context(ChatClient(endpoint))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client = None
        # Without the body's error, which a TaskGroup would wrap in a group.
        await self._life.aclose()

    @property
    def client(self) -> ChatClient:
        """The server's client. Raises Retry outside of the `async with`."""
        if self._client is None:
            raise Retry(f"backend {self.name} is closed")
        return self._client


def read_key(path: pathlib.Path) -> str:
    """Return the key in a file; Refuse when others may read it, or it holds no key."""
    try:
        mode = path.stat().st_mode
        key = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Refuse(f"the API key in {path} can't be read: {type(error).__name__}") from None
    if mode & 0o077:
        raise Refuse(f"the API key in {path} can be read by others: chmod 600 it")
    if not key or not key.isprintable() or " " in key:
        raise Refuse(f"{path} holds no API key: one line, without spaces")
    return key
