// SPDX-License-Identifier: Apache-2.0
//! The call that hands an outcome to the intent's callback: a submessage with the gas that the
//! requester was promised, whose reply notes what became of it and never fails.
//!
//! A deliverer can't starve it: where the transaction has less gas than the limit, the call runs on
//! what is left, and running out of that ends the transaction, not the call alone.

use cosmwasm_std::{
    to_json_binary, DepsMut, Event, Reply, Response, StdError, Storage, SubMsg, WasmMsg,
};
use cw_storage_plus::Item;
use vagus_interface::{Bytes, CallbackMsg, CallbackOutcome, Intent, Outcome, Word};

use crate::config::Config;
use crate::destination::RECORDS;
use crate::error::{ensure, Error};

/// There while a callback runs.
const INSIDE: Item<bool> = Item::new("inside");
/// The hub sends no other submessage that is replied to.
const REPLY_ID: u64 = 0;

/// Refuse every call from within a callback, by whomever.
pub fn check_outside(storage: &dyn Storage) -> Result<(), Error> {
    ensure(!INSIDE.exists(storage), Error::Reentered)
}

/// Add the call of an intent's callback to the response, if there is one. More gas than the hub's
/// maximum, or a word that the chain takes for no address, is a failure without a call.
pub fn call_back(
    deps: DepsMut,
    config: &Config,
    response: Response,
    id: Word,
    intent: Intent,
    status: u64,
    output: Bytes,
) -> Result<Response, Error> {
    if intent.callback.is_zero() {
        return Ok(response);
    }
    let gas = intent.callback_gas.u64();
    let Ok(target) = deps.api.addr_humanize(&intent.callback.address()) else {
        return Ok(response.add_event(outcome_of(id, intent.callback, false)));
    };
    if gas > config.max_callback_gas {
        return Ok(response.add_event(outcome_of(id, intent.callback, false)));
    }
    let message = CallbackMsg::OnResult(Outcome {
        intent_id: id,
        origin_hub: intent.origin_hub,
        requester: intent.requester,
        agent_id: intent.agent_id,
        payload_hash: intent.payload_hash,
        status: status.into(),
        output,
    });
    let call = WasmMsg::Execute {
        contract_addr: target.into_string(),
        msg: to_json_binary(&message)?,
        funds: vec![],
    };
    INSIDE.save(deps.storage, &true)?;
    let payload = [id.0, intent.callback.0].concat();
    let call = SubMsg::reply_always(call, REPLY_ID).with_gas_limit(gas).with_payload(payload);
    Ok(response.add_submessage(call))
}

/// Note what became of a callback. Nothing here depends on what the callback answered: it can't make
/// this fail.
pub fn conclude(deps: DepsMut, reply: Reply) -> Result<Response, Error> {
    INSIDE.remove(deps.storage);
    let (id, callback) = read_payload(&reply.payload)?;
    let success = reply.result.is_ok();
    if success {
        let mut record = RECORDS.load(deps.storage, id.0)?;
        record.callback = CallbackOutcome::Succeeded;
        RECORDS.save(deps.storage, id.0, &record)?;
    }
    Ok(Response::new().add_event(outcome_of(id, callback, success)))
}

/// The intent's id and its callback.
fn read_payload(payload: &[u8]) -> Result<(Word, Word), StdError> {
    let (id, callback) = payload.split_at_checked(32).unwrap_or((payload, &[]));
    Ok((id.try_into()?, callback.try_into()?))
}

fn outcome_of(id: Word, callback: Word, success: bool) -> Event {
    Event::new("callback_result")
        .add_attribute("intent_id", id.to_string())
        .add_attribute("callback", callback.to_string())
        .add_attribute("success", success.to_string())
}
