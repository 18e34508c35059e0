# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
# SPDX-License-Identifier: Apache-2.0
"""
@title  A callback, requester and deliverer that does as a test tells it
"""

ACCEPT: constant(uint256) = 0
REVERT: constant(uint256) = 1
BURN: constant(uint256) = 2
BOMB: constant(uint256) = 3
CALL: constant(uint256) = 4

mode: public(uint256)
generous: public(bool)
calls: public(uint256)
seen: public(Bytes[256])
gas_given: public(uint256)
sender: public(address)
target: public(address)
data: public(Bytes[9000])
paying: public(uint256)
succeeded: public(bool)
answer: public(Bytes[1024])


@external
@payable
def __default__():
    """
    @notice Takes payments once told to; first calls back what it was told to.
    """
    if self.mode == CALL:
        self._act()
    assert self.generous, "no payments"


@external
def script(mode: uint256, target: address, data: Bytes[9000]):
    """
    @notice Sets what the callback does, and what CALL calls.
    """
    self.mode = mode
    self.target = target
    self.data = data


@external
def be_generous():
    """
    @notice From now on takes payments.
    """
    self.generous = True


@external
def pay(amount: uint256):
    """
    @notice Sets what CALL pays along.
    """
    self.paying = amount


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
    @notice The callback.
    """
    given: uint256 = msg.gas
    if self.mode == REVERT:
        raise "as told"
    if self.mode == BURN:
        raise UNREACHABLE
    if self.mode == BOMB:
        raw_revert(empty(Bytes[200000]))
    if self.mode == CALL:
        self._act()
    self.gas_given = given
    self.calls += 1
    self.sender = msg.sender
    self.seen = abi_encode(
        intentId,
        originHub,
        requester,
        agentId,
        payloadHash,
        status,
        keccak256(output),
        len(output),
    )


@external
@payable
def execute(target: address, data: Bytes[9000], limit: uint256):
    """
    @notice Makes a call in its own name, with this much gas.
    """
    raw_call(target, data, value=msg.value, gas=limit)


@internal
def _act():
    success: bool = False
    answer: Bytes[1024] = b""
    success, answer = raw_call(
        self.target, self.data, value=self.paying, max_outsize=1024, revert_on_failure=False
    )
    self.succeeded = success
    self.answer = answer
