// SPDX-License-Identifier: Apache-2.0
//! The hub as the origin of intents: takes requests and escrows their fees, then settles or refunds
//! each once, for good. What anyone is owed is credit, which withdraw alone pays out, so that no
//! receiver can block anyone else.

use cosmwasm_schema::cw_serde;
use cosmwasm_std::{
    coins, BankMsg, DepsMut, Env, Event, MessageInfo, Response, Storage, Uint128, Uint256,
};
use cw_storage_plus::{Item, Map};
use vagus_interface::{Bytes, Intent, Payout, Question, Receipt, State, Word};

use crate::config::{self, Config};
use crate::emergency::check_running;
use crate::error::{ensure, Error};
use crate::hashing::{intent_id, keccak, packed_payouts, Signed};
use crate::{quorum, sender};

const MAX_PAYLOAD: usize = 8_192;
const MAX_TERMS: usize = 1_024;
const MAX_PAYOUTS: usize = 34;

pub const NEXT_SEQ: Item<u64> = Item::new("next_seq");
/// By seq: where the event of a request is.
pub const PLACES: Map<u64, Place> = Map::new("places");
/// By intent id.
pub const ESCROWS: Map<[u8; 32], Escrow> = Map::new("escrows");
/// By the creditor's word.
pub const CREDITS: Map<[u8; 32], Uint128> = Map::new("credits");

#[cw_serde]
pub struct Place {
    pub intent_id: Word,
    pub height: u64,
}

#[cw_serde]
pub struct Escrow {
    pub state: State,
    pub requester: Word,
    pub deadline: u64,
    pub dest_hub: Word,
    pub amount: Uint128,
}

/// The first request's number: with the chain's time in front, a hub that is deployed again repeats
/// none.
pub fn first_seq(config: &Config) -> u64 {
    (config.first_epoch << 20) + 1
}

/// Start the numbers of requests.
pub fn start(storage: &mut dyn Storage, config: &Config) -> Result<(), Error> {
    Ok(NEXT_SEQ.save(storage, &first_seq(config))?)
}

pub fn request(
    deps: DepsMut,
    env: Env,
    info: MessageInfo,
    question: Question,
) -> Result<Response, Error> {
    ensure(question.payload.0.len() <= MAX_PAYLOAD, Error::PayloadTooLong)?;
    ensure(question.terms.0.len() <= MAX_TERMS, Error::TermsTooLong)?;
    let config = check_running(deps.storage, &env)?;
    let fee = fee(&info, &config)?;
    let now = env.block.time.seconds();
    let deadline = question.deadline.u64();
    ensure(fee >= config.min_fee, Error::FeeUnderMinimum)?;
    ensure(deadline >= now + config.min_ttl, Error::DeadlineTooEarly)?;
    ensure(deadline <= now + config.max_ttl, Error::DeadlineTooLate)?;
    ensure(
        question.dest_hub != config.hub_id
            || question.callback_gas.u64() <= config.max_callback_gas,
        Error::CallbackGasOverMaximum,
    )?;

    let seq = NEXT_SEQ.load(deps.storage)?;
    NEXT_SEQ.save(deps.storage, &(seq + 1))?;
    let intent = Intent {
        origin_hub: config.hub_id,
        seq: seq.into(),
        requester: sender(&deps, &info)?,
        agent_id: question.agent_id,
        payload_hash: keccak(&question.payload.0),
        model_digest: question.model_digest,
        terms_hash: terms_hash(&question.terms),
        min_signers: question.min_signers,
        dest_hub: question.dest_hub,
        callback: question.callback,
        callback_gas: question.callback_gas,
        fee_asset: Word::ZERO,
        max_fee: fee.into(),
        deadline: question.deadline,
    };
    let id = intent_id(&intent);
    let escrow = Escrow {
        state: State::Open,
        requester: intent.requester,
        deadline,
        dest_hub: intent.dest_hub,
        amount: fee,
    };
    ESCROWS.save(deps.storage, id.0, &escrow)?;
    PLACES.save(deps.storage, seq, &Place { intent_id: id, height: env.block.height })?;
    let event = requested(id, &intent, &question.payload, &question.terms);
    Ok(Response::new().add_event(event).set_data(id.0))
}

/// Close an open intent: credit those whom the receipt pays, and the requester the rest.
pub fn settle(
    deps: DepsMut,
    env: Env,
    receipt: Receipt,
    payouts: Vec<Payout>,
    signatures: Vec<Bytes>,
) -> Result<Response, Error> {
    ensure(payouts.len() <= MAX_PAYOUTS, Error::TooManyPayouts)?;
    let config = check_running(deps.storage, &env)?;
    let escrow = load_open(deps.storage, receipt.intent_id)?;
    let amount = Uint256::from(escrow.amount);
    let now = env.block.time.seconds();
    let status = receipt.status.u64();
    ensure(receipt.dest_hub == escrow.dest_hub, Error::AnotherDestination)?;
    ensure(status <= 2, Error::UnknownStatus)?;
    ensure(status == 0 || receipt.fee.is_zero(), Error::FeeWithoutFulfilment)?;
    ensure(receipt.fee <= amount, Error::FeeOverMaximum)?;
    ensure(now <= receipt.expiry.u64(), Error::ReceiptExpired)?;
    let packed = Bytes(packed_payouts(&payouts));
    ensure(keccak(&packed.0) == receipt.payouts_hash, Error::PayoutsDiffer)?;
    let digest = receipt.digest(config.hub_id);
    quorum::verify(deps.storage, deps.api, now, digest, receipt.epoch.u64(), 0, &signatures)?;

    let mut paid = Uint256::zero();
    for payout in &payouts {
        ensure(!payout.payee.is_zero(), Error::PayeeZero)?;
        paid = paid.checked_add(payout.amount).map_err(|_| Error::PayoutsOverflow)?;
    }
    ensure(paid == receipt.fee, Error::PayoutsDoNotSum)?;
    // No payout is over the fee, nor the fee over the escrow: all fit the chain's amounts.
    let returned = Uint128::try_from(amount - paid).map_err(cosmwasm_std::StdError::from)?;
    close(deps.storage, receipt.intent_id, &escrow, State::Settled)?;
    for payout in &payouts {
        let share = Uint128::try_from(payout.amount).map_err(cosmwasm_std::StdError::from)?;
        credit(deps.storage, payout.payee, share)?;
    }
    credit(deps.storage, escrow.requester, returned)?;
    let event = Event::new("settled")
        .add_attribute("intent_id", receipt.intent_id.to_string())
        .add_attribute("status", receipt.status.to_string())
        .add_attribute("fee", paid.to_string())
        .add_attribute("returned", returned.to_string())
        .add_attribute("epoch", receipt.epoch.to_string())
        .add_attribute("payouts", packed.to_string());
    Ok(Response::new().add_event(event))
}

