// SPDX-License-Identifier: Apache-2.0
//! A callback that does as a test tells it, good or bad. Nobody's money should be near it.

use cosmwasm_schema::cw_serde;
use cosmwasm_std::{
    entry_point, to_json_binary, Addr, Binary, CosmosMsg, Deps, DepsMut, Empty, Env, Event,
    MessageInfo, Reply, Response, StdError, StdResult, SubMsg, Uint64,
};
use cw_storage_plus::Item;
use vagus_interface::{Delivery, Outcome, QueryMsg as Query};

const SCRIPT: Item<Act> = Item::new("script");
const SEEN: Item<Seen> = Item::new("seen");

/// What the callback does once it has noted what it was given.
#[cw_serde]
pub enum Act {
    Accept {},
    Fail {},
    /// Loop for ever.
    Burn {},
    /// Trap as no contract should.
    Panic {},
    /// Answer with as many events, each with an attribute of so many bytes, and as much data.
    Bomb {
        events: u32,
        bytes: u32,
    },
    /// Ask the hub what was delivered and note it.
    Look {},
    /// Send a message and note whether it succeeded, whatever comes of it.
    Try {
        msg: CosmosMsg,
    },
}

#[cw_serde]
pub enum ExecuteMsg {
    OnResult(Outcome),
    Script(Act),
    /// Send a message in this contract's name.
    Send {
        msg: CosmosMsg,
    },
}

#[cw_serde]
pub enum QueryMsg {
    Seen {},
}

#[cw_serde]
#[derive(Default)]
pub struct Seen {
    pub calls: Uint64,
    pub sender: Option<Addr>,
    pub funds: Uint64,
    pub outcome: Option<Outcome>,
    /// Of the last message tried: whether it succeeded.
    pub succeeded: Option<bool>,
    /// The delivery that the callback saw.
    pub delivery: Option<Delivery>,
}

#[entry_point]
pub fn instantiate(
    deps: DepsMut,
    _env: Env,
    _info: MessageInfo,
    _msg: Empty,
) -> StdResult<Response> {
    SCRIPT.save(deps.storage, &Act::Accept {})?;
    SEEN.save(deps.storage, &Seen::default())?;
    Ok(Response::new())
}

#[entry_point]
pub fn execute(
    deps: DepsMut,
    _env: Env,
    info: MessageInfo,
    msg: ExecuteMsg,
) -> StdResult<Response> {
    match msg {
        ExecuteMsg::OnResult(outcome) => on_result(deps, info, outcome),
        ExecuteMsg::Script(act) => {
            SCRIPT.save(deps.storage, &act)?;
            Ok(Response::new())
        }
        ExecuteMsg::Send { msg } => Ok(Response::new().add_message(msg)),
    }
}

fn on_result(deps: DepsMut, info: MessageInfo, outcome: Outcome) -> StdResult<Response> {
    let (hub, intent_id) = (info.sender.clone(), outcome.intent_id);
    SEEN.update(deps.storage, |seen| -> StdResult<Seen> {
        Ok(Seen {
            calls: seen.calls + Uint64::one(),
            sender: Some(info.sender),
            funds: (info.funds.len() as u64).into(),
            outcome: Some(outcome),
            succeeded: None,
            delivery: None,
        })
    })?;
    match SCRIPT.load(deps.storage)? {
        Act::Accept {} => Ok(Response::new()),
        Act::Fail {} => Err(StdError::generic_err("no answer wanted")),
        Act::Burn {} => loop {
            std::hint::black_box(0);
        },
        Act::Panic {} => panic!("no answer wanted"),
        Act::Bomb { events, bytes } => {
            let value = "x".repeat(bytes as usize);
            let event = Event::new("bomb").add_attribute("value", value.clone());
            let events = (0..events).map(|_| event.clone());
            Ok(Response::new().add_events(events).set_data(value.into_bytes()))
        }
        Act::Look {} => {
            SEEN.update(deps.storage, |seen| -> StdResult<Seen> {
                let delivery =
                    deps.querier.query_wasm_smart(hub, &Query::Delivery { intent_id })?;
                Ok(Seen { delivery, ..seen })
            })?;
            Ok(Response::new())
        }
        Act::Try { msg } => Ok(Response::new().add_submessage(SubMsg::reply_always(msg, 0))),
    }
}

#[entry_point]
pub fn reply(deps: DepsMut, _env: Env, reply: Reply) -> StdResult<Response> {
    SEEN.update(deps.storage, |seen| -> StdResult<Seen> {
        Ok(Seen { succeeded: Some(reply.result.is_ok()), ..seen })
    })?;
    Ok(Response::new())
}

#[entry_point]
pub fn query(deps: Deps, _env: Env, msg: QueryMsg) -> StdResult<Binary> {
    let QueryMsg::Seen {} = msg;
    to_json_binary(&SEEN.load(deps.storage)?)
}
