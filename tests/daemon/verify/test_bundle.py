"""A result as a folder: the same when it is read again, and never trusted to be well made."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from support.results import Result
from vagus.daemon.verify.bundle import load, save
from vagus.protocol import VagusError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(Result().bundle(), tmp_path / "result")
    return tmp_path / "result"


def test_what_is_saved_is_read_again(folder: Path, tmp_path: Path) -> None:
    assert load(folder) == Result().bundle()
    nothing: dict[str, Any] = {
        **dict.fromkeys(("signers", "roster_hash", "record", "payload", "terms")),
        "evidence": None,
        "roster": None,
        "checks": (),
    }
    bare = dataclasses.replace(Result().bundle(), **nothing)
    save(bare, tmp_path / "bare")
    assert load(tmp_path / "bare") == bare


def test_documents_are_there_byte_for_byte_and_the_rest_as_json(folder: Path) -> None:
    bundle = Result().bundle()
    assert (folder / "evidence.json").read_bytes() == bundle.evidence
    assert (folder / "roster.json").read_bytes() == bundle.roster
    told = json.loads((folder / "delivery.json").read_text())
    assert told["output"] == b"Hello".hex()
    assert told["signatures"] == [each.hex() for each in bundle.delivered.signatures]
    assert told["signer_set"]["threshold"] == 2


def test_a_folder_that_holds_something_is_left_alone(folder: Path) -> None:
    before = {each: each.read_bytes() for each in folder.iterdir() if each.is_file()}
    with pytest.raises(VagusError, match="is not empty: name a new folder"):
        save(Result(output=b"other").bundle(), folder)
    assert {each: each.read_bytes() for each in folder.iterdir() if each.is_file()} == before


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"hub": "x"},
        {"hub": "eip155:31338"},
        {"intent": "00"},
        {"attestation": "zz"},
        {"signatures": "none"},
        {"signer_set": {"epoch": 1, "threshold": 1, "signers": []}},
        {"signer_set": {"epoch": 1, "threshold": 1, "signers": ["00" * 20]}},
        {"record": {"status": 0}},
        {"payload": 7},
    ],
)
def test_a_file_that_is_not_understood_is_an_error_in_words(
    folder: Path, changes: dict[str, Any]
) -> None:
    path = folder / "delivery.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(VagusError, match=r"delivery\.json is not understood: "):
        load(folder)


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{", b"[" * 100_000, b"\xff", b" " * 300_000],
    ids=["empty", "list", "cut", "nested", "no text", "long"],
)
def test_a_file_that_is_no_json_of_a_delivery_is_an_error_in_words(
    folder: Path, data: bytes
) -> None:
    (folder / "delivery.json").write_bytes(data)
    with pytest.raises(VagusError, match=r"delivery\.json is not understood: "):
        load(folder)


def test_a_check_that_is_too_long_is_named_itself(folder: Path) -> None:
    path = folder / "checks" / "00.bin"
    path.write_bytes(bytes(1 << 20))
    with pytest.raises(VagusError, match=r"checks/00\.bin is not understood: it has over") as error:
        load(folder)
    assert "delivery" not in str(error.value)


def test_a_folder_that_is_none_names_who_writes_one(tmp_path: Path) -> None:
    with pytest.raises(VagusError, match="no such file; `vagus verify --save` writes it"):
        load(tmp_path / "missing")
