// SPDX-License-Identifier: Apache-2.0
//! Opens an owner's credit, so that settle need only add to it.

use pinocchio::AccountView;

use crate::accounts::{signer, system};
use crate::arguments::Reader;
use crate::errors::{require, Reason};
use crate::Call;

/// Payer, owner, the owner's credit, system program.
#[inline(never)]
pub fn process(it: &Call, accounts: &mut [AccountView]) -> Result<(), Reason> {
    let [payer, owner, credit, system_program, ..] = accounts else {
        return Err(Reason::MissingAccounts);
    };
    Reader::new(it.arguments).end()?;
    signer(payer)?;
    system(system_program)?;
    let owner = owner.address().to_bytes();
    require(owner != [0; 32], Reason::PayeeZero)?;
    crate::opening::open_credit(it.program, payer, &owner, credit)
}
