# pragma version 0.4.3
# SPDX-License-Identifier: Apache-2.0
"""
@title  Messages
@license Apache-2.0
@notice EIP-712 hashes of the four messages, and the hashes of the lists that they commit to.
@dev    Every message is a struct of static words: hashStruct is one keccak256 over its type hash
        and its ABI encoding.
"""

from interfaces import IVagusHub

DOMAIN_TYPE: constant(bytes32) = keccak256("EIP712Domain(string name,string version,bytes32 salt)")
DOMAIN_NAME: constant(bytes32) = keccak256("vagus")
DOMAIN_VERSION: constant(bytes32) = keccak256("1")
INTENT_TYPE: constant(bytes32) = keccak256(
    "Intent(bytes32 originHub,uint64 seq,bytes32 requester,bytes32 agentId,bytes32 payloadHash,bytes32 modelDigest,bytes32 termsHash,uint64 minSigners,bytes32 destHub,bytes32 callback,uint64 callbackGas,bytes32 feeAsset,uint256 maxFee,uint64 deadline)"
)
ATTESTATION_TYPE: constant(bytes32) = keccak256(
    "Attestation(bytes32 intentId,bytes32 originHub,uint64 status,bytes32 outputHash,bytes32 agentDigest,bytes32 modelDigest,bytes32 evidenceHash,uint64 epoch,uint64 expiry)"
)
RECEIPT_TYPE: constant(bytes32) = keccak256(
    "Receipt(bytes32 intentId,bytes32 destHub,uint64 status,bytes32 payoutsHash,uint256 fee,uint64 epoch,uint64 expiry)"
)
ROTATION_TYPE: constant(bytes32) = keccak256(
    "Rotation(uint64 epoch,bytes32 signersHash,uint64 threshold,uint64 validFrom,bytes32 rosterHash)"
)


@internal
@pure
def _domain(hub_id: bytes32) -> bytes32:
    """
    @notice The EIP-712 domain separator of a hub: ("vagus", "1", salt = the hub's id).
    """
    return keccak256(abi_encode(DOMAIN_TYPE, DOMAIN_NAME, DOMAIN_VERSION, hub_id))


@internal
@pure
def _digest(domain: bytes32, struct_hash: bytes32) -> bytes32:
    """
    @notice What is signed: keccak256(0x1901 || domain separator || hashStruct).
    """
    return keccak256(concat(b"\x19\x01", domain, struct_hash))


@internal
@pure
def _intent_id(intent: IVagusHub.Intent) -> bytes32:
    """
    @notice hashStruct of an Intent, which is its id.
    """
    return keccak256(abi_encode(INTENT_TYPE, intent))


@internal
@pure
def _attestation_digest(domain: bytes32, attestation: IVagusHub.Attestation) -> bytes32:
    """
    @notice The digest that a destination's committee signs.
    """
    return self._digest(domain, keccak256(abi_encode(ATTESTATION_TYPE, attestation)))


@internal
@pure
def _receipt_digest(domain: bytes32, receipt: IVagusHub.Receipt) -> bytes32:
    """
    @notice The digest that an origin's committee signs.
    """
    return self._digest(domain, keccak256(abi_encode(RECEIPT_TYPE, receipt)))


@internal
@pure
def _rotation_digest(domain: bytes32, rotation: IVagusHub.Rotation) -> bytes32:
    """
    @notice The digest by which a committee names its successor.
    """
    return self._digest(domain, keccak256(abi_encode(ROTATION_TYPE, rotation)))


@internal
@pure
def _payouts_hash(payouts: DynArray[IVagusHub.Payout, 34]) -> bytes32:
    """
    @notice keccak256 of the payouts, 64 bytes each; of nothing for none.
    """
    # The ABI puts an offset and the length in front: 64 bytes that are not hashed.
    return keccak256(slice(abi_encode(payouts), 64, 64 * len(payouts)))


@internal
@pure
def _signers_hash(signers: DynArray[address, 32]) -> bytes32:
    """
    @notice keccak256 of the addresses, each padded on the left to 32 bytes.
    """
    return keccak256(slice(abi_encode(signers), 64, 32 * len(signers)))
