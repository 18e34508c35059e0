# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title  Records
@license Apache-2.0
@notice How the hub keeps intents and deliveries: three storage slots each. Vyper gives each field
        a slot of its own, so the small fields are packed into one word by hand; a slot saved is
        22,100 gas of a request or a delivery.
"""

from interfaces import IVagusHub

# States of an intent; zero is unknown. Settled and refunded are for good.
OPEN: constant(uint256) = 1
SETTLED: constant(uint256) = 2
REFUNDED: constant(uint256) = 3

# Outcomes of a callback.
NO_CALLBACK: constant(uint256) = 0
SUCCEEDED: constant(uint256) = 1
FAILED: constant(uint256) = 2

U24: constant(uint256) = 2**24 - 1
U32: constant(uint256) = 2**32 - 1
U64: constant(uint256) = 2**64 - 1
U160: constant(uint256) = 2**160 - 1

struct Escrow:
    word: uint256  # requester 160 | deadline 64 | state 8
    destHub: bytes32
    amount: uint256

struct Record:
    # deliverer 160 | signers 32 | seconds since deployment 32 | epochs since the first 24
    # | status + 1 4 | callback 4: zero means not delivered
    word: uint256
    outputHash: bytes32
    evidenceHash: bytes32


@internal
@pure
def _pack_intent(requester: address, deadline: uint64, state: uint256) -> uint256:
    """
    @notice An intent's small fields as one word.
    """
    return (convert(requester, uint256) << 96) | (convert(deadline, uint256) << 32) | state


@internal
@pure
def _state(word: uint256) -> uint256:
    """
    @notice The state in an intent's word.
    """
    return word & 255


@internal
@pure
def _requester(word: uint256) -> address:
    """
    @notice The requester in an intent's word.
    """
    return convert(word >> 96, address)


@internal
@pure
def _deadline(word: uint256) -> uint256:
    """
    @notice The deadline in an intent's word.
    """
    return (word >> 32) & U64


@internal
@pure
def _close(word: uint256, state: uint256) -> uint256:
    """
    @notice An open intent's word with a final state.
    """
    return (word ^ OPEN) | state


@internal
@pure
def _pack_delivery(
    deliverer: address, signers: uint256, age: uint256, epochs: uint256, status: uint64, callback: uint256
) -> uint256:
    """
    @notice A delivery's small fields as one word. Ages wrap after 136 years and epochs after 16
            million rotations: then delivering stops, rather than a record lying.
    """
    assert age <= U32 and epochs <= U24, "record full"
    return (
        (convert(deliverer, uint256) << 96)
        | (signers << 64)
        | (age << 32)
        | (epochs << 8)
        | ((convert(status, uint256) + 1) << 4)
        | callback
    )


@internal
@pure
def _status(word: uint256) -> uint64:
    """
    @notice The status in a delivery's word.
    """
    return convert(((word >> 4) & 15) - 1, uint64)


@internal
@pure
def _callback(word: uint256) -> uint256:
    """
    @notice The callback's outcome in a delivery's word.
    """
    return word & 15


@internal
@pure
def _age(word: uint256) -> uint256:
    """
    @notice Seconds from the hub's deployment to the delivery.
    """
    return (word >> 32) & U32


@internal
@pure
def _succeed(word: uint256) -> uint256:
    """
    @notice A delivery's word with its failed callback made a succeeded one.
    """
    return (word ^ FAILED) | SUCCEEDED


@internal
@pure
def _view_intent(escrow: Escrow) -> IVagusHub.IntentState:
    """
    @notice An intent's record as the view answers it.
    """
    return IVagusHub.IntentState(
        state=convert(self._state(escrow.word), uint8),
        requester=self._requester(escrow.word),
        deadline=convert(self._deadline(escrow.word), uint64),
        destHub=escrow.destHub,
        escrow=escrow.amount,
    )


@internal
@pure
def _view_delivery(record: Record, first: uint256) -> IVagusHub.Delivery:
    """
    @notice A delivery's record as the view answers it; all zero if there was none.
    @param first The hub's first epoch, which is its deployment's time: both count from there.
    """
    if record.word == 0:
        return empty(IVagusHub.Delivery)
    word: uint256 = record.word
    return IVagusHub.Delivery(
        deliveredAt=convert(first + self._age(word), uint64),
        status=self._status(word),
        outputHash=record.outputHash,
        evidenceHash=record.evidenceHash,
        epoch=convert(first + ((word >> 8) & U24), uint64),
        signers=(word >> 64) & U32,
        deliverer=convert(word >> 96, address),
        callback=convert(self._callback(word), uint8),
    )
