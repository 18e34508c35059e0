"""Arguments that are cut short, too long, or of no instruction are rejected, and nothing is read beyond."""

import pytest
from solders.instruction import AccountMeta, Instruction

from support.litesvm import FailedError
from support.solana_scene import NAMES, Scene


def attempted(scene: Scene, name: str, data: bytes) -> FailedError | None:
    """How a call fails with other data; None where it does not."""
    call, signers = scene.calls[name]
    changed = Instruction(call.program_id, data, call.accounts)
    return scene.chain.attempt([changed], [scene.hub.people[who] for who in signers])


def failure(scene: Scene, name: str, data: bytes) -> str | None:
    """Why a call fails with other data, in the hub's words; None where it does not."""
    return scene.reason(attempted(scene, name, data))


# The puppet forwards register: its own data is tried below.
DIRECT = [name for name in NAMES if name != "register"]


@pytest.mark.parametrize("name", DIRECT)
def test_arguments_cut_short_anywhere_are_rejected(scene: Scene, name: str):
    data = bytes(scene.calls[name][0].data)
    assert attempted(scene, name, data) is None
    for length in range(1, len(data)):
        assert failure(scene, name, data[:length]) == "arguments malformed", length


@pytest.mark.parametrize("name", DIRECT)
def test_a_byte_too_many_is_rejected(scene: Scene, name: str):
    data = bytes(scene.calls[name][0].data)
    assert failure(scene, name, data + b"\0") == "arguments malformed"


def test_a_registration_cut_short_or_too_long_is_rejected(scene: Scene):
    data = bytes(scene.calls["register"][0].data)
    for changed in (data[:-1], data + b"\0"):
        assert failure(scene, "register", changed) == "arguments malformed"


@pytest.mark.parametrize("data", [b"", b"\x14", b"\xff", bytes([20]) * 40])
def test_no_instruction_and_unknown_ones_are_rejected(scene: Scene, data: bytes):
    assert failure(scene, "deliver", data) == "unknown instruction"


@pytest.mark.parametrize("name", DIRECT)
def test_lengths_at_the_end_of_their_type_are_rejected(scene: Scene, name: str):
    """Every four bytes of the arguments become the largest length, wherever a length may be."""
    data = bytes(scene.calls[name][0].data)
    for at in range(1, len(data) - 3):
        changed = data[:at] + b"\xff" * 4 + data[at + 4 :]
        failed = attempted(scene, name, changed)
        # Some fields may hold any value; what is rejected is rejected by the hub, never by a crash.
        assert failed is None or failed.code is not None, (at, failed)


def test_the_view_takes_messages_of_their_own_size_alone(scene: Scene):
    program = scene.hub.program
    sizes = {0: 352, 1: 216, 2: 152, 3: 88}

    def view(kind: int, message: bytes) -> str | None:
        values = {"kind": kind, "hub_id": bytes(32), "message": message}
        call = program.call("digest", {}, program.arguments("digest", values))
        metas = [AccountMeta(program.id, False, False)]
        changed = Instruction(program.id, call.data, metas)
        pair = scene.hub.people[scene.hub.node]
        return scene.reason(scene.chain.attempt([changed], [pair]))

    for kind, size in sizes.items():
        assert view(kind, bytes(size)) is None
        assert view(kind, bytes(size - 1)) == "arguments malformed"
        assert view(kind, bytes(size + 1)) == "arguments malformed"
    assert view(6, bytes(32)) == "arguments malformed"
    assert view(4, (35).to_bytes(4, "little") + bytes(64 * 8)) == "too many payouts"
    assert view(5, (33).to_bytes(4, "little") + bytes(20 * 33)) == "too many signers"
