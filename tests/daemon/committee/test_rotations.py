"""Approvals that members tell each other: verified, bounded, and handed on."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from support.committees import HUB_A, HUB_B, address_of, approval, key_of, proposal
from support.served import serving
from vagus.daemon.committee.rotation import HubChange, Proposal, rotation_body
from vagus.daemon.committee.rotations import Rotations
from vagus.daemon.tokens import new_token
from vagus.protocol import Refuse

MEMBERS = {address_of(each) for each in (1, 2, 3)}


def current(*numbers: int, threshold: int = 2, epoch: int = 8, since: float = 0.0) -> Proposal:
    """A proposal that hubs take at this moment, or since so many seconds."""
    now = int(time.time() - since)
    hubs = tuple(HubChange(hub=hub, epoch=epoch, valid_from=now) for hub in (HUB_A, HUB_B))
    return proposal(*numbers, threshold=threshold, hubs=hubs)


def test_approvals_are_gathered_by_proposal_and_told_in_turn() -> None:
    rotations = Rotations(lambda: MEMBERS)
    made = current(1, 2, 3, 4, threshold=3)
    bodies = [rotation_body(made, approval(number, made)) for number in (1, 2)]
    for body in [*bodies, bodies[0]]:
        assert rotations.take(body) == made.id
    found = rotations.of(made.id)
    assert found is not None
    assert found[0] == made
    assert {each.signer for each in found[1]} == {key_of(n).address.lower() for n in (1, 2)}
    assert {rotations.next(), rotations.next()} == set(bodies)
    assert rotations.roster(made.roster.digest()) == made.roster


def test_a_strangers_approval_and_an_old_one_are_refused() -> None:
    rotations = Rotations(lambda: MEMBERS)
    made = current(1, 2, 3)
    with pytest.raises(Refuse, match="in no roster"):
        rotations.take(rotation_body(made, approval(9, made)))
    old = current(1, 2, 3, since=8 * 86_400)
    with pytest.raises(Refuse, match="no hub takes this proposal any more"):
        rotations.take(rotation_body(old, approval(1, old)))
    assert rotations.next() is None


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"approval":{},"proposal":{}}', b"\xff"])
def test_what_is_no_approval_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the reader's words are another test's
        Rotations(lambda: MEMBERS).take(body)


def test_a_member_that_approves_everything_pushes_out_its_own_alone() -> None:
    rotations = Rotations(lambda: MEMBERS)
    wanted = current(1, 2, 3)
    rotations.take(rotation_body(wanted, approval(1, wanted)))
    many = [current(1, 2, 3, epoch=epoch) for epoch in range(100, 110)]
    for each in many:
        rotations.take(rotation_body(each, approval(2, each)))
    assert rotations.of(wanted.id) is not None
    assert [each.id for each in many if rotations.of(each.id)] == [each.id for each in many[-4:]]


def test_who_has_left_is_forgotten() -> None:
    members = set(MEMBERS)
    rotations = Rotations(lambda: members)
    made = current(1, 2)
    rotations.take(rotation_body(made, approval(3, made)))
    members.discard(address_of(3))
    assert rotations.next() is None
    assert rotations.of(made.id) is None


async def test_an_operator_hands_its_approval_to_its_node_by_http(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.json"
    async with serving(tmp_path, tokens_file=tokens) as node:
        rotations = node.status.committee.rotations
        rotations._members = lambda: MEMBERS
        made = current(1, 2, 3)
        body = rotation_body(made, approval(1, made))
        path = f"/v1/rotations/0x{made.id.hex()}"
        assert (await node.get(path))[0] == 404
        wrong, right = (
            {"Authorization": f"Bearer {new_token(tokens, scope[:5], [scope])}"}
            for scope in ("intents:write", "committee:write")
        )

        async def post(data: bytes, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
            headers = headers | {"Content-Type": "application/json"}
            url = node.root + "/v1/rotations"
            async with node.session.post(url, data=data, headers=headers) as response:
                return response.status, json.loads(await response.text())

        assert (await post(body, {}))[0] == 401
        assert (await post(body, wrong))[0] == 403
        assert (await post(b"{}", right))[0] == 400
        assert (await post(b" " * 140_000, right))[0] == 413
        stranger = rotation_body(made, approval(9, made))
        assert (await post(stranger, right))[0] == 409
        status, shown = await post(body, right)
        assert (status, shown["approved"]) == (200, [key_of(1).address.lower()])
        status, found = await node.json(path)
        assert status == 200
        assert found["proposal"] == made.model_dump(mode="json")
        assert [each["signer"] for each in found["approvals"]] == shown["approved"]
