# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title  Destination
@license Apache-2.0
@notice The hub as the destination of intents: records each outcome that the committee signed once,
        for good, and calls back with the gas that the requester was promised.
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

MAX_OUTPUT: constant(uint256) = 8192
MAX_SIGNERS: constant(uint256) = 32
RETRY_WINDOW: constant(uint256) = 7 * 86400
# Gas that deliver and retry need around a callback that burns all it is given: the CALL itself, the
# record, the event and the lock. docs/gas.md says how it is measured; a test measures it again.
CALLBACK_RESERVE: constant(uint256) = 12_000
CALLBACK: constant(Bytes[4]) = method_id(
    "onResult(bytes32,bytes32,bytes32,bytes32,bytes32,uint64,bytes)"
)

_deliveries: HashMap[bytes32, records.Record]


@external
@nonreentrant
def deliver(
    intent: IVagusHub.Intent,
    attestation: IVagusHub.Attestation,
    output: Bytes[MAX_OUTPUT],
    signatures: DynArray[Bytes[65], MAX_SIGNERS],
):
    """
    @notice Records an outcome that the committee signed, then calls the intent's callback.
    @dev    The record comes first and stays, whatever the callback does. Reverts if less gas is left
            than the callback was promised.
    @param intent The intent as its origin has it.
    @param attestation What the committee signed for this hub.
    @param output What its outputHash commits to; empty unless the status is 0.
    @param signatures Of the attestation's digest, by ascending signers.
    """
    emergency._check_running()
    assert intent.destHub == identity.HUB_ID, "another hub's intent"
    assert intent.feeAsset == empty(bytes32), "fee asset unknown"
    id: bytes32 = messages._intent_id(intent)
    assert attestation.intentId == id, "another intent"
    assert attestation.originHub == intent.originHub, "another origin"
    assert keccak256(output) == attestation.outputHash, "output differs"
    least: uint64 = 0
    if attestation.status == 0:
        if intent.modelDigest != empty(bytes32):
            assert attestation.modelDigest == intent.modelDigest, "another model"
        least = intent.minSigners
    else:
        assert attestation.status <= 2, "unknown status"
        assert len(output) == 0, "output without fulfilment"
        assert (
            attestation.agentDigest == empty(bytes32) and attestation.modelDigest == empty(bytes32)
        ), "digest without fulfilment"
    assert block.timestamp <= convert(attestation.expiry, uint256), "attestation expired"
    assert block.timestamp <= convert(intent.deadline, uint256), "deadline passed"
    assert self._deliveries[id].word == 0, "already delivered"
    signers: uint256 = quorum._verify(
        messages._attestation_digest(identity.DOMAIN, attestation), attestation.epoch, least, signatures
    )

    # A callback counts as failed until it has succeeded.
    outcome: uint256 = (
        records.NO_CALLBACK if intent.callback == empty(bytes32) else records.FAILED
    )
    word: uint256 = records._pack_delivery(
        msg.sender,
        signers,
        block.timestamp - identity.FIRST_EPOCH,
        convert(attestation.epoch, uint256) - identity.FIRST_EPOCH,
        attestation.status,
        outcome,
    )
    self._deliveries[id] = records.Record(
        word=word, outputHash=attestation.outputHash, evidenceHash=attestation.evidenceHash
    )
    log IVagusHub.Delivered(
        intentId=id,
        originHub=intent.originHub,
        deliverer=msg.sender,
        status=attestation.status,
        outputHash=attestation.outputHash,
        agentDigest=attestation.agentDigest,
        modelDigest=attestation.modelDigest,
        evidenceHash=attestation.evidenceHash,
        epoch=attestation.epoch,
        signers=signers,
        output=output,
    )
    if outcome != records.NO_CALLBACK:
        self._call_back(id, intent, attestation.status, output, word)


@external
@nonreentrant
def retry(intent: IVagusHub.Intent, output: Bytes[MAX_OUTPUT]) -> bool:
    """
    @notice Calls the callback of a delivered intent again, while it has not succeeded and the retry
            window after the delivery lasts.
    @param intent The intent that was delivered.
    @param output The output that was delivered.
    @return Whether the callback succeeded this time.
    """
    emergency._check_running()
    id: bytes32 = messages._intent_id(intent)
    word: uint256 = self._deliveries[id].word
    assert word != 0, "not delivered"
    assert records._callback(word) == records.FAILED, "no failed callback"
    assert keccak256(output) == self._deliveries[id].outputHash, "output differs"
    delivered: uint256 = identity.FIRST_EPOCH + records._age(word)
    assert block.timestamp <= delivered + RETRY_WINDOW, "retry too late"
    return self._call_back(id, intent, records._status(word), output, word)


@internal
def _call_back(
    id: bytes32, intent: IVagusHub.Intent, status: uint64, output: Bytes[MAX_OUTPUT], word: uint256
) -> bool:
    """
    @notice Calls the intent's callback with the gas that it was promised, and records a success.
    @dev    A word that is no EVM address, a target without code and a callbackGas over the maximum
            fail without a call. What the target returns is not copied.
    """
    called: uint256 = convert(intent.callback, uint256)
    promised: uint256 = convert(intent.callbackGas, uint256)
    success: bool = False
    if called >> 160 == 0 and promised <= convert(settings.MAX_CALLBACK_GAS, uint256):
        target: address = convert(called, address)
        if target.is_contract:
            data: Bytes[MAX_OUTPUT + 260] = abi_encode(
                id,
                intent.originHub,
                intent.requester,
                intent.agentId,
                intent.payloadHash,
                status,
                output,
                method_id=CALLBACK,
            )
            # A call gets at most 63/64 of what is left (EIP-150), and less than it asks for is not
            # an error to the EVM: a deliverer could starve it and have its failure recorded.
            assert msg.gas >= (promised * 64 + 62) // 63 + CALLBACK_RESERVE, "too little gas for callback"
            success = raw_call(target, data, gas=promised, max_outsize=0, revert_on_failure=False)
    if success:
        self._deliveries[id].word = records._succeed(word)
    log IVagusHub.CallbackResult(intentId=id, callback=intent.callback, success=success)
    return success
