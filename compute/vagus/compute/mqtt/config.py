"""Where a broker is, and how it is convinced of who connects."""

from __future__ import annotations

import ipaddress
import pathlib
import ssl
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from typing_extensions import override

from vagus.protocol import Refuse

__all__ = ["MqttConfig"]

_PORTS = {"mqtt": 1883, "mqtts": 8883}


class _TlsSocket(ssl.SSLSocket):
    """Closed where no link comes of it: paho leaves it open."""

    @override
    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


class MqttConfig(BaseModel):
    """One broker, MQTT 5. `url` is `mqtt://host:port`, or `mqtts://host:port` for TLS.

    ca_file: PEM of the authorities that the broker's certificate is checked against; without it the
    system's. cert_file and key_file: the client's certificate, where the broker wants one. username
    and password_file: where it wants those, which leave this machine under TLS alone. keepalive:
    seconds of silence after which a link is tried. qos: 1 has the broker confirm each message.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[str, StringConstraints(pattern=r"^mqtts?://[^\s/@?#]+$")]
    username: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = None
    password_file: pathlib.Path | None = None
    ca_file: pathlib.Path | None = None
    cert_file: pathlib.Path | None = None
    key_file: pathlib.Path | None = None
    keepalive: Annotated[int, Field(ge=2, le=600)] = 15
    qos: Literal[0, 1] = 1

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        host = self.host
        try:
            host.encode("idna")
            usable = bool(host) and 0 < self.port <= 65535
        except ValueError:
            usable = False
        if not usable:
            raise ValueError("url: write mqtt://host:port or mqtts://host:port")
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file: a client's certificate needs both")
        if not self.secure and (self.ca_file or self.cert_file):
            raise ValueError("ca_file and cert_file are for mqtts://, and url has mqtt://")
        if self.password_file is not None and self.username is None:
            raise ValueError("password_file: name its username too")
        if self.password_file is not None and not self.secure and not _is_loopback(host):
            raise ValueError("url: mqtt:// would show the password to the network: use mqtts://")
        return self

    @property
    def secure(self) -> bool:
        """Whether the link is TLS."""
        return self.url.startswith("mqtts:")

    @property
    def host(self) -> str:
        """The broker's name or address."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """The broker's port: 1883, with TLS 8883, unless the URL has another."""
        parts = urlsplit(self.url)
        return _PORTS[parts.scheme] if parts.port is None else parts.port

    def tls(self) -> ssl.SSLContext | None:
        """Return what the link is secured with, None for mqtt://. Refuse says which file is wrong."""
        if not self.secure:
            return None
        try:
            context = ssl.create_default_context(
                cafile=None if self.ca_file is None else str(self.ca_file)
            )
        except (OSError, ValueError) as error:
            raise Refuse(f"{self.ca_file} is no PEM of authorities: {_words(error)}") from None
        context.sslsocket_class = _TlsSocket
        if self.cert_file is not None and self.key_file is not None:
            _check_private(self.key_file)
            try:
                # An encrypted key would have it ask on the terminal.
                context.load_cert_chain(self.cert_file, self.key_file, password="")
            except (OSError, ValueError) as error:
                raise Refuse(
                    f"{self.cert_file} and {self.key_file} are no certificate and its key,"
                    f" as PEM without a password: {_words(error)}"
                ) from None
        return context

    def password(self) -> str | None:
        """Return the password in its file; Refuse where others may read it, or it holds none."""
        if self.password_file is None:
            return None
        _check_private(self.password_file)
        try:
            password = self.password_file.read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise Refuse(f"{self.password_file} can't be read: {_words(error)}") from None
        if not 0 < len(password.encode()) <= 1024 or "\n" in password:
            raise Refuse(f"{self.password_file} holds no password: one line")
        return password


def _check_private(path: pathlib.Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise Refuse(f"{path} can't be read: {_words(error)}") from None
    if mode & 0o077:
        raise Refuse(f"{path} can be read by others: chmod 600 it")


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
