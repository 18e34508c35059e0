# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
# SPDX-License-Identifier: Apache-2.0
"""
@title  Example consumer
@license Apache-2.0
@notice Asks an agent through the hub of its own chain and keeps the answers that it believes. The
        same contract on two chains, each allowing the other, asks on one and answers on the other.
@dev    Anyone may name this contract as the callback of any question to any agent, and deliver the
        answer. onResult therefore checks who calls, where the question was asked, who asked it and
        which agent answered, and takes an output only with status 0. Storing an output costs 22,100
        gas per 32 bytes: set callbackGas by the longest answer that you want, or keep its hash.
"""

from interfaces import IVagusConsumer
from interfaces import IVagusHub

implements: IVagusConsumer

struct Answer:
    answered: bool
    status: uint64
    output: Bytes[8192]

event Asked:
    intentId: indexed(bytes32)

event Answered:
    intentId: indexed(bytes32)
    status: uint64
    output: Bytes[8192]

event Allowed:
    originHub: indexed(bytes32)
    requester: indexed(bytes32)
    allowed: bool

HUB: public(immutable(address))
AGENT_ID: public(immutable(bytes32))
OWNER: public(immutable(address))

# By the hub where a question is asked and who asks it there.
allowed: public(HashMap[bytes32, HashMap[bytes32, bool]])
answers: public(HashMap[bytes32, Answer])


@deploy
def __init__(hub: address, agentId: bytes32):
    """
    @notice Trusts one hub and one agent, and allows itself to ask on the hub's chain.
    @param hub The hub on this chain.
    @param agentId keccak256 of the agent's "name@major".
    """
    HUB = hub
    AGENT_ID = agentId
    OWNER = msg.sender
    self._allow(staticcall IVagusHub(hub).hubId(), convert(convert(self, uint256), bytes32), True)


@external
@payable
def __default__():
    """
    @notice Takes the hub's payments, and nobody else's.
    """
    assert msg.sender == HUB, "not the hub"


@external
def allow(originHub: bytes32, requester: bytes32, allowed: bool):
    """
    @notice Says whose questions this contract takes answers to.
    @param originHub The id of the hub where they are asked.
    @param requester Who asks there, as that chain's address in a word.
    @param allowed Whether answers are taken.
    """
    assert msg.sender == OWNER, "not the owner"
    self._allow(originHub, requester, allowed)


@external
@payable
def ask(
    payload: Bytes[8192],
    modelDigest: bytes32,
    terms: Bytes[1024],
    minSigners: uint64,
    destHub: bytes32,
    callback: bytes32,
    callbackGas: uint64,
    deadline: uint64,
) -> bytes32:
    """
    @notice Asks the agent; the value sent is the most that the answer may cost. The owner alone
            asks: where this contract is allowed, its questions count as its own.
    @param payload The question, as the agent defines it.
    @param modelDigest The only model whose answer is accepted; zero for any.
    @param terms What nodes shall enforce, as RFC 8785 JSON; empty for nothing.
    @param minSigners Signatures that the answer needs if that is more than the threshold.
    @param destHub The hub that delivers the answer.
    @param callback Who is called with it there, as that chain's address in a word.
    @param callbackGas What that call may use.
    @param deadline Until when the answer may be delivered.
    @return The intent's id.
    """
    assert msg.sender == OWNER, "not the owner"
    id: bytes32 = extcall IVagusHub(HUB).request(
        AGENT_ID,
        payload,
        modelDigest,
        terms,
        minSigners,
        destHub,
        callback,
        callbackGas,
        deadline,
        value=msg.value,
    )
    log Asked(intentId=id)
    return id


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
    @notice Takes an answer from the hub.
    @param intentId Which question was answered.
    @param originHub The id of the hub where it was asked.
    @param requester Who asked it there.
    @param agentId Which agent was asked.
    @param payloadHash keccak256 of the question.
    @param status 0 fulfilled, 1 refused, 2 failed.
    @param output The answer; empty unless the status is 0.
    """
    assert msg.sender == HUB, "not the hub"
    assert self.allowed[originHub][requester], "requester not allowed"
    assert agentId == AGENT_ID, "another agent"
    # Refused or failed (status 1 and 2): there is no answer to act on, only the fact.
    self.answers[intentId] = Answer(answered=status == 0, status=status, output=output)
    log Answered(intentId=intentId, status=status, output=output)


@external
def collect():
    """
    @notice Withdraws this contract's credit at the hub, returned fees and refunds, to the owner.
    """
    assert msg.sender == OWNER, "not the owner"
    extcall IVagusHub(HUB).withdraw()
    raw_call(OWNER, b"", value=self.balance)


@internal
def _allow(originHub: bytes32, requester: bytes32, allowed: bool):
    """
    @notice Records whose questions count.
    """
    self.allowed[originHub][requester] = allowed
    log Allowed(originHub=originHub, requester=requester, allowed=allowed)
