// SPDX-License-Identifier: Apache-2.0
//! The hub as the destination of intents: records each outcome that the committee signed once, for
//! good, and calls back.

use cosmwasm_schema::cw_serde;
use cosmwasm_std::{DepsMut, Env, Event, MessageInfo, Response};
use cw_storage_plus::Map;
use vagus_interface::{Attestation, Bytes, CallbackOutcome, Intent, Word};

use crate::callback::call_back;
use crate::emergency::check_running;
use crate::error::{ensure, Error};
use crate::hashing::{intent_id, keccak, Signed};
use crate::{quorum, sender};

const MAX_OUTPUT: usize = 8_192;
pub const RETRY_WINDOW: u64 = 7 * 86_400;

/// By intent id.
pub const RECORDS: Map<[u8; 32], Record> = Map::new("records");

#[cw_serde]
pub struct Record {
    pub delivered_at: u64,
    pub status: u64,
    pub output_hash: Word,
    pub evidence_hash: Word,
    pub epoch: u64,
    pub signers: u64,
    pub deliverer: Word,
    pub callback: CallbackOutcome,
}

/// Record an outcome, then call the intent's callback. The record comes first and stays, whatever the
/// callback does.
pub fn deliver(
    deps: DepsMut,
    env: Env,
    info: MessageInfo,
    intent: Intent,
    attestation: Attestation,
    output: Bytes,
    signatures: Vec<Bytes>,
) -> Result<Response, Error> {
    ensure(output.0.len() <= MAX_OUTPUT, Error::OutputTooLong)?;
    let config = check_running(deps.storage, &env)?;
    ensure(intent.dest_hub == config.hub_id, Error::AnotherHubsIntent)?;
    ensure(intent.fee_asset.is_zero(), Error::FeeAssetUnknown)?;
    let id = intent_id(&intent);
    ensure(attestation.intent_id == id, Error::AnotherIntent)?;
    ensure(attestation.origin_hub == intent.origin_hub, Error::AnotherOrigin)?;
    ensure(keccak(&output.0) == attestation.output_hash, Error::OutputDiffers)?;
    let least = check_outcome(&intent, &attestation, &output)?;
    let now = env.block.time.seconds();
    ensure(now <= attestation.expiry.u64(), Error::AttestationExpired)?;
    ensure(now <= intent.deadline.u64(), Error::DeadlinePassed)?;
    ensure(!RECORDS.has(deps.storage, id.0), Error::AlreadyDelivered)?;
    let digest = attestation.digest(config.hub_id);
    let epoch = attestation.epoch.u64();
    let signers = quorum::verify(deps.storage, deps.api, now, digest, epoch, least, &signatures)?;

    let record = Record {
        delivered_at: now,
        status: attestation.status.u64(),
        output_hash: attestation.output_hash,
        evidence_hash: attestation.evidence_hash,
        epoch,
        signers,
        deliverer: sender(&deps, &info)?,
        // A callback counts as failed until it has succeeded.
        callback: if intent.callback.is_zero() {
            CallbackOutcome::None
        } else {
            CallbackOutcome::Failed
        },
    };
    RECORDS.save(deps.storage, id.0, &record)?;
    let response = Response::new().add_event(delivered(&attestation, &record, &output));
    call_back(deps, &config, response, id, intent, record.status, output)
}

/// Call the callback of a delivered intent again, while it has not succeeded and the retry window
/// after the delivery lasts.
pub fn retry(deps: DepsMut, env: Env, intent: Intent, output: Bytes) -> Result<Response, Error> {
    ensure(output.0.len() <= MAX_OUTPUT, Error::OutputTooLong)?;
    let config = check_running(deps.storage, &env)?;
    let id = intent_id(&intent);
    let record = RECORDS.may_load(deps.storage, id.0)?.ok_or(Error::NotDelivered)?;
    ensure(record.callback == CallbackOutcome::Failed, Error::NoFailedCallback)?;
    ensure(keccak(&output.0) == record.output_hash, Error::OutputDiffers)?;
    let now = env.block.time.seconds();
    ensure(now <= record.delivered_at + RETRY_WINDOW, Error::RetryTooLate)?;
    call_back(deps, &config, Response::new(), id, intent, record.status, output)
}

/// Check status, output and digests against each other and against what the requester asked for. How
/// many signatures that asks for.
fn check_outcome(intent: &Intent, attestation: &Attestation, output: &Bytes) -> Result<u64, Error> {
    if attestation.status.is_zero() {
        ensure(
            intent.model_digest.is_zero() || attestation.model_digest == intent.model_digest,
            Error::AnotherModel,
        )?;
        return Ok(intent.min_signers.u64());
    }
    ensure(attestation.status.u64() <= 2, Error::UnknownStatus)?;
    ensure(output.0.is_empty(), Error::OutputWithoutFulfilment)?;
    ensure(
        attestation.agent_digest.is_zero() && attestation.model_digest.is_zero(),
        Error::DigestWithoutFulfilment,
    )?;
    Ok(0)
}

fn delivered(attestation: &Attestation, record: &Record, output: &Bytes) -> Event {
    Event::new("delivered")
        .add_attribute("intent_id", attestation.intent_id.to_string())
        .add_attribute("origin_hub", attestation.origin_hub.to_string())
        .add_attribute("deliverer", record.deliverer.to_string())
        .add_attribute("status", attestation.status.to_string())
        .add_attribute("output_hash", attestation.output_hash.to_string())
        .add_attribute("agent_digest", attestation.agent_digest.to_string())
        .add_attribute("model_digest", attestation.model_digest.to_string())
        .add_attribute("evidence_hash", attestation.evidence_hash.to_string())
        .add_attribute("epoch", attestation.epoch.to_string())
        .add_attribute("signers", record.signers.to_string())
        .add_attribute("output", output.to_string())
}
