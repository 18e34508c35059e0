// SPDX-License-Identifier: Apache-2.0
//! Takes a question and escrows the most that its answer may cost.

use pinocchio::cpi::set_return_data;
use pinocchio::{AccountView, Address};

use crate::accounts::{signer, system, Config, Escrow, Key, Record, OPEN};
use crate::arguments::{bytes, Arguments, Reader};
use crate::errors::{require, Reason};
use crate::events;
use crate::limits::{MAX_PAYLOAD, MAX_TERMS};
use crate::messages::{Intent, Message};
use crate::number::{U256, U64};
use crate::opening::{open_credit, Opening};
use crate::runtime::{keccak, Now};
use crate::Call;

/// What is asked, as it was handed over.
struct Question<'a> {
    nonce: &'a [u8; 8],
    agent_id: &'a Key,
    model_digest: &'a Key,
    min_signers: U64,
    dest_hub: &'a Key,
    callback: &'a Key,
    callback_gas: U64,
    deadline: U64,
    fee: u64,
    payload: &'a [u8],
    terms: &'a [u8],
}

impl<'a> Question<'a> {
    fn read(mut arguments: Reader<'a>) -> Result<Self, Reason> {
        let question = Self {
            nonce: arguments.take()?,
            agent_id: arguments.take()?,
            model_digest: arguments.take()?,
            min_signers: *arguments.take()?,
            dest_hub: arguments.take()?,
            callback: arguments.take()?,
            callback_gas: *arguments.take()?,
            deadline: *arguments.take()?,
            fee: arguments.number()?,
            payload: arguments.bytes(MAX_PAYLOAD, Reason::PayloadTooLong)?,
            terms: arguments.bytes(MAX_TERMS, Reason::TermsTooLong)?,
        };
        arguments.end()?;
        Ok(question)
    }

    fn check(&self, config: &Config, now: u64) -> Result<(), Reason> {
        require(self.fee >= config.min_fee.get(), Reason::FeeUnderMinimum)?;
        let (deadline, callback_gas) = (self.deadline.get(), self.callback_gas.get());
        // Neither period is over a year: the sums are far from the end of u64.
        require(deadline >= now + config.min_ttl.get(), Reason::DeadlineTooEarly)?;
        require(deadline <= now + config.max_ttl.get(), Reason::DeadlineTooLate)?;
        let here = self.dest_hub == &config.hub_id;
        require(!here || callback_gas <= config.max_callback_gas.get(), Reason::CallbackGas)
    }

    fn intent(&self, config: &Config, requester: &Address) -> Intent {
        Intent {
            origin_hub: config.hub_id,
            seq: config.next_seq,
            requester: requester.to_bytes(),
            agent_id: *self.agent_id,
            payload_hash: keccak(&[self.payload]),
            model_digest: *self.model_digest,
            terms_hash: if self.terms.is_empty() { [0; 32] } else { keccak(&[self.terms]) },
            min_signers: self.min_signers,
            dest_hub: *self.dest_hub,
            callback: *self.callback,
            callback_gas: self.callback_gas,
            fee_asset: [0; 32],
            max_fee: U256::new(self.fee),
            deadline: self.deadline,
        }
    }
}

/// Payer, staging, config, requester, intent, the requester's credit, system program.
#[inline(never)]
pub fn process(it: &Call, accounts: &mut [AccountView]) -> Result<(), Reason> {
    let [payer, staging, config, requester, escrow, credit, system_program, ..] = accounts else {
        return Err(Reason::MissingAccounts);
    };
    let arguments = Arguments::new(it.program, it.arguments, staging, payer)?;
    let question = Question::read(arguments.reader())?;
    signer(payer)?;
    signer(requester)?;
    system(system_program)?;
    let now = Now::get()?;

    let intent = {
        let mut config = Config::load_mut(it.program, config)?;
        config.check_running()?;
        question.check(&config, now.time)?;
        let intent = question.intent(&config, requester.address());
        let next = intent.seq.get().checked_add(1).ok_or(Reason::Overflow)?;
        config.next_seq = U64::new(next);
        intent
    };
    open_credit(it.program, payer, &intent.requester, credit)?;
    keep(it, payer, escrow, &question, &intent, now.slot)
}

/// Makes the intent's account with its escrow, payload and terms.
#[inline(always)]
fn keep(
    it: &Call,
    payer: &AccountView,
    escrow: &mut AccountView,
    question: &Question,
    intent: &Intent,
    slot: u64,
) -> Result<(), Reason> {
    require(!escrow.owned_by(it.program), Reason::NonceInUse)?;
    let seeds: [&[u8]; 3] = [b"intent", &intent.requester, question.nonce];
    let space = Escrow::SIZE + 4 + question.payload.len() + 4 + question.terms.len();
    let opening = Opening { program: it.program, payer, seeds: &seeds, space, extra: question.fee };
    let bump = opening.make(escrow)?;
    let intent_id = intent.struct_hash();
    let record = Escrow {
        kind: Escrow::KIND,
        bump,
        state: OPEN,
        unused: [0; 5],
        nonce: U64::from_bytes(*question.nonce),
        payer: payer.address().to_bytes(),
        intent_id,
        amount: U64::new(question.fee),
        slot: U64::new(slot),
        intent: *intent,
    };
    let payload_length = (question.payload.len() as u32).to_le_bytes();
    let terms_length = (question.terms.len() as u32).to_le_bytes();
    record.store(escrow, &[&payload_length, question.payload, &terms_length, question.terms])?;
    events::emit(
        &events::INTENT_REQUESTED,
        &[question.nonce, bytes(core::slice::from_ref(intent))],
    );
    set_return_data(&intent_id);
    Ok(())
}
