// SPDX-License-Identifier: Apache-2.0
//! An example consumer: asks an agent through the hub of its own chain and keeps the answers that it
//! believes. The same contract on two chains, each allowing the other, asks on one and answers on the
//! other.
//!
//! Anyone may name this contract as the callback of any question to any agent, and deliver the answer.
//! `on_result` therefore checks who calls, where the question was asked, who asked it and which agent
//! answered, and takes an output only with status 0.

use cosmwasm_schema::cw_serde;
use cosmwasm_std::{
    coins, entry_point, to_json_binary, Addr, BankMsg, Binary, Deps, DepsMut, Env, Event,
    MessageInfo, Response, StdError, StdResult, Uint128, Uint64, WasmMsg,
};
use cw_storage_plus::{Item, Map};
use thiserror::Error;
use vagus_interface::{
    Bytes, Config, ExecuteMsg as HubMsg, Outcome, QueryMsg as HubQuery, Question, Word,
};

const TRUST: Item<Trust> = Item::new("trust");
/// By the hub where a question is asked and who asks it there.
const ALLOWED: Map<(&[u8], &[u8]), bool> = Map::new("allowed");
const ANSWERS: Map<[u8; 32], Answer> = Map::new("answers");

#[cw_serde]
pub struct InstantiateMsg {
    /// The hub on this chain.
    pub hub: String,
    /// keccak256 of the agent's "name@major".
    pub agent_id: Word,
}

#[cw_serde]
pub enum ExecuteMsg {
    /// What the hub sends to a callback.
    OnResult(Outcome),
    /// Say whose questions this contract takes answers to, as a hub's id and a word of its chain.
    Allow { origin_hub: Word, requester: Word, allowed: bool },
    /// Ask the agent; the coin sent is the most that the answer may cost. The owner alone asks: where
    /// this contract is allowed, its questions count as its own.
    Ask(Question),
    /// Withdraw this contract's credit at the hub, returned fees and refunds, to the owner.
    Collect {},
}

#[cw_serde]
pub enum QueryMsg {
    /// The answer to an intent: null, or an [`Answer`].
    Answer { intent_id: Word },
}

#[cw_serde]
pub struct Answer {
    pub answered: bool,
    pub status: Uint64,
    pub output: Bytes,
}

#[cw_serde]
struct Trust {
    hub: Addr,
    agent_id: Word,
    owner: Addr,
}

#[derive(Error, Debug)]
pub enum Error {
    #[error(transparent)]
    Std(#[from] StdError),
    #[error("not the hub")]
    NotTheHub,
    #[error("not the owner")]
    NotTheOwner,
    #[error("requester not allowed")]
    RequesterNotAllowed,
    #[error("another agent")]
    AnotherAgent,
}

/// Trust one hub and one agent, and allow itself to ask on the hub's chain.
#[entry_point]
pub fn instantiate(
    deps: DepsMut,
    env: Env,
    info: MessageInfo,
    msg: InstantiateMsg,
) -> Result<Response, Error> {
    let hub = deps.api.addr_validate(&msg.hub)?;
    let config: Config = deps.querier.query_wasm_smart(&hub, &HubQuery::Config {})?;
    TRUST.save(deps.storage, &Trust { hub, agent_id: msg.agent_id, owner: info.sender })?;
    let own = own_word(deps.as_ref(), &env)?;
    ALLOWED.save(deps.storage, (&config.hub_id.0, &own.0), &true)?;
    Ok(Response::new())
}

#[entry_point]
pub fn execute(
    deps: DepsMut,
    env: Env,
    info: MessageInfo,
    msg: ExecuteMsg,
) -> Result<Response, Error> {
    let trust = TRUST.load(deps.storage)?;
    match msg {
        ExecuteMsg::OnResult(outcome) => on_result(deps, info, trust, outcome),
        ExecuteMsg::Allow { origin_hub, requester, allowed } => {
            check_owner(&trust, &info)?;
            ALLOWED.save(deps.storage, (&origin_hub.0, &requester.0), &allowed)?;
            Ok(Response::new())
        }
        ExecuteMsg::Ask(question) => ask(info, trust, question),
        ExecuteMsg::Collect {} => collect(deps, env, info, trust),
    }
}

#[entry_point]
pub fn query(deps: Deps, _env: Env, msg: QueryMsg) -> StdResult<Binary> {
    let QueryMsg::Answer { intent_id } = msg;
    to_json_binary(&ANSWERS.may_load(deps.storage, intent_id.0)?)
}

/// Take an answer from the hub.
fn on_result(
    deps: DepsMut,
    info: MessageInfo,
    trust: Trust,
    outcome: Outcome,
) -> Result<Response, Error> {
    if info.sender != trust.hub {
        return Err(Error::NotTheHub);
    }
    let asked = (outcome.origin_hub.0.as_slice(), outcome.requester.0.as_slice());
    if !ALLOWED.may_load(deps.storage, asked)?.unwrap_or(false) {
        return Err(Error::RequesterNotAllowed);
    }
    if outcome.agent_id != trust.agent_id {
        return Err(Error::AnotherAgent);
    }
    let event = Event::new("answered")
        .add_attribute("intent_id", outcome.intent_id.to_string())
        .add_attribute("status", outcome.status.to_string())
        .add_attribute("output", outcome.output.to_string());
    // Refused or failed (status 1 and 2): there is no answer to act on, only the fact.
    let answered = outcome.status.is_zero();
    let answer = Answer { answered, status: outcome.status, output: outcome.output };
    ANSWERS.save(deps.storage, outcome.intent_id.0, &answer)?;
    Ok(Response::new().add_event(event))
}

fn ask(info: MessageInfo, trust: Trust, question: Question) -> Result<Response, Error> {
    check_owner(&trust, &info)?;
    if question.agent_id != trust.agent_id {
        return Err(Error::AnotherAgent);
    }
    Ok(Response::new().add_message(WasmMsg::Execute {
        contract_addr: trust.hub.into_string(),
        msg: to_json_binary(&HubMsg::Request(question))?,
        funds: info.funds,
    }))
}

fn collect(deps: DepsMut, env: Env, info: MessageInfo, trust: Trust) -> Result<Response, Error> {
    check_owner(&trust, &info)?;
    let account = own_word(deps.as_ref(), &env)?;
    let Config { fee_denom, .. } =
        deps.querier.query_wasm_smart(&trust.hub, &HubQuery::Config {})?;
    let amount: Uint128 =
        deps.querier.query_wasm_smart(&trust.hub, &HubQuery::Credit { account })?;
    let withdrawal = WasmMsg::Execute {
        contract_addr: trust.hub.into_string(),
        msg: to_json_binary(&HubMsg::Withdraw {})?,
        funds: vec![],
    };
    let payment = BankMsg::Send {
        to_address: trust.owner.into_string(),
        amount: coins(amount.u128(), fee_denom),
    };
    Ok(Response::new().add_message(withdrawal).add_message(payment))
}

fn check_owner(trust: &Trust, info: &MessageInfo) -> Result<(), Error> {
    if info.sender == trust.owner {
        Ok(())
    } else {
        Err(Error::NotTheOwner)
    }
}

/// This contract's own address as a word: what it is called as a requester.
fn own_word(deps: Deps, env: &Env) -> StdResult<Word> {
    let canonical = deps.api.addr_canonicalize(env.contract.address.as_str())?;
    Word::of_address(&canonical).ok_or_else(|| StdError::generic_err("an address of no word"))
}
