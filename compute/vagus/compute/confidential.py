"""Signed responses of confidential backends, and the TDX quotes that vouch for their keys.

A signature is EIP-191 (personal_sign) over `sha256(request):sha256(response)`, both in lower-case
hex, with `model:` before it or not. A quote vouches for the address that its report data begins
with. Quotes are verified offline by dcap-qvl (extra `tee`): down to Intel's root, against the
collateral that comes with them, at the time that they name.
"""

import hashlib
import importlib
import json
import pathlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import msgspec

from vagus.compute.base import Proof
from vagus.compute.bounds import one_line
from vagus.protocol import Refuse, SignatureError, keccak256, recover

__all__ = [
    "QuoteFile",
    "Quoted",
    "check_quote",
    "check_response",
    "check_vouched",
    "load_verifier",
    "read_quote",
]

MAX_QUOTE = 16 << 10
_TEXT = re.compile(r"(?:[^:]{1,200}:)?([0-9a-f]{64}):([0-9a-f]{64})")
_HEX = re.compile(r"(?:0x)?((?:[0-9a-f]{2})*)")


@dataclass(frozen=True, slots=True)
class Quoted:
    """What a verified quote says: the domain's measurement and its report data, in lower-case hex."""

    measurement: str
    report_data: str


class QuoteFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A TDX quote in hex, Intel's collateral for it, and the Unix time at which the evidence judges both."""

    quote: str
    collateral: dict[str, object]
    time: int


def read_quote(path: pathlib.Path) -> QuoteFile:
    """Return what a file of a quote says, unverified. Raises Refuse."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=QuoteFile)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refuse(f"the quote in {path} can't be read: {one_line(str(error))}") from None


def check_response(proof: Proof, request: bytes) -> None:
    """Refuse a proof of another exchange, or one that its address did not sign."""
    found = _TEXT.fullmatch(proof.text)
    hashes = [hashlib.sha256(each).hexdigest() for each in (request, proof.response.encode())]
    if found is None or list(found.groups()) != hashes:
        raise Refuse("the signed text is not of this request and this response")
    text = proof.text.encode()
    digest = keccak256(b"\x19Ethereum Signed Message:\n" + str(len(text)).encode() + text)
    signature = _HEX.fullmatch(proof.signature)
    try:
        signer = recover(digest, bytes.fromhex("" if signature is None else signature[1]))
    except SignatureError as error:
        raise Refuse(f"the response's signature is none: {error}") from None
    if "0x" + signer.hex() != proof.signing_address:
        raise Refuse("the response is signed by another key than it names")


def load_verifier() -> Any:
    """Return dcap-qvl. Raises Refuse, naming the extra."""
    try:
        return importlib.import_module("dcap_qvl")
    except ImportError:
        raise Refuse("verifying a TDX quote needs an extra: pip install 'vagus[tee]'") from None


def check_quote(quote: str, collateral: str, at: int) -> Quoted:
    """Return what a TDX quote says. Raises Refuse unless it holds at a Unix time in seconds.

    The platform must be UpToDate and not debuggable.
    """
    qvl = load_verifier()
    found = _HEX.fullmatch(quote)
    if found is None or not found[1] or len(found[1]) > 2 * MAX_QUOTE:
        raise Refuse("the quote is not hex of at most 16 KiB")
    data = bytes.fromhex(found[1])
    try:
        report = json.loads(
            qvl.verify(data, qvl.QuoteCollateralV3.from_json(collateral), at).to_json()
        )
    except Exception as error:  # noqa: BLE001 - ValueError is what it documents, of a stranger's bytes
        raise Refuse(f"the quote does not hold: {one_line(str(error))}") from None
    if report["status"] != "UpToDate":
        raise Refuse(f"the quote's platform is {one_line(str(report['status']))}, not UpToDate")
    body = report["report"].get("TD10") or report["report"].get("TD15", {}).get("base")
    if body is None:
        raise Refuse("the quote is of no TDX domain")
    if int(body["td_attributes"][:2], 16) & 1:
        raise Refuse("the quote's domain can be debugged")
    return Quoted(measurement=body["mr_td"], report_data=body["report_data"])


def check_vouched(
    address: str, quote: str, collateral: str, at: int, measurements: Collection[str]
) -> None:
    """Refuse a key unless a quote that holds at `at` vouches for it, of a domain that is trusted.

    address: the key's, `0x` and 40 lower-case hex digits. measurements: MRTDs, 96 hex digits each.
    """
    found = check_quote(quote, collateral, at)
    if found.measurement not in measurements:
        raise Refuse("the quote is of a domain that is not trusted")
    if found.report_data[:40] != address[2:]:
        raise Refuse("the quote vouches for another key")
