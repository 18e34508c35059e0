// SPDX-License-Identifier: Apache-2.0
//! What a hub is told and asked, and what it tells a callback.

use cosmwasm_schema::{cw_serde, QueryResponses};
use cosmwasm_std::{Uint128, Uint64};

use crate::hex::{Bytes, Signer, Word};
use crate::messages::{Attestation, Intent, Payout, Receipt, Rotation};

#[cw_serde]
#[serde(deny_unknown_fields)]
pub struct InstantiateMsg {
    /// One to 32, ascending.
    pub signers: Vec<Signer>,
    /// How many must sign: more than half of them.
    pub threshold: Uint64,
    /// Who may pause; zero for nobody, ever.
    pub guardian: Word,
    /// The denom of all fees.
    pub fee_denom: String,
    /// The smallest fee of a request.
    pub min_fee: Uint128,
    /// Seconds that a deadline must at least be ahead.
    pub min_ttl: Uint64,
    /// Seconds that a deadline may at most be ahead.
    pub max_ttl: Uint64,
    /// Seconds after a deadline before a refund, and after a rotation that the old set counts.
    pub grace: Uint64,
    /// The most gas that a callback on this hub may ask for.
    pub max_callback_gas: Uint64,
    /// Hash of the first committee's roster.
    pub roster_hash: Word,
}

/// What is asked of an agent.
#[cw_serde]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// keccak256 of the agent's "name@major".
    pub agent_id: Word,
    /// The question, as the agent defines it: at most 8,192 bytes.
    pub payload: Bytes,
    /// The only model whose answer the destination accepts; zero for any.
    pub model_digest: Word,
    /// What nodes shall enforce, as RFC 8785 JSON of at most 1,024 bytes; empty for nothing.
    pub terms: Bytes,
    /// Signatures that the answer needs if that is more than the threshold.
    pub min_signers: Uint64,
    /// The hub that delivers the answer.
    pub dest_hub: Word,
    /// Who is called with it there; zero for nobody.
    pub callback: Word,
    /// What that call may use, in the destination's units.
    pub callback_gas: Uint64,
    /// Until when the answer may be delivered, in seconds.
    pub deadline: Uint64,
}

#[cw_serde]
#[serde(deny_unknown_fields)]
pub enum ExecuteMsg {
    /// Ask an agent a question; the coin sent is the most that the answer may cost. The call's data
    /// is the intent's id.
    Request(Question),
    /// Record an outcome that the committee signed, then call the intent's callback.
    Deliver {
        intent: Intent,
        attestation: Attestation,
        /// Empty unless the status is 0.
        output: Bytes,
        /// Of the attestation's digest: 65 bytes each, by ascending signers.
        signatures: Vec<Bytes>,
    },
    /// Call the callback of a delivered intent again while it has not succeeded, for seven days.
    Retry { intent: Intent, output: Bytes },
    /// Close an open intent: credit those whom the receipt pays, and the requester the rest.
    Settle {
        receipt: Receipt,
        payouts: Vec<Payout>,
        /// Of the receipt's digest: 65 bytes each, by ascending signers.
        signatures: Vec<Bytes>,
    },
    /// Credit the requester of an open intent whose deadline is longer ago than the grace.
    Refund { intent_id: Word },
    /// Pay the sender all its credit.
    Withdraw {},
    /// Install the next set at once.
    Rotate {
        rotation: Rotation,
        /// One to 32, ascending.
        signers: Vec<Signer>,
        /// Of the rotation's digest: 65 bytes each, by ascending signers of the current set.
        signatures: Vec<Bytes>,
    },
    /// Stop request, deliver, retry and settle; never rotate, refund and withdraw.
    Pause {},
    /// End a pause.
    Unpause {},
    /// Offer the guardian's role; zero takes an offer back.
    OfferGuardian { candidate: Word },
    /// Take the guardian's role that was offered to the sender.
    AcceptGuardian {},
}

#[cw_serde]
#[serde(deny_unknown_fields)]
#[derive(QueryResponses)]
pub enum QueryMsg {
    /// What was set at instantiation, the bounds of seq, the guardian and whether it paused.
    #[returns(crate::Config)]
    Config {},
    /// The current set, and the previous one with the time until which it counts.
    #[returns(crate::Committee)]
    Committee {},
    /// The signers of any epoch; empty if there was none.
    #[returns(Vec<Signer>)]
    SignersOf { epoch: Uint64 },
    /// What became of an intent that was asked here.
    #[returns(Option<crate::IntentState>)]
    IntentState { intent_id: Word },
    /// The requests from a seq on, at most 100.
    #[returns(Vec<crate::Requested>)]
    Requests { from: Uint64, limit: Uint64 },
    /// What was delivered here for an intent.
    #[returns(Option<crate::Delivery>)]
    Delivery { intent_id: Word },
    /// What an account can withdraw.
    #[returns(Uint128)]
    Credit { account: Word },
    /// The id of any intent.
    #[returns(Word)]
    IntentId { intent: Intent },
    /// What a committee signs for an attestation, for any hub.
    #[returns(Word)]
    AttestationDigest { hub: Word, attestation: Attestation },
    /// What a committee signs for a receipt, for any hub.
    #[returns(Word)]
    ReceiptDigest { hub: Word, receipt: Receipt },
    /// What a committee signs for a rotation, for any hub.
    #[returns(Word)]
    RotationDigest { hub: Word, rotation: Rotation },
    /// What a receipt says of its payouts.
    #[returns(Word)]
    PayoutsHash { payouts: Vec<Payout> },
    /// What a rotation says of its signers.
    #[returns(Word)]
    SignersHash { signers: Vec<Signer> },
}

/// What a hub sends to the callback of an intent: one variant of the callback's own `ExecuteMsg`.
#[cw_serde]
#[serde(deny_unknown_fields)]
pub enum CallbackMsg {
    OnResult(Outcome),
}

/// An intent's outcome. Anyone may name any contract as callback: check the sender, `origin_hub`,
/// `requester`, `agent_id` and `status` before you believe an output.
#[cw_serde]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    pub intent_id: Word,
    pub origin_hub: Word,
    pub requester: Word,
    pub agent_id: Word,
    pub payload_hash: Word,
    /// 0 fulfilled, 1 refused, 2 failed.
    pub status: Uint64,
    /// Empty unless the status is 0.
    pub output: Bytes,
}
