// SPDX-License-Identifier: Apache-2.0
//! Holds the arguments of a call that does not fit one transaction. Only the writer opens, writes, uses
//! and closes a staging account.

use pinocchio::{AccountView, Address};

use crate::accounts::{dissolve, signer, system, Record, Staging};
use crate::arguments::Reader;
use crate::errors::{require, Reason};
use crate::limits::MAX_STAGED;
use crate::number::U64;
use crate::opening::{transfer, Opening, MAX_GROWTH};
use crate::runtime::{copy, minimum_balance};
use crate::Call;

/// Writer, staging, system program. Makes the account, or brings it nearer to the size.
#[inline(never)]
pub fn open(it: &Call, accounts: &mut [AccountView]) -> Result<(), Reason> {
    let [writer, staging, system_program, ..] = accounts else {
        return Err(Reason::MissingAccounts);
    };
    let mut arguments = Reader::new(it.arguments);
    let id = arguments.take::<[u8; 8]>()?;
    let size = arguments.length()?;
    arguments.end()?;
    signer(writer)?;
    system(system_program)?;
    require(size <= MAX_STAGED, Reason::StagingTooLong)?;
    let space = Staging::SIZE + size;
    if staging.owned_by(it.program) {
        let found = check_writer(it.program, staging, writer)?;
        require(found.bytes() == id, Reason::WrongAccount)?;
        return resize(writer, staging, space);
    }
    let owner = writer.address().to_bytes();
    let seeds: [&[u8]; 3] = [b"staging", &owner, id];
    let space = space.min(MAX_GROWTH);
    let opening = Opening { program: it.program, payer: writer, seeds: &seeds, space, extra: 0 };
    let bump = opening.make(staging)?;
    let record = Staging {
        kind: Staging::KIND,
        bump,
        unused: [0; 6],
        writer: owner,
        id: U64::from_bytes(*id),
    };
    record.store(staging, &[])
}

/// Writer, staging.
#[inline(never)]
pub fn write(it: &Call, accounts: &mut [AccountView]) -> Result<(), Reason> {
    let [writer, staging, ..] = accounts else {
        return Err(Reason::MissingAccounts);
    };
    let mut arguments = Reader::new(it.arguments);
    let offset = arguments.length()?;
    let bytes = arguments.bytes(MAX_STAGED, Reason::StagingTooLong)?;
    arguments.end()?;
    check_writer(it.program, staging, writer)?;
    let mut data = staging.try_borrow_mut()?;
    let start = Staging::SIZE + offset;
    let place = data.get_mut(start..start + bytes.len()).ok_or(Reason::Arguments)?;
    copy(place, bytes);
    Ok(())
}

/// Writer, staging.
#[inline(never)]
pub fn close(it: &Call, accounts: &mut [AccountView]) -> Result<(), Reason> {
    let [writer, staging, ..] = accounts else {
        return Err(Reason::MissingAccounts);
    };
    Reader::new(it.arguments).end()?;
    check_writer(it.program, staging, writer)?;
    dissolve(staging, writer)
}

/// Refuses a staging account of anyone else; returns its id.
fn check_writer(
    program: &Address,
    staging: &mut AccountView,
    writer: &AccountView,
) -> Result<U64, Reason> {
    signer(writer)?;
    let record = Staging::load_mut(program, staging)?;
    require(&record.writer == writer.address().as_array(), Reason::AnotherWriter)?;
    Ok(record.id)
}

/// Brings an account to a size, by as much as one instruction may; the writer pays for what is added.
fn resize(writer: &AccountView, staging: &mut AccountView, space: usize) -> Result<(), Reason> {
    let space = space.min(staging.data_len() + MAX_GROWTH);
    let missing = minimum_balance(space)?.saturating_sub(staging.lamports());
    if missing != 0 {
        transfer(writer, staging, missing)?;
    }
    // SAFETY: nothing borrows it, and behind its bytes the runtime keeps as many zeros as it may grow by.
    unsafe { (*staging.account_mut_ptr()).data_len = space as u64 };
    Ok(())
}
