# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
# SPDX-License-Identifier: Apache-2.0
"""
@title  vagus hub
@license Apache-2.0
@notice Takes intents and escrows their fees; verifies what a committee signed and calls back.
@dev    As the origin of an intent: request, then settle or refund. As its destination: deliver, and
        retry while the callback has not succeeded. Credits are paid out by withdraw alone, so that
        no receiver can block anyone else. Cancun, for a reentrancy lock in transient storage and
        for MCOPY. There is no upgrade: the guardian can stop, never change or take.
"""

from interfaces import IVagusHub
from modules import destination
from modules import emergency
from modules import identity
from modules import messages
from modules import origin
from modules import quorum
from modules import records
from modules import settings

implements: IVagusHub

initializes: identity
initializes: settings
initializes: emergency[identity := identity]
initializes: quorum[identity := identity, settings := settings]
initializes: origin[
    emergency := emergency, identity := identity, quorum := quorum, settings := settings
]
initializes: destination[
    emergency := emergency, identity := identity, quorum := quorum, settings := settings
]

exports: (
    origin.request,
    origin.settle,
    origin.refund,
    origin.withdraw,
    destination.deliver,
    destination.retry,
    quorum.rotate,
    emergency.pause,
    emergency.unpause,
    emergency.offerGuardian,
    emergency.acceptGuardian,
)

MAX_SIGNERS: constant(uint256) = 32
MAX_PAYOUTS: constant(uint256) = 34


@deploy
def __init__(
    signers: DynArray[address, 32],
    threshold: uint64,
    guardian: address,
    minFee: uint256,
    minTtl: uint64,
    maxTtl: uint64,
    grace: uint64,
    maxCallbackGas: uint64,
    rosterHash: bytes32,
):
    """
    @notice Derives the hub's id from the live chain and its own address, and installs the first set.
    @dev    The first epoch is the chain's time and the first seq that time << 20, plus one: a hub
            that is deployed again repeats neither.
    @param signers One to 32 addresses, ascending.
    @param threshold How many must sign: more than half of them.
    @param guardian Who may pause; zero for nobody, ever.
    @param minFee The smallest fee of a request, in wei.
    @param minTtl Seconds that a deadline must at least be ahead.
    @param maxTtl Seconds that a deadline may at most be ahead.
    @param grace Seconds after a deadline before a refund, and after a rotation that the old set counts.
    @param maxCallbackGas The most gas that a callback on this hub may ask for.
    @param rosterHash Hash of the first committee's roster.
    """
    identity.__init__()
    settings.__init__(minFee, minTtl, maxTtl, grace, maxCallbackGas)
    emergency.__init__(guardian)
    quorum.__init__(signers, threshold, rosterHash)
    origin.__init__()


# Views. They have no lock: a callback may read the hub.


@view
@external
def config() -> IVagusHub.Config:
    """
    @notice All that was set at deployment, the bounds of seq, the guardian and whether it paused.
    @return firstSeq is the first request's number, nextSeq the next one's: all between were given.
    """
    return IVagusHub.Config(
        hubId=identity.HUB_ID,
        chainId=identity.CHAIN_ID,
        minFee=settings.MIN_FEE,
        minTtl=settings.MIN_TTL,
        maxTtl=settings.MAX_TTL,
        grace=settings.GRACE,
        retryWindow=convert(destination.RETRY_WINDOW, uint64),
        maxCallbackGas=settings.MAX_CALLBACK_GAS,
        callbackReserve=convert(destination.CALLBACK_RESERVE, uint64),
        firstSeq=origin._first_seq(),
        nextSeq=origin._next_seq,
        guardian=emergency._guardian,
        pendingGuardian=emergency._candidate,
        paused=emergency._paused,
    )


@view
@external
def hubId() -> bytes32:
    """
    @notice keccak256 of the hub's CAIP-10 id, as derived at deployment.
    """
    return identity.HUB_ID


@view
@external
def minFee() -> uint256:
    """
    @notice The smallest fee of a request, in wei.
    """
    return settings.MIN_FEE


@view
@external
def committee() -> IVagusHub.Committee:
    """
    @notice The current set, and the previous one with the time until which it counts.
    """
    return quorum._view()


@view
@external
def signersOf(epoch: uint64) -> DynArray[address, MAX_SIGNERS]:
    """
    @notice The signers of any epoch, whether or not it still counts: what a delivery's bitmap names.
    @param epoch The epoch; empty if there was none.
    """
    return quorum._list(convert(epoch, uint256))


@view
@external
def intentState(intentId: bytes32) -> IVagusHub.IntentState:
    """
    @notice What became of an intent that was asked here.
    @param intentId The intent's id.
    @return state 0 unknown, 1 open, 2 settled, 3 refunded; escrow and destHub are zero unless open.
    """
    return records._view_intent(origin._escrows[intentId])


@view
@external
def delivery(intentId: bytes32) -> IVagusHub.Delivery:
    """
    @notice What was delivered here for an intent.
    @param intentId The intent's id.
    @return deliveredAt is 0 if nothing was; callback 0 none, 1 succeeded, 2 failed; bit i of signers
            is signer i of signersOf(epoch).
    """
    return records._view_delivery(destination._deliveries[intentId], identity.FIRST_EPOCH)


@view
@external
def credit(account: address) -> uint256:
    """
    @notice What an account can withdraw, in wei.
    @param account The creditor.
    """
    return origin._credits[account]


@pure
@external
def intentId(intent: IVagusHub.Intent) -> bytes32:
    """
    @notice The id of an intent: its EIP-712 hashStruct.
    @param intent Any intent.
    """
    return messages._intent_id(intent)


@pure
@external
def attestationDigest(hub: bytes32, attestation: IVagusHub.Attestation) -> bytes32:
    """
    @notice What a committee signs for an attestation.
    @param hub The id of the hub that shall verify it.
    @param attestation Any attestation.
    """
    return messages._attestation_digest(messages._domain(hub), attestation)


@pure
@external
def receiptDigest(hub: bytes32, receipt: IVagusHub.Receipt) -> bytes32:
    """
    @notice What a committee signs for a receipt.
    @param hub The id of the hub that shall verify it.
    @param receipt Any receipt.
    """
    return messages._receipt_digest(messages._domain(hub), receipt)


@pure
@external
def rotationDigest(hub: bytes32, rotation: IVagusHub.Rotation) -> bytes32:
    """
    @notice What a committee signs for a rotation.
    @param hub The id of the hub that shall verify it.
    @param rotation Any rotation.
    """
    return messages._rotation_digest(messages._domain(hub), rotation)


@pure
@external
def payoutsHash(payouts: DynArray[IVagusHub.Payout, MAX_PAYOUTS]) -> bytes32:
    """
    @notice What a receipt says of its payouts.
    @param payouts Any payouts.
    """
    return messages._payouts_hash(payouts)


@pure
@external
def signersHash(signers: DynArray[address, MAX_SIGNERS]) -> bytes32:
    """
    @notice What a rotation says of its signers.
    @param signers Any signers.
    """
    return messages._signers_hash(signers)
