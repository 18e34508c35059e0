// SPDX-License-Identifier: Apache-2.0
//! What a hub answers to queries. Times are seconds.

use cosmwasm_schema::cw_serde;
use cosmwasm_std::{Uint128, Uint64};

use crate::hex::{Signer, Word};

#[cw_serde]
pub struct Config {
    pub hub_id: Word,
    /// As the chain said it at instantiation.
    pub chain_id: String,
    pub fee_denom: String,
    pub min_fee: Uint128,
    pub min_ttl: Uint64,
    pub max_ttl: Uint64,
    pub grace: Uint64,
    pub retry_window: Uint64,
    pub max_callback_gas: Uint64,
    /// The first request's number.
    pub first_seq: Uint64,
    /// The next request's number: all between were given.
    pub next_seq: Uint64,
    /// Zero for nobody.
    pub guardian: Word,
    /// Zero for nobody.
    pub pending_guardian: Word,
    pub paused: bool,
}

#[cw_serde]
pub struct Committee {
    pub epoch: Uint64,
    pub threshold: Uint64,
    pub signers: Vec<Signer>,
    pub roster_hash: Word,
    /// None before the first rotation.
    pub previous: Option<PreviousSet>,
}

#[cw_serde]
pub struct PreviousSet {
    pub epoch: Uint64,
    pub threshold: Uint64,
    pub signers: Vec<Signer>,
    /// Until when it counts.
    pub until: Uint64,
}

/// Settled and refunded are for good.
#[cw_serde]
#[derive(Copy)]
pub enum State {
    Open,
    Settled,
    Refunded,
}

#[cw_serde]
pub struct IntentState {
    pub state: State,
    pub requester: Word,
    pub deadline: Uint64,
    pub dest_hub: Word,
    /// Zero unless open.
    pub escrow: Uint128,
}

/// One request: the event with the whole intent is in the block at `height`.
#[cw_serde]
pub struct Requested {
    pub seq: Uint64,
    pub intent_id: Word,
    pub height: Uint64,
}

/// A failed one may be retried until its window ends.
#[cw_serde]
#[derive(Copy)]
pub enum CallbackOutcome {
    None,
    Succeeded,
    Failed,
}

#[cw_serde]
pub struct Delivery {
    pub delivered_at: Uint64,
    pub status: Uint64,
    pub output_hash: Word,
    pub evidence_hash: Word,
    pub epoch: Uint64,
    /// Bit i is signer i of the epoch.
    pub signers: Uint64,
    pub deliverer: Word,
    pub callback: CallbackOutcome,
}
