"""All that a delivered result is verified from, in memory and as a folder for who has no network.

delivery.json   what the delivery's own transaction says: intent, attestation, output, signatures;
                the signer set that counts; the question; the hub's record
evidence.json   the evidence document, byte for byte
roster.json     the committee's roster, byte for byte
checks/NN.bin   each member's signed check, byte for byte
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import msgspec

from vagus.adapters.base import CallbackState, Delivery
from vagus.adapters.delivered import Delivered
from vagus.protocol import (
    MAX_SIGNERS,
    Account,
    Attestation,
    Intent,
    QuorumError,
    SignerSet,
    VagusError,
)
from vagus.protocol.limits import MAX_ENVELOPE, MAX_EVIDENCE

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Bundle", "Line", "load", "save"]

_MAX_DELIVERY = 1 << 18
_RECORD_BYTES = ("output_hash", "evidence_hash", "deliverer")


@dataclass(frozen=True, slots=True)
class Bundle:
    """A delivery, and what goes with it; None, or none, for what is not at hand.

    `hub` is the destination's CAIP-10. `signers` is its set of the attestation's epoch, `roster_hash`
    what the hub has of the roster now. `record` is what the hub keeps of the delivery.
    """

    hub: str
    delivered: Delivered
    signers: SignerSet | None = None
    roster_hash: bytes | None = None
    record: Delivery | None = None
    payload: bytes | None = None
    terms: bytes | None = None
    evidence: bytes | None = None
    roster: bytes | None = None
    checks: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One check: whether it holds, None where it cannot be told, and what was found, in words."""

    what: str
    holds: bool | None
    found: str


class _Set(msgspec.Struct):
    epoch: int
    threshold: int
    signers: list[str]

    @classmethod
    def of(cls, known: SignerSet) -> Self:
        return cls(known.epoch, known.threshold, [each.hex() for each in known.signers])

    def read(self) -> SignerSet:
        signers = tuple(bytes.fromhex(each) for each in self.signers)
        return SignerSet(self.epoch, signers, self.threshold)


class _Record(msgspec.Struct):
    output_hash: str
    status: int
    evidence_hash: str
    epoch: int
    signers: int
    deliverer: str
    time: int
    callback: int

    @classmethod
    def of(cls, record: Delivery) -> Self:
        values = {name: getattr(record, name) for name in cls.__struct_fields__}
        return cls(**values | {name: values[name].hex() for name in _RECORD_BYTES})

    def read(self) -> Delivery:
        values: dict[str, Any] = msgspec.structs.asdict(self)
        values |= {name: bytes.fromhex(values[name]) for name in _RECORD_BYTES}
        values["callback"] = CallbackState(self.callback)
        return Delivery(**values)


class _File(msgspec.Struct):
    version: int
    hub: str
    tx_id: str
    height: int
    intent: str
    attestation: str
    output: str
    signatures: list[str]
    signer_set: _Set | None
    roster_hash: str | None
    record: _Record | None
    payload: str | None
    terms: str | None


def save(bundle: Bundle, folder: Path) -> None:
    """Write a bundle into a new or empty folder. Raises VagusError where it is none, or cannot be written."""
    told = bundle.delivered
    file = _File(
        version=1,
        hub=bundle.hub,
        tx_id=told.tx_id,
        height=told.height,
        intent=told.intent.encode().hex(),
        attestation=told.attestation.encode().hex(),
        output=told.output.hex(),
        signatures=[each.hex() for each in told.signatures],
        signer_set=None if bundle.signers is None else _Set.of(bundle.signers),
        roster_hash=_hex(bundle.roster_hash),
        record=None if bundle.record is None else _Record.of(bundle.record),
        payload=_hex(bundle.payload),
        terms=_hex(bundle.terms),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise VagusError(f"{folder} is not empty: name a new folder")
        for name, data in ("evidence", bundle.evidence), ("roster", bundle.roster):
            if data is not None:
                (folder / f"{name}.json").write_bytes(data)
        (folder / "checks").mkdir()
        for number, check in enumerate(bundle.checks):
            (folder / "checks" / f"{number:02}.bin").write_bytes(check)
        # Last: a folder that has it is whole.
        data = msgspec.json.format(msgspec.json.encode(file))
        (folder / "delivery.json").write_bytes(data + b"\n")
    except OSError as error:
        raise VagusError(f"{folder} cannot be written: {error.strerror}") from None


def load(folder: Path) -> Bundle:
    """Read a folder that `save` wrote, or anyone else. Raises VagusError for what is none, in words."""
    try:
        file = msgspec.json.decode(_read(folder / "delivery.json", _MAX_DELIVERY), type=_File)
        if file.version != 1:
            raise ValueError(f"version {file.version}, where 1 is known")
        return Bundle(
            hub=str(Account.parse(file.hub)),
            delivered=Delivered(
                file.tx_id,
                file.height,
                Intent.decode(bytes.fromhex(file.intent)),
                Attestation.decode(bytes.fromhex(file.attestation)),
                bytes.fromhex(file.output),
                tuple(bytes.fromhex(each) for each in file.signatures),
            ),
            signers=None if file.signer_set is None else file.signer_set.read(),
            roster_hash=_bytes(file.roster_hash),
            record=None if file.record is None else file.record.read(),
            payload=_bytes(file.payload),
            terms=_bytes(file.terms),
            evidence=_optional(folder / "evidence.json"),
            roster=_optional(folder / "roster.json"),
            checks=_checks(folder / "checks"),
        )
    except (ValueError, QuorumError, RecursionError, msgspec.MsgspecError) as error:
        raise VagusError(f"{folder / 'delivery.json'} is not understood: {error}") from None
    except FileNotFoundError as error:
        raise VagusError(
            f"{error.filename}: no such file; `vagus verify --save` writes it"
        ) from None
    except OSError as error:
        raise VagusError(f"{folder} cannot be read: {error.strerror}") from None


def _checks(folder: Path) -> tuple[bytes, ...]:
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return tuple(_read(each, MAX_ENVELOPE) for each in paths[:MAX_SIGNERS])


def _optional(path: Path) -> bytes | None:
    return _read(path, MAX_EVIDENCE) if path.exists() else None


def _read(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise VagusError(f"{path} is not understood: it has over {most} bytes")
    return data


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def _hex(data: bytes | None) -> str | None:
    return None if data is None else data.hex()
