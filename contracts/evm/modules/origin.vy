# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title  Origin
@license Apache-2.0
@notice The hub as the origin of intents: takes requests and escrows their fees, then settles or
        refunds each once, for good. What anyone is owed is credit, which withdraw alone pays out,
        so that no receiver can block anyone else.
"""

from interfaces import IVagusHub
from modules import emergency
from modules import identity
from modules import messages
from modules import quorum
from modules import records
from modules import settings

uses: emergency
uses: identity
uses: quorum
uses: settings

MAX_PAYLOAD: constant(uint256) = 8192
MAX_TERMS: constant(uint256) = 1024
MAX_SIGNERS: constant(uint256) = 32
MAX_PAYOUTS: constant(uint256) = 34

_next_seq: uint64
_escrows: HashMap[bytes32, records.Escrow]
_credits: HashMap[address, uint256]


@deploy
def __init__():
    """
    @notice Starts the numbers of requests.
    @dev    With the chain's time in front, a hub that is deployed again repeats none.
    """
    self._next_seq = self._first_seq()


@external
@payable
@nonreentrant
def request(
    agentId: bytes32,
    payload: Bytes[MAX_PAYLOAD],
    modelDigest: bytes32,
    terms: Bytes[MAX_TERMS],
    minSigners: uint64,
    destHub: bytes32,
    callback: bytes32,
    callbackGas: uint64,
    deadline: uint64,
) -> bytes32:
    """
    @notice Asks an agent a question and escrows the value sent as the most that the answer may cost.
    @param agentId keccak256 of the agent's "name@major".
    @param payload The question, as the agent defines it.
    @param modelDigest The only model whose answer the destination accepts; zero for any.
    @param terms What nodes shall enforce, as RFC 8785 JSON; empty for nothing.
    @param minSigners Signatures that the answer needs if that is more than the threshold.
    @param destHub The hub that delivers the answer.
    @param callback Who is called with it there, as that chain's address in a word; zero for nobody.
    @param callbackGas What that call may use, in the destination's units.
    @param deadline Until when the answer may be delivered.
    @return The intent's id.
    """
    emergency._check_running()
    assert msg.value >= settings.MIN_FEE, "fee under minimum"
    # In 256 bits, where no deadline can overflow the sums.
    assert convert(deadline, uint256) >= block.timestamp + convert(settings.MIN_TTL, uint256), "deadline too early"
    assert convert(deadline, uint256) <= block.timestamp + convert(settings.MAX_TTL, uint256), "deadline too late"
    if destHub == identity.HUB_ID:
        assert callbackGas <= settings.MAX_CALLBACK_GAS, "callback gas over maximum"

    terms_hash: bytes32 = empty(bytes32)
    if len(terms) != 0:
        terms_hash = keccak256(terms)
    seq: uint64 = self._next_seq
    self._next_seq = seq + 1
    intent: IVagusHub.Intent = IVagusHub.Intent(
        originHub=identity.HUB_ID,
        seq=seq,
        requester=convert(convert(msg.sender, uint256), bytes32),
        agentId=agentId,
        payloadHash=keccak256(payload),
        modelDigest=modelDigest,
        termsHash=terms_hash,
        minSigners=minSigners,
        destHub=destHub,
        callback=callback,
        callbackGas=callbackGas,
        feeAsset=empty(bytes32),
        maxFee=msg.value,
        deadline=deadline,
    )
    id: bytes32 = messages._intent_id(intent)
    self._escrows[id] = records.Escrow(
        word=records._pack_intent(msg.sender, deadline, records.OPEN),
        destHub=destHub,
        amount=msg.value,
    )
    log IVagusHub.IntentRequested(intentId=id, seq=seq, intent=intent, payload=payload, terms=terms)
    return id


@external
@nonreentrant
def settle(
    receipt: IVagusHub.Receipt,
    payouts: DynArray[IVagusHub.Payout, MAX_PAYOUTS],
    signatures: DynArray[Bytes[65], MAX_SIGNERS],
):
    """
    @notice Closes an open intent: credits those whom the receipt pays, and the requester the rest.
    @param receipt What the committee signed for this hub.
    @param payouts What its payoutsHash commits to; the amounts sum to its fee.
    @param signatures Of the receipt's digest, by ascending signers.
    """
    emergency._check_running()
    word: uint256 = self._escrows[receipt.intentId].word
    amount: uint256 = self._escrows[receipt.intentId].amount
    assert records._state(word) == records.OPEN, "intent not open"
    assert receipt.destHub == self._escrows[receipt.intentId].destHub, "another destination"
    assert receipt.status <= 2, "unknown status"
    assert receipt.status == 0 or receipt.fee == 0, "fee without fulfilment"
    assert receipt.fee <= amount, "fee over maximum"
    assert block.timestamp <= convert(receipt.expiry, uint256), "receipt expired"
    assert messages._payouts_hash(payouts) == receipt.payoutsHash, "payouts differ"
    quorum._verify(
        messages._receipt_digest(identity.DOMAIN, receipt), receipt.epoch, 0, signatures
    )

    self._close(receipt.intentId, word, records.SETTLED)
    paid: uint256 = 0
    for payout: IVagusHub.Payout in payouts:
        assert payout.payee != empty(bytes32), "payee zero"
        assert convert(payout.payee, uint256) >> 160 == 0, "payee malformed"
        paid += payout.amount
        self._credits[convert(payout.payee, address)] += payout.amount
    assert paid == receipt.fee, "payouts do not sum"
    if amount != paid:
        self._credits[records._requester(word)] += amount - paid
    log IVagusHub.Settled(
        intentId=receipt.intentId,
        status=receipt.status,
        fee=paid,
        returned=amount - paid,
        epoch=receipt.epoch,
        payouts=payouts,
    )


@external
@nonreentrant
def refund(intentId: bytes32):
    """
    @notice Credits the requester of an intent that nobody settled in time; works while paused and
            after a change of the chain's id.
    @param intentId An open intent whose deadline is longer ago than the grace.
    """
    word: uint256 = self._escrows[intentId].word
    amount: uint256 = self._escrows[intentId].amount
    assert records._state(word) == records.OPEN, "intent not open"
    assert block.timestamp > records._deadline(word) + convert(settings.GRACE, uint256), "refund too early"
    requester: address = records._requester(word)
    self._close(intentId, word, records.REFUNDED)
    self._credits[requester] += amount
    log IVagusHub.Refunded(intentId=intentId, requester=requester, amount=amount)


@external
@nonreentrant
def withdraw():
    """
    @notice Pays the caller all its credit; works while paused and after a change of the chain's id.
    """
    amount: uint256 = self._credits[msg.sender]
    assert amount != 0, "no credit"
    self._credits[msg.sender] = 0
    log IVagusHub.Withdrawn(account=msg.sender, amount=amount)
    # All gas: the lock is held, and only the caller's own money is at stake.
    paid: bool = raw_call(msg.sender, b"", value=amount, max_outsize=0, revert_on_failure=False)
    assert paid, "withdrawal refused"


@internal
@view
def _first_seq() -> uint64:
    """
    @notice The first request's number: the deployment's time << 20, plus one.
    """
    return convert((identity.FIRST_EPOCH << 20) + 1, uint64)


@internal
def _close(intentId: bytes32, word: uint256, state: uint256):
    """
    @notice Gives an open intent its final state and frees what only an open one needs.
    """
    self._escrows[intentId] = records.Escrow(
        word=records._close(word, state), destHub=empty(bytes32), amount=0
    )
