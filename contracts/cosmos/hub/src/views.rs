// SPDX-License-Identifier: Apache-2.0
//! The queries. They have no lock: a callback may read the hub.

use cosmwasm_std::{to_json_binary, Binary, Deps, Order, StdResult};
use cw_storage_plus::Bound;
use vagus_interface::{
    Committee, Config, Delivery, IntentState, PreviousSet, QueryMsg, Requested, Word,
};

use crate::destination::{RECORDS, RETRY_WINDOW};
use crate::emergency::EMERGENCY;
use crate::hashing::{intent_id, keccak, packed_payouts, signers_hash, Signed};
use crate::origin::{first_seq, CREDITS, ESCROWS, NEXT_SEQ, PLACES};
use crate::quorum::{SignerSet, HEAD, SETS};

/// Requests in one answer.
const MAX_LIMIT: u64 = 100;

pub fn answer(deps: Deps, msg: QueryMsg) -> StdResult<Binary> {
    match msg {
        QueryMsg::Config {} => to_json_binary(&config(deps)?),
        QueryMsg::Committee {} => to_json_binary(&committee(deps)?),
        QueryMsg::SignersOf { epoch } => {
            let set = SETS.may_load(deps.storage, epoch.u64())?;
            to_json_binary(&set.map(|found| found.signers).unwrap_or_default())
        }
        QueryMsg::IntentState { intent_id } => to_json_binary(&intent_state(deps, intent_id)?),
        QueryMsg::Requests { from, limit } => {
            to_json_binary(&requests(deps, from.u64(), limit.u64())?)
        }
        QueryMsg::Delivery { intent_id } => to_json_binary(&delivery(deps, intent_id)?),
        QueryMsg::Credit { account } => {
            to_json_binary(&CREDITS.may_load(deps.storage, account.0)?.unwrap_or_default())
        }
        QueryMsg::IntentId { intent } => to_json_binary(&intent_id(&intent)),
        QueryMsg::AttestationDigest { hub, attestation } => {
            to_json_binary(&attestation.digest(hub))
        }
        QueryMsg::ReceiptDigest { hub, receipt } => to_json_binary(&receipt.digest(hub)),
        QueryMsg::RotationDigest { hub, rotation } => to_json_binary(&rotation.digest(hub)),
        QueryMsg::PayoutsHash { payouts } => to_json_binary(&keccak(&packed_payouts(&payouts))),
        QueryMsg::SignersHash { signers } => to_json_binary(&signers_hash(&signers)),
    }
}

fn config(deps: Deps) -> StdResult<Config> {
    let config = crate::config::load(deps.storage)?;
    let emergency = EMERGENCY.load(deps.storage)?;
    Ok(Config {
        hub_id: config.hub_id,
        first_seq: first_seq(&config).into(),
        next_seq: NEXT_SEQ.load(deps.storage)?.into(),
        chain_id: config.chain_id,
        fee_denom: config.fee_denom,
        min_fee: config.min_fee,
        min_ttl: config.min_ttl.into(),
        max_ttl: config.max_ttl.into(),
        grace: config.grace.into(),
        retry_window: RETRY_WINDOW.into(),
        max_callback_gas: config.max_callback_gas.into(),
        guardian: emergency.guardian,
        pending_guardian: emergency.candidate,
        paused: emergency.paused,
    })
}

fn committee(deps: Deps) -> StdResult<Committee> {
    let head = HEAD.load(deps.storage)?;
    let SignerSet { threshold, signers } = SETS.load(deps.storage, head.epoch)?;
    let previous = if head.previous_until == 0 {
        None
    } else {
        let epoch = head.epoch - 1;
        let set = SETS.load(deps.storage, epoch)?;
        Some(PreviousSet {
            epoch: epoch.into(),
            threshold: set.threshold.into(),
            signers: set.signers,
            until: head.previous_until.into(),
        })
    };
    Ok(Committee {
        epoch: head.epoch.into(),
        threshold: threshold.into(),
        signers,
        roster_hash: head.roster_hash,
        previous,
    })
}

fn intent_state(deps: Deps, id: Word) -> StdResult<Option<IntentState>> {
    let escrow = ESCROWS.may_load(deps.storage, id.0)?;
    Ok(escrow.map(|found| IntentState {
        state: found.state,
        requester: found.requester,
        deadline: found.deadline.into(),
        dest_hub: found.dest_hub,
        escrow: found.amount,
    }))
}

fn requests(deps: Deps, from: u64, limit: u64) -> StdResult<Vec<Requested>> {
    PLACES
        .range(deps.storage, Some(Bound::inclusive(from)), None, Order::Ascending)
        .take(limit.min(MAX_LIMIT) as usize)
        .map(|entry| {
            let (seq, place) = entry?;
            let height = place.height.into();
            Ok(Requested { seq: seq.into(), intent_id: place.intent_id, height })
        })
        .collect()
}

fn delivery(deps: Deps, id: Word) -> StdResult<Option<Delivery>> {
    let record = RECORDS.may_load(deps.storage, id.0)?;
    Ok(record.map(|found| Delivery {
        delivered_at: found.delivered_at.into(),
        status: found.status.into(),
        output_hash: found.output_hash,
        evidence_hash: found.evidence_hash,
        epoch: found.epoch.into(),
        signers: found.signers.into(),
        deliverer: found.deliverer,
        callback: found.callback,
    }))
}
