"""What an agent read outside of the model, as the evidence tells of it: which bytes, when, of whom.

A source is the word of the node that read it. The certificate says whose server it was; that the
server sent these bytes, it does not prove to anybody else.
"""

import datetime as dt
import email.utils
import hashlib
import ssl
from dataclasses import dataclass

from vagus.compute.bounds import one_line

__all__ = ["MAX_NAMES", "MAX_SOURCES", "Certificate", "Source", "certificate_of", "date_of"]

# So many fit into an evidence document (64 KiB) beside its calls.
MAX_SOURCES = 8
# Of a certificate that has hundreds.
MAX_NAMES = 8
LATEST = 1 << 52


@dataclass(frozen=True, slots=True)
class Certificate:
    """A server's own certificate: sha256 of its DER (32 bytes), its issuer, its first DNS names."""

    sha256: bytes
    issuer: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """One answer of one server.

    sent: sha256 of the request's body, 32 bytes, where it had one. sha256, size: of the body that
    came. address: the one that was connected to. date: what the server's Date says, Unix seconds;
    None where it says nothing that is a date. read_at: when the body was whole, Unix milliseconds
    of this node's clock. certificate: None without TLS.
    """

    url: str
    method: str
    sent: bytes | None
    sha256: bytes
    size: int
    media_type: str
    address: str
    date: int | None
    read_at: int
    certificate: Certificate | None


def certificate_of(tls: ssl.SSLObject | ssl.SSLSocket) -> Certificate:
    """Return the certificate of a connection whose peer was verified."""
    encoded = tls.getpeercert(binary_form=True)
    told = tls.getpeercert()
    if not encoded or not told:
        raise ssl.SSLError("the peer was not verified")
    parts = [f"{key}={value}" for pairs in _pairs(told.get("issuer")) for key, value in pairs]
    names = [value for kind, value in _names(told.get("subjectAltName")) if kind == "DNS"]
    return Certificate(
        sha256=hashlib.sha256(encoded).digest(),
        issuer=one_line(", ".join(parts)),
        names=tuple(one_line(name) for name in names[:MAX_NAMES]),
    )


def date_of(header: str | None) -> int | None:
    """Return the time of a Date header (RFC 9110, 5.6.7) in Unix seconds; None for no date."""
    try:
        found = email.utils.parsedate_to_datetime(header or "")
        when = int(found.replace(tzinfo=found.tzinfo or dt.UTC).timestamp())
    except (ValueError, OverflowError):
        return None
    return when if 0 <= when <= LATEST else None


def _pairs(issuer: object) -> tuple[tuple[tuple[str, str], ...], ...]:
    """`ssl` gives a certificate's names as tuples in tuples; typeshed knows it as `object`."""
    return issuer if isinstance(issuer, tuple) else ()


def _names(alternatives: object) -> tuple[tuple[str, str], ...]:
    return alternatives if isinstance(alternatives, tuple) else ()
