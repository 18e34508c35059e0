// SPDX-License-Identifier: Apache-2.0
//! Who may stop the hub in an emergency. It can neither change anything nor take anything, and never
//! stops rotate, refund and withdraw.

use cosmwasm_schema::cw_serde;
use cosmwasm_std::{DepsMut, Env, Event, MessageInfo, Response, Storage};
use cw_storage_plus::Item;
use vagus_interface::Word;

use crate::config::{load_on_chain, Config};
use crate::error::{ensure, Error};
use crate::sender;

pub const EMERGENCY: Item<Emergency> = Item::new("emergency");

#[cw_serde]
pub struct Emergency {
    /// Zero for nobody: no sender is zero.
    pub guardian: Word,
    pub candidate: Word,
    pub paused: bool,
}

/// Name the first guardian.
pub fn install(storage: &mut dyn Storage, guardian: Word) -> Result<Event, Error> {
    let first = Emergency { guardian, candidate: Word::ZERO, paused: false };
    EMERGENCY.save(storage, &first)?;
    Ok(changed(Word::ZERO, guardian))
}

/// The settings, of a hub that runs: refused on another chain and while paused.
pub fn check_running(storage: &dyn Storage, env: &Env) -> Result<Config, Error> {
    let config = load_on_chain(storage, env)?;
    ensure(!EMERGENCY.load(storage)?.paused, Error::Paused)?;
    Ok(config)
}

pub fn pause(deps: DepsMut, env: Env, info: MessageInfo) -> Result<Response, Error> {
    let mut emergency = by_guardian(&deps, &env, &info)?;
    ensure(!emergency.paused, Error::Paused)?;
    emergency.paused = true;
    EMERGENCY.save(deps.storage, &emergency)?;
    Ok(told("paused", emergency.guardian))
}

pub fn unpause(deps: DepsMut, env: Env, info: MessageInfo) -> Result<Response, Error> {
    let mut emergency = by_guardian(&deps, &env, &info)?;
    ensure(emergency.paused, Error::NotPaused)?;
    emergency.paused = false;
    EMERGENCY.save(deps.storage, &emergency)?;
    Ok(told("unpaused", emergency.guardian))
}

/// Offer the guardian's role; nothing changes until the candidate accepts.
pub fn offer_guardian(
    deps: DepsMut,
    env: Env,
    info: MessageInfo,
    candidate: Word,
) -> Result<Response, Error> {
    let mut emergency = by_guardian(&deps, &env, &info)?;
    emergency.candidate = candidate;
    EMERGENCY.save(deps.storage, &emergency)?;
    let event = Event::new("guardian_offered")
        .add_attribute("guardian", emergency.guardian.to_string())
        .add_attribute("candidate", candidate.to_string());
    Ok(Response::new().add_event(event))
}

pub fn accept_guardian(deps: DepsMut, env: Env, info: MessageInfo) -> Result<Response, Error> {
    load_on_chain(deps.storage, &env)?;
    let mut emergency = EMERGENCY.load(deps.storage)?;
    let guardian = sender(&deps, &info)?;
    ensure(!guardian.is_zero() && guardian == emergency.candidate, Error::NotTheCandidate)?;
    let previous = emergency.guardian;
    emergency.guardian = guardian;
    emergency.candidate = Word::ZERO;
    EMERGENCY.save(deps.storage, &emergency)?;
    Ok(Response::new().add_event(changed(previous, guardian)))
}

fn by_guardian(deps: &DepsMut, env: &Env, info: &MessageInfo) -> Result<Emergency, Error> {
    load_on_chain(deps.storage, env)?;
    let emergency = EMERGENCY.load(deps.storage)?;
    let who = sender(deps, info)?;
    ensure(!who.is_zero() && who == emergency.guardian, Error::NotTheGuardian)?;
    Ok(emergency)
}

fn told(name: &str, guardian: Word) -> Response {
    let event = Event::new(name).add_attribute("guardian", guardian.to_string());
    Response::new().add_event(event)
}

fn changed(previous: Word, guardian: Word) -> Event {
    Event::new("guardian_changed")
        .add_attribute("previous", previous.to_string())
        .add_attribute("guardian", guardian.to_string())
}