/// Credit the requester of an intent that nobody settled in time; works while paused and after a
/// change of the chain's id.
pub fn refund(deps: DepsMut, env: Env, id: Word) -> Result<Response, Error> {
    let config = config::load(deps.storage)?;
    let escrow = load_open(deps.storage, id)?;
    // A deadline is at most a year ahead of its request: the sum is far from the end of 64 bits.
    ensure(env.block.time.seconds() > escrow.deadline + config.grace, Error::RefundTooEarly)?;
    close(deps.storage, id, &escrow, State::Refunded)?;
    credit(deps.storage, escrow.requester, escrow.amount)?;
    let event = Event::new("refunded")
        .add_attribute("intent_id", id.to_string())
        .add_attribute("requester", escrow.requester.to_string())
        .add_attribute("amount", escrow.amount.to_string());
    Ok(Response::new().add_event(event))
}

/// Pay the sender all its credit; works while paused and after a change of the chain's id.
pub fn withdraw(deps: DepsMut, info: MessageInfo) -> Result<Response, Error> {
    let config = config::load(deps.storage)?;
    let account = sender(&deps, &info)?;
    let amount = CREDITS.may_load(deps.storage, account.0)?.unwrap_or_default();
    ensure(!amount.is_zero(), Error::NoCredit)?;
    CREDITS.remove(deps.storage, account.0);
    let event = Event::new("withdrawn")
        .add_attribute("account", account.to_string())
        .add_attribute("amount", amount.to_string());
    let payment = BankMsg::Send {
        to_address: info.sender.into_string(),
        amount: coins(amount.u128(), config.fee_denom),
    };
    Ok(Response::new().add_event(event).add_message(payment))
}

/// What a request escrows: its coin, of the hub's denom; nothing is a fee of zero.
fn fee(info: &MessageInfo, config: &Config) -> Result<Uint128, Error> {
    match info.funds.as_slice() {
        [] => Ok(Uint128::zero()),
        [coin] if coin.denom == config.fee_denom => Ok(coin.amount),
        [_] => Err(Error::DenomUnknown),
        _ => Err(Error::OneCoinOnly),
    }
}

fn terms_hash(terms: &Bytes) -> Word {
    if terms.0.is_empty() {
        Word::ZERO
    } else {
        keccak(&terms.0)
    }
}

fn load_open(storage: &dyn Storage, id: Word) -> Result<Escrow, Error> {
    let escrow = ESCROWS.may_load(storage, id.0)?;
    escrow.filter(|found| found.state == State::Open).ok_or(Error::IntentNotOpen)
}

/// Give an open intent its final state.
fn close(storage: &mut dyn Storage, id: Word, open: &Escrow, state: State) -> Result<(), Error> {
    let closed = Escrow { state, amount: Uint128::zero(), ..open.clone() };
    Ok(ESCROWS.save(storage, id.0, &closed)?)
}

fn credit(storage: &mut dyn Storage, account: Word, amount: Uint128) -> Result<(), Error> {
    if amount.is_zero() {
        return Ok(());
    }
    let before = CREDITS.may_load(storage, account.0)?.unwrap_or_default();
    let after = before.checked_add(amount).map_err(cosmwasm_std::StdError::from)?;
    Ok(CREDITS.save(storage, account.0, &after)?)
}

/// The event with the whole intent, its fields in the struct's order.
fn requested(id: Word, intent: &Intent, payload: &Bytes, terms: &Bytes) -> Event {
    Event::new("intent_requested")
        .add_attribute("intent_id", id.to_string())
        .add_attribute("seq", intent.seq.to_string())
        .add_attribute("origin_hub", intent.origin_hub.to_string())
        .add_attribute("requester", intent.requester.to_string())
        .add_attribute("agent_id", intent.agent_id.to_string())
        .add_attribute("payload_hash", intent.payload_hash.to_string())
        .add_attribute("model_digest", intent.model_digest.to_string())
        .add_attribute("terms_hash", intent.terms_hash.to_string())
        .add_attribute("min_signers", intent.min_signers.to_string())
        .add_attribute("dest_hub", intent.dest_hub.to_string())
        .add_attribute("callback", intent.callback.to_string())
        .add_attribute("callback_gas", intent.callback_gas.to_string())
        .add_attribute("fee_asset", intent.fee_asset.to_string())
        .add_attribute("max_fee", intent.max_fee.to_string())
        .add_attribute("deadline", intent.deadline.to_string())
        .add_attribute("payload", payload.to_string())
        .add_attribute("terms", terms.to_string())
}
