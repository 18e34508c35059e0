"""The protocol of vagus: ids, messages, signatures and quorums. No I/O, no clock, no config."""

from vagus.protocol.addresses import address_prefix, read_account, read_address
from vagus.protocol.documents import (
    Json,
    agent_digest,
    canonical,
    document_hash,
    model_digest,
    models_digest,
)
from vagus.protocol.epochs import deciding
from vagus.protocol.errors import Halt, QuorumError, Refuse, Retry, SignatureError, VagusError
from vagus.protocol.fees import FeeFormula, settlement
from vagus.protocol.hashing import EMPTY_HASH, ZERO32, keccak256
from vagus.protocol.ids import (
    Account,
    agent_id,
    caip2,
    cosmos_chain,
    hub_id,
    pack_address,
    unpack_address,
)
from vagus.protocol.limits import MAX_OUTPUT, MAX_PAYLOAD, MAX_PAYOUTS, MAX_SIGNERS, MAX_TERMS
from vagus.protocol.messages import (
    Attestation,
    Intent,
    Receipt,
    Rotation,
    Status,
    domain_separator,
)
from vagus.protocol.outcome import Outcome, outcome_value
from vagus.protocol.payouts import Payout, encode_payouts, payouts_hash
from vagus.protocol.quorum import SignerSet, signers_hash, verify_quorum
from vagus.protocol.signatures import address_of, recover, sign
from vagus.protocol.terms import Mode, Terms, hash_terms

__all__ = [
    "EMPTY_HASH",
    "MAX_OUTPUT",
    "MAX_PAYLOAD",
    "MAX_PAYOUTS",
    "MAX_SIGNERS",
    "MAX_TERMS",
    "ZERO32",
    "Account",
    "Attestation",
    "FeeFormula",
    "Halt",
    "Intent",
    "Json",
    "Mode",
    "Outcome",
    "Payout",
    "QuorumError",
    "Receipt",
    "Refuse",
    "Retry",
    "Rotation",
    "SignatureError",
    "SignerSet",
    "Status",
    "Terms",
    "VagusError",
    "address_of",
    "address_prefix",
    "agent_digest",
    "agent_id",
    "caip2",
    "canonical",
    "cosmos_chain",
    "deciding",
    "document_hash",
    "domain_separator",
    "encode_payouts",
    "hash_terms",
    "hub_id",
    "keccak256",
    "model_digest",
    "models_digest",
    "outcome_value",
    "pack_address",
    "payouts_hash",
    "read_account",
    "read_address",
    "recover",
    "settlement",
    "sign",
    "signers_hash",
    "unpack_address",
    "verify_quorum",
]
