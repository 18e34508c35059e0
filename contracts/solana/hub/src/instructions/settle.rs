// SPDX-License-Identifier: Apache-2.0
//! Closes an open intent: credits those whom the receipt pays, and the requester the rest.

use pinocchio::{AccountView, Address};

use crate::accounts::{pay, signer, Config, Credit, Escrow, Key, Record, OPEN, SETTLED};
use crate::arguments::{Arguments, Reader};
use crate::errors::{require, Reason};
use crate::events;
use crate::limits::MAX_PAYOUTS;
use crate::messages::{payouts_hash, Message, Payout, Receipt};
use crate::number::U64;
use crate::quorum::Counting;
use crate::runtime::Now;
use crate::Call;

/// What is settled, as it was handed over.
struct Settlement<'a> {
    receipt: &'a Receipt,
    payouts: &'a [Payout],
    signatures: &'a [u8],
}

impl<'a> Settlement<'a> {
    fn read(mut arguments: Reader<'a>) -> Result<Self, Reason> {
        let settlement = Self {
            receipt: arguments.take()?,
            payouts: arguments.list(MAX_PAYOUTS, Reason::TooManyPayouts)?,
            signatures: arguments.signatures()?,
        };
        arguments.end()?;
        Ok(settlement)
    }

    /// Refuses what the receipt may not say of this intent; returns its fee.
    fn check(&self, escrow: &Escrow, now: u64) -> Result<u64, Reason> {
        let receipt = self.receipt;
        let status = receipt.status.get();
        require(receipt.dest_hub == escrow.intent.dest_hub, Reason::AnotherDestination)?;
        require(status <= 2, Reason::UnknownStatus)?;
        let fee = receipt.fee.lamports();
        require(status == 0 || fee == Some(0), Reason::FeeWithoutFulfilment)?;
        let fee = fee.ok_or(Reason::FeeOverMaximum)?;
        require(fee <= escrow.amount.get(), Reason::FeeOverMaximum)?;
        require(now <= receipt.expiry.get(), Reason::ReceiptExpired)?;
        require(payouts_hash(self.payouts) == receipt.payouts_hash, Reason::PayoutsDiffer)?;
        Ok(fee)
    }
}

/// Caller, staging, config, the epoch's signer set, intent, the requester's credit, then the credit of
/// each payout's payee in their order.
#[inline(never)]
pub fn process(it: &Call, accounts: &mut [AccountView]) -> Result<(), Reason> {
    let [caller, staging, config, set, account, credit, credits @ ..] = accounts else {
        return Err(Reason::MissingAccounts);
    };
    let arguments = Arguments::new(it.program, it.arguments, staging, caller)?;
    let settlement = Settlement::read(arguments.reader())?;
    signer(caller)?;
    let receipt = settlement.receipt;
    let now = Now::get()?.time;
    {
        let config = Config::load(it.program, config)?;
        config.check_running()?;
        let escrow = open_intent(it.program, account, &receipt.intent_id)?;
        settlement.check(&escrow, now)?;
        let epoch = receipt.epoch.get();
        let counting = Counting::in_force(it.program, &config, set, epoch, now)?;
        counting.verify(&receipt.digest(&config.domain), settlement.signatures)?;
    }
    let (requester, amount) = finish(it.program, account, SETTLED)?;

    let mut paid: u64 = 0;
    let mut places = credits.iter_mut();
    for payout in settlement.payouts {
        require(payout.payee != [0; 32], Reason::PayeeZero)?;
        // No sum of payouts in 256 bits is a fee in lamports if one of them is over it.
        let lamports = payout.amount.lamports().ok_or(Reason::PayoutsDoNotSum)?;
        paid = paid.checked_add(lamports).ok_or(Reason::PayoutsDoNotSum)?;
        require(paid <= amount, Reason::PayoutsDoNotSum)?;
        let place = places.next().ok_or(Reason::MissingAccounts)?;
        add(it.program, account, place, &payout.payee, lamports)?;
    }
    require(receipt.fee.lamports() == Some(paid), Reason::PayoutsDoNotSum)?;
    let returned = amount - paid;
    add(it.program, account, credit, &requester, returned)?;
    let (fee, rest) = (paid.to_le_bytes(), returned.to_le_bytes());
    events::emit(
        &events::SETTLED,
        &[&receipt.intent_id, receipt.status.bytes(), &fee, &rest, receipt.epoch.bytes()],
    );
    Ok(())
}

/// The record of an open intent with this id. Unknown, closed and another intent's account are one.
pub fn open_intent<'a>(
    program: &Address,
    account: &'a AccountView,
    intent_id: &Key,
) -> Result<pinocchio::account::Ref<'a, Escrow>, Reason> {
    require(account.owned_by(program), Reason::IntentNotOpen)?;
    let escrow = Escrow::load(program, account)?;
    let open = escrow.state == OPEN && &escrow.intent_id == intent_id;
    require(open, Reason::IntentNotOpen)?;
    Ok(escrow)
}

/// Gives an open intent its final state; returns its requester and what was escrowed.
pub fn finish(
    program: &Address,
    account: &mut AccountView,
    state: u8,
) -> Result<(Key, u64), Reason> {
    let mut escrow = Escrow::load_mut(program, account)?;
    let amount = escrow.amount.get();
    escrow.state = state;
    escrow.amount = U64::new(0);
    Ok((escrow.intent.requester, amount))
}

/// Moves lamports of an escrow to the credit of an owner, which is open.
pub fn add(
    program: &Address,
    escrow: &mut AccountView,
    place: &mut AccountView,
    owner: &Key,
    amount: u64,
) -> Result<(), Reason> {
    require(place.owned_by(program), Reason::CreditNotOpen)?;
    {
        let mut credit = Credit::load_mut(program, place)?;
        require(&credit.owner == owner, Reason::CreditNotOpen)?;
        let sum = credit.amount.get().checked_add(amount);
        credit.amount = U64::new(sum.ok_or(Reason::Overflow)?);
    }
    pay(escrow, place, amount)
}
