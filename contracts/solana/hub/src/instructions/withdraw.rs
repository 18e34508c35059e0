// SPDX-License-Identifier: Apache-2.0
//! Pays an account all its credit; works while paused.

use pinocchio::AccountView;

use crate::accounts::{pay, signer, Credit, Record};
use crate::arguments::Reader;
use crate::errors::{require, Reason};
use crate::events;
use crate::number::U64;
use crate::Call;

/// Owner, its credit.
#[inline(never)]
pub fn process(it: &Call, accounts: &mut [AccountView]) -> Result<(), Reason> {
    let [owner, account, ..] = accounts else {
        return Err(Reason::MissingAccounts);
    };
    Reader::new(it.arguments).end()?;
    signer(owner)?;
    require(account.owned_by(it.program), Reason::NoCredit)?;
    let amount = {
        let mut credit = Credit::load_mut(it.program, account)?;
        require(&credit.owner == owner.address().as_array(), Reason::WrongAccount)?;
        let amount = credit.amount.get();
        credit.amount = U64::new(0);
        amount
    };
    require(amount != 0, Reason::NoCredit)?;
    events::emit(&events::WITHDRAWN, &[owner.address().as_array(), &amount.to_le_bytes()]);
    pay(account, owner, amount)
}
