// SPDX-License-Identifier: Apache-2.0
//! Closes the accounts of what is over, and gives their rent back to whom it belongs.

use pinocchio::AccountView;

use crate::accounts::{dissolve, Config, Delivery, Escrow, Record, OPEN};
use crate::arguments::Reader;
use crate::errors::{require, Reason};
use crate::limits::RETRY_WINDOW;
use crate::runtime::Now;
use crate::Call;

/// Config, intent, whoever paid for it.
#[inline(never)]
pub fn intent(it: &Call, accounts: &mut [AccountView]) -> Result<(), Reason> {
    let [config, account, payer, ..] = accounts else {
        return Err(Reason::MissingAccounts);
    };
    Reader::new(it.arguments).end()?;
    {
        let grace = Config::load(it.program, config)?.grace.get();
        require(account.owned_by(it.program), Reason::IntentNotOpen)?;
        let escrow = Escrow::load(it.program, account)?;
        require(&escrow.payer == payer.address().as_array(), Reason::WrongAccount)?;
        require(escrow.state != OPEN, Reason::IntentStillOpen)?;
        let due = escrow.intent.deadline.get().saturating_add(grace);
        require(Now::get()?.time > due, Reason::CloseTooEarly)?;
    }
    dissolve(account, payer)
}

/// Config, delivery, its deliverer.
#[inline(never)]
pub fn delivery(it: &Call, accounts: &mut [AccountView]) -> Result<(), Reason> {
    let [config, account, deliverer, ..] = accounts else {
        return Err(Reason::MissingAccounts);
    };
    Reader::new(it.arguments).end()?;
    {
        let grace = Config::load(it.program, config)?.grace.get();
        require(account.owned_by(it.program), Reason::NotDelivered)?;
        let found = Delivery::load(it.program, account)?;
        require(&found.deliverer == deliverer.address().as_array(), Reason::WrongAccount)?;
        let settled = found.deadline.get().saturating_add(grace);
        let retried = found.delivered_at.get().saturating_add(RETRY_WINDOW);
        require(Now::get()?.time > settled.max(retried), Reason::CloseTooEarly)?;
    }
    dissolve(account, deliverer)
}
