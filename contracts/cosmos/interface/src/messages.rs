// SPDX-License-Identifier: Apache-2.0
//! The protocol's messages, their fields in the order in which EIP-712 hashes them.

use cosmwasm_schema::cw_serde;
use cosmwasm_std::{Uint256, Uint64};

use crate::hex::Word;

/// One request. Its hashStruct is its id.
#[cw_serde]
#[serde(deny_unknown_fields)]
pub struct Intent {
    pub origin_hub: Word,
    pub seq: Uint64,
    pub requester: Word,
    pub agent_id: Word,
    pub payload_hash: Word,
    /// The only model whose answer the destination accepts; zero for any.
    pub model_digest: Word,
    pub terms_hash: Word,
    /// Signatures that an answer needs if that is more than the threshold.
    pub min_signers: Uint64,
    pub dest_hub: Word,
    /// Who is called with the answer, as the destination's address; zero for nobody.
    pub callback: Word,
    /// What that call may use, in the destination's units.
    pub callback_gas: Uint64,
    /// Zero: the origin's native coin, here the hub's denom.
    pub fee_asset: Word,
    pub max_fee: Uint256,
    /// Until when the answer may be delivered, in seconds.
    pub deadline: Uint64,
}

/// What a committee says of an intent's outcome, for the destination hub.
#[cw_serde]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    pub intent_id: Word,
    pub origin_hub: Word,
    /// 0 fulfilled, 1 refused, 2 failed.
    pub status: Uint64,
    pub output_hash: Word,
    pub agent_digest: Word,
    pub model_digest: Word,
    pub evidence_hash: Word,
    pub epoch: Uint64,
    pub expiry: Uint64,
}

/// What a committee says of an intent's fee, for the origin hub.
#[cw_serde]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    pub intent_id: Word,
    pub dest_hub: Word,
    pub status: Uint64,
    pub payouts_hash: Word,
    pub fee: Uint256,
    pub epoch: Uint64,
    pub expiry: Uint64,
}

/// What a committee says of its successor.
#[cw_serde]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    pub epoch: Uint64,
    pub signers_hash: Word,
    pub threshold: Uint64,
    pub valid_from: Uint64,
    pub roster_hash: Word,
}

/// One payee of a settlement.
#[cw_serde]
#[serde(deny_unknown_fields)]
pub struct Payout {
    pub payee: Word,
    pub amount: Uint256,
}
