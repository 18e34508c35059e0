// SPDX-License-Identifier: Apache-2.0
//! Records an outcome that the committee signed, once and for good.
//!
//! It never calls back: a failed call would take the whole transaction with it, and so the delivery.

use pinocchio::AccountView;

use crate::accounts::{signer, system, Config, Delivery, Key, Record, FAILED, NO_CALLBACK};
use crate::arguments::{Arguments, Reader};
use crate::errors::{require, Reason};
use crate::events;
use crate::limits::MAX_OUTPUT;
use crate::messages::{Attestation, Intent, Message};
use crate::number::U64;
use crate::opening::Opening;
use crate::quorum::Counting;
use crate::runtime::{keccak, Now};
use crate::Call;

/// What is delivered, as it was handed over.
struct Outcome<'a> {
    intent: &'a Intent,
    attestation: &'a Attestation,
    output: &'a [u8],
    signatures: &'a [u8],
}

impl<'a> Outcome<'a> {
    fn read(mut arguments: Reader<'a>) -> Result<Self, Reason> {
        let outcome = Self {
            intent: arguments.take()?,
            attestation: arguments.take()?,
            output: arguments.bytes(MAX_OUTPUT, Reason::OutputTooLong)?,
            signatures: arguments.signatures()?,
        };
        arguments.end()?;
        Ok(outcome)
    }

    /// Refuses what does not fit together. Returns how many signatures the requester wants.
    fn check(&self, hub_id: &Key, id: &Key, now: u64) -> Result<u64, Reason> {
        let (intent, attestation) = (self.intent, self.attestation);
        require(&intent.dest_hub == hub_id, Reason::AnotherHub)?;
        require(intent.fee_asset == [0; 32], Reason::FeeAsset)?;
        require(&attestation.intent_id == id, Reason::AnotherIntent)?;
        require(attestation.origin_hub == intent.origin_hub, Reason::AnotherOrigin)?;
        require(keccak(&[self.output]) == attestation.output_hash, Reason::OutputDiffers)?;
        let status = attestation.status.get();
        let mut least = 0;
        if status == 0 {
            let model = intent.model_digest;
            let fits = model == [0; 32] || model == attestation.model_digest;
            require(fits, Reason::AnotherModel)?;
            least = intent.min_signers.get();
        } else {
            require(status <= 2, Reason::UnknownStatus)?;
            require(self.output.is_empty(), Reason::OutputWithoutFulfilment)?;
            let bare = attestation.agent_digest == [0; 32] && attestation.model_digest == [0; 32];
            require(bare, Reason::DigestWithoutFulfilment)?;
        }
        require(now <= attestation.expiry.get(), Reason::AttestationExpired)?;
        require(now <= intent.deadline.get(), Reason::DeadlinePassed)?;
        Ok(least)
    }
}

/// Deliverer, staging, config, the epoch's signer set, delivery, system program.
#[inline(never)]
pub fn process(it: &Call, accounts: &mut [AccountView]) -> Result<(), Reason> {
    let [deliverer, staging, config, set, delivery, system_program, ..] = accounts else {
        return Err(Reason::MissingAccounts);
    };
    let arguments = Arguments::new(it.program, it.arguments, staging, deliverer)?;
    let outcome = Outcome::read(arguments.reader())?;
    signer(deliverer)?;
    system(system_program)?;
    let now = Now::get()?;
    let id = outcome.intent.struct_hash();
    let bitmap = {
        let config = Config::load(it.program, config)?;
        config.check_running()?;
        let least = outcome.check(&config.hub_id, &id, now.time)?;
        require(!delivery.owned_by(it.program), Reason::AlreadyDelivered)?;
        let epoch = outcome.attestation.epoch.get();
        Counting::in_force(it.program, &config, set, epoch, now.time)?
            .at_least(least)
            .verify(&outcome.attestation.digest(&config.domain), outcome.signatures)?
    };
    record(it, deliverer, delivery, &outcome, &id, bitmap, &now)
}

/// Makes the delivery's account.
#[inline(always)]
fn record(
    it: &Call,
    deliverer: &AccountView,
    delivery: &mut AccountView,
    outcome: &Outcome,
    id: &Key,
    bitmap: u32,
    now: &Now,
) -> Result<(), Reason> {
    let (intent, attestation) = (outcome.intent, outcome.attestation);
    let seeds: [&[u8]; 2] = [b"delivery", id];
    let opening = Opening {
        program: it.program,
        payer: deliverer,
        seeds: &seeds,
        space: Delivery::SIZE,
        extra: 0,
    };
    let bump = opening.make(delivery)?;
    let record = Delivery {
        kind: Delivery::KIND,
        bump,
        status: attestation.status.get() as u8,
        // A callback counts as failed until it has succeeded.
        callback: if intent.callback == [0; 32] { NO_CALLBACK } else { FAILED },
        signers: bitmap.to_le_bytes(),
        intent_id: *id,
        output_hash: attestation.output_hash,
        evidence_hash: attestation.evidence_hash,
        deliverer: deliverer.address().to_bytes(),
        epoch: attestation.epoch,
        delivered_at: U64::new(now.time),
        deadline: intent.deadline,
        slot: U64::new(now.slot),
    };
    record.store(delivery, &[])?;
    events::emit(
        &events::DELIVERED,
        &[
            id,
            &intent.origin_hub,
            &record.deliverer,
            attestation.status.bytes(),
            &attestation.output_hash,
            &attestation.agent_digest,
            &attestation.model_digest,
            &attestation.evidence_hash,
            attestation.epoch.bytes(),
            &record.signers,
        ],
    );
    Ok(())
}
