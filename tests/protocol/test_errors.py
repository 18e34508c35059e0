"""Errors carry their action as a class and their data as attributes."""

import pickle

import pytest

from vagus.protocol import Halt, QuorumError, Refuse, Retry, SignatureError, VagusError


def test_each_action_says_its_reason_and_holds_its_data() -> None:
    retry, refuse, halt = Retry("rpc is down", after=2.5), Refuse("no"), Halt("eip155:1", "reorg")
    assert (str(retry), retry.reason, retry.after) == (
        "rpc is down (retry after 2.5 s)",
        "rpc is down",
        2.5,
    )
    assert Retry("again").after == 1.0
    assert (str(refuse), refuse.reason) == ("no", "no")
    assert (str(halt), halt.chain, halt.reason) == ("eip155:1: reorg", "eip155:1", "reorg")


@pytest.mark.parametrize(
    "error",
    [Retry("a", 3), Refuse("b"), Halt("eip155:1", "c"), SignatureError("d"), QuorumError("e")],
)
def test_every_error_is_ours_and_crosses_a_process_boundary(error: VagusError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, VagusError)
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
