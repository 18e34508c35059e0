# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
# SPDX-License-Identifier: Apache-2.0
"""
@title  Counter
@license Apache-2.0
@notice Counts how often each answer is handed to it, and reads the hub for many intents at once.
"""

from interfaces import IVagusConsumer
from interfaces import IVagusHub

implements: IVagusConsumer

MOST: constant(uint256) = 256

struct Look:
    state: uint8  # of the intent, where this hub is its origin: 1 open, 2 settled, 3 refunded
    delivered: bool
    callback: uint8  # of the delivery: 0 none, 1 succeeded, 2 failed
    outputHash: bytes32
    handed: uint256  # how often this contract was called with it

event Counted:
    intentId: indexed(bytes32)
    count: uint256

HUB: immutable(address)
handed: HashMap[bytes32, uint256]


@deploy
def __init__(hub: address):
    """
    @notice Counts what one hub hands over.
    @param hub The hub on this chain.
    """
    HUB = hub


@external
def onResult(
    intentId: bytes32,
    originHub: bytes32,
    requester: bytes32,
    agentId: bytes32,
    payloadHash: bytes32,
    status: uint64,
    output: Bytes[8192],
):
    """
    @notice Counts a call of the hub, whatever it brings.
    @param intentId Which question was answered.
    @param originHub The id of the hub where it was asked.
    @param requester Who asked it there.
    @param agentId Which agent was asked.
    @param payloadHash keccak256 of the question.
    @param status 0 fulfilled, 1 refused, 2 failed.
    @param output The answer.
    """
    assert msg.sender == HUB, "not the hub"
    count: uint256 = self.handed[intentId] + 1
    self.handed[intentId] = count
    log Counted(intentId=intentId, count=count)


@external
@view
def look(ids: DynArray[bytes32, MOST]) -> DynArray[Look, MOST]:
    """
    @notice What the hub's state and this contract's own say of intents.
    @param ids The intents.
    @return One look for each, in their order.
    """
    found: DynArray[Look, MOST] = []
    for id: bytes32 in ids:
        state: uint8 = (staticcall IVagusHub(HUB).intentState(id)).state
        delivery: IVagusHub.Delivery = staticcall IVagusHub(HUB).delivery(id)
        found.append(
            Look(
                state=state,
                delivered=delivery.deliveredAt != 0,
                callback=delivery.callback,
                outputHash=delivery.outputHash,
                handed=self.handed[id],
            )
        )
    return found
