# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
# SPDX-License-Identifier: Apache-2.0
"""
@title  Example of a callback that fails
@license Apache-2.0
@notice Refuses every answer: the hub records the delivery and the failed callback all the same.
"""

from interfaces import IVagusConsumer

implements: IVagusConsumer


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
    @notice Reverts, whatever it is given.
    @param intentId Which question was answered.
    @param originHub The id of the hub where it was asked.
    @param requester Who asked it there.
    @param agentId Which agent was asked.
    @param payloadHash keccak256 of the question.
    @param status 0 fulfilled, 1 refused, 2 failed.
    @param output The answer; empty unless the status is 0.
    """
    raise "no answer wanted"
