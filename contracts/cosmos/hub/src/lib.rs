// SPDX-License-Identifier: Apache-2.0
//! The vagus hub on Cosmos chains: takes intents and escrows their fees; verifies what a committee
//! signed and calls back.
//!
//! As the origin of an intent: request, then settle or refund. As its destination: deliver, and retry
//! while the callback has not succeeded. Credits are paid out by withdraw alone, so that no receiver
//! can block anyone else. There is no migrate: the guardian can stop, never change or take.

mod callback;
mod config;
mod destination;
mod emergency;
mod error;
mod hashing;
mod origin;
mod quorum;
mod views;

use cosmwasm_std::{
    entry_point, Binary, Deps, DepsMut, Env, MessageInfo, Reply, Response, StdResult,
};
use vagus_interface::{ExecuteMsg, InstantiateMsg, QueryMsg, Word};

use crate::error::Error;

/// Derive the hub's id from the live chain and its own address, and install the first set.
///
/// The first epoch is the chain's time and the first seq that time << 20, plus one: a hub that is
/// deployed again repeats neither.
#[entry_point]
pub fn instantiate(
    deps: DepsMut,
    env: Env,
    info: MessageInfo,
    msg: InstantiateMsg,
) -> Result<Response, Error> {
    check_no_funds(&info)?;
    let config = config::install(deps.storage, &env, &msg)?;
    let first = (config.first_epoch, msg.signers, msg.threshold.u64(), msg.roster_hash);
    let installed = quorum::install(deps.storage, first, 0)?;
    origin::start(deps.storage, &config)?;
    let named = emergency::install(deps.storage, msg.guardian)?;
    Ok(Response::new().add_event(installed).add_event(named))
}

#[entry_point]
pub fn execute(
    deps: DepsMut,
    env: Env,
    info: MessageInfo,
    msg: ExecuteMsg,
) -> Result<Response, Error> {
    callback::check_outside(deps.storage)?;
    if !matches!(msg, ExecuteMsg::Request(_)) {
        check_no_funds(&info)?;
    }
    match msg {
        ExecuteMsg::Request(question) => origin::request(deps, env, info, question),
        ExecuteMsg::Deliver { intent, attestation, output, signatures } => {
            destination::deliver(deps, env, info, intent, attestation, output, signatures)
        }
        ExecuteMsg::Retry { intent, output } => destination::retry(deps, env, intent, output),
        ExecuteMsg::Settle { receipt, payouts, signatures } => {
            origin::settle(deps, env, receipt, payouts, signatures)
        }
        ExecuteMsg::Refund { intent_id } => origin::refund(deps, env, intent_id),
        ExecuteMsg::Withdraw {} => origin::withdraw(deps, info),
        ExecuteMsg::Rotate { rotation, signers, signatures } => {
            quorum::rotate(deps, env, rotation, signers, signatures)
        }
        ExecuteMsg::Pause {} => emergency::pause(deps, env, info),
        ExecuteMsg::Unpause {} => emergency::unpause(deps, env, info),
        ExecuteMsg::OfferGuardian { candidate } => {
            emergency::offer_guardian(deps, env, info, candidate)
        }
        ExecuteMsg::AcceptGuardian {} => emergency::accept_guardian(deps, env, info),
    }
}

#[entry_point]
pub fn reply(deps: DepsMut, _env: Env, reply: Reply) -> Result<Response, Error> {
    callback::conclude(deps, reply)
}

#[entry_point]
pub fn query(deps: Deps, _env: Env, msg: QueryMsg) -> StdResult<Binary> {
    views::answer(deps, msg)
}

fn check_no_funds(info: &MessageInfo) -> Result<(), Error> {
    if info.funds.is_empty() {
        Ok(())
    } else {
        Err(Error::NoFundsTaken)
    }
}

/// Who sends a message, as a word.
fn sender(deps: &DepsMut, info: &MessageInfo) -> Result<Word, Error> {
    let canonical = deps.api.addr_canonicalize(info.sender.as_str())?;
    Word::of_address(&canonical).ok_or(Error::SenderMalformed)
}
