"""A provisioner that asks one JSON API with a key from a file: how it is opened, closed and led to machines."""

import pathlib
from types import TracebackType
from typing import ClassVar, Self

from vagus.compute.backends.http import read_key
from vagus.compute.http_bounds import Endpoint
from vagus.compute.leases.api import Api
from vagus.compute.leases.base import Container, Provisioner
from vagus.compute.leases.checks import check_address, reach_of
from vagus.protocol import Retry

__all__ = ["KeyedProvisioner"]


class KeyedProvisioner(Provisioner):
    """One account of one API.

    title: the network in words. root: what each call's path begins with below base_url. path: where a
    container's API begins at its address. timeout: seconds for a call.
    """

    title: ClassVar[str]
    root: ClassVar[str] = ""

    def __init__(
        self, key_file: pathlib.Path, *, base_url: str, path: str = "/v1", timeout: float = 30.0
    ) -> None:
        self._key_file = key_file
        self._base_url = base_url
        self._path = path
        self._timeout = timeout
        self._key = ""
        self._opened: Api | None = None

    async def __aenter__(self) -> Self:
        self._key = read_key(self._key_file)
        api = Api(self._base_url + self.root, secrets=(self._key,), timeout=self._timeout)
        self._opened = await api.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        api, self._opened, self._key = self._opened, None, ""
        if api is not None:
            await api.__aexit__(kind, error, trace)

    @property
    def _api(self) -> Api:
        """The connections, while they are open. Raises Retry."""
        if self._opened is None:
            raise Retry(f"the connection to {self.title} is closed")
        return self._opened

    def _hide(self, container: Container, api_key: str) -> None:
        """Let no error repeat what a container is sent, before it is: its key, and all of its environment."""
        self._api.hide((api_key, *container.env.values()))

    def _endpoint(self, address: str) -> Endpoint:
        """Return where a container's API is at an address that the network named. Raises Retry."""
        return Endpoint(check_address(address) + self._path, reach=reach_of(self._base_url))
