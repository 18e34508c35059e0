// SPDX-License-Identifier: Apache-2.0
//! Credits the requester of an intent that nobody settled in time; works while paused.

use pinocchio::AccountView;

use crate::accounts::{Config, Key, Record, REFUNDED};
use crate::arguments::Reader;
use crate::errors::{require, Reason};
use crate::events;
use crate::instructions::settle::{add, finish, open_intent};
use crate::runtime::Now;
use crate::Call;

/// Config, intent, the requester's credit.
#[inline(never)]
pub fn process(it: &Call, accounts: &mut [AccountView]) -> Result<(), Reason> {
    let [config, account, credit, ..] = accounts else {
        return Err(Reason::MissingAccounts);
    };
    let mut arguments = Reader::new(it.arguments);
    let intent_id = arguments.take::<Key>()?;
    arguments.end()?;
    {
        let grace = Config::load(it.program, config)?.grace.get();
        let escrow = open_intent(it.program, account, intent_id)?;
        let due = escrow.intent.deadline.get().saturating_add(grace);
        require(Now::get()?.time > due, Reason::RefundTooEarly)?;
    }
    let (requester, amount) = finish(it.program, account, REFUNDED)?;
    add(it.program, account, credit, &requester, amount)?;
    events::emit(&events::REFUNDED, &[intent_id, &requester, &amount.to_le_bytes()]);
    Ok(())
}
