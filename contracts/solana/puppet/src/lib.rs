// SPDX-License-Identifier: Apache-2.0
//! A program that does as the tests tell it: the consumer that no hub should have to trust.
//!
//! Its data, or the output that a hub calls it with, says what to do:
//! "fail" fails, "spin" burns all its compute units, "call" and a number, then as many flags (1 writable,
//! 2 signs) and data, calls the account behind the first ones with as many accounts that follow it; its
//! own address of the seed "vagus" signs. Anything else succeeds.
#![no_std]

use core::mem::MaybeUninit;

use pinocchio::cpi::{invoke_signed_with_bounds, Seed, Signer};
use pinocchio::error::ProgramError;
use pinocchio::instruction::{InstructionAccount, InstructionView};
use pinocchio::{
    no_allocator, nostd_panic_handler, program_entrypoint, AccountView, Address, ProgramResult,
};

program_entrypoint!(process, 32);
no_allocator!();
nostd_panic_handler!();

const ON_RESULT: [u8; 8] = *b"\x17\xf7\xee\xb3\xb6\xe6\x58\x5a";
/// Where the output begins in what a hub calls with.
const OUTPUT: usize = 180;
const MAX: usize = 12;

fn process(program: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    // A hub puts its callback signer in front.
    let (order, accounts) = match data.strip_prefix(&ON_RESULT) {
        Some(_) => (&data[OUTPUT..], &accounts[1..]),
        None => (data, &*accounts),
    };
    match order.split_at_checked(4) {
        Some((b"fail", _)) => Err(ProgramError::Custom(1)),
        Some((b"spin", _)) => spin(),
        Some((b"call", rest)) => call(program, accounts, rest),
        _ => Ok(()),
    }
}

fn spin() -> ProgramResult {
    let mut turns: u64 = 0;
    loop {
        turns = core::hint::black_box(turns.wrapping_add(1));
    }
}

#[inline(always)]
fn call(program: &Address, accounts: &[AccountView], order: &[u8]) -> ProgramResult {
    let (count, rest) = order.split_first().ok_or(ProgramError::InvalidInstructionData)?;
    let count = *count as usize;
    if count > MAX || accounts.len() < count + 1 || rest.len() < count {
        return Err(ProgramError::InvalidInstructionData);
    }
    let (flags, data) = rest.split_at(count);
    let (target, passed) = (&accounts[0], &accounts[1..count + 1]);
    let mut metas = [const { MaybeUninit::<InstructionAccount>::uninit() }; MAX];
    for ((meta, account), flag) in metas.iter_mut().zip(passed).zip(flags) {
        meta.write(InstructionAccount::new(account.address(), flag & 1 != 0, flag & 2 != 0));
    }
    // SAFETY: as many as `count` were written.
    let metas = unsafe { core::slice::from_raw_parts(metas.as_ptr().cast(), count) };
    let found = Address::try_find_program_address(&[b"vagus"], program);
    let (_, bump) = found.ok_or(ProgramError::InvalidSeeds)?;
    let bump = [bump];
    let seeds = [Seed::from(b"vagus"), Seed::from(&bump)];
    let instruction = InstructionView { program_id: target.address(), accounts: metas, data };
    invoke_signed_with_bounds::<MAX, _>(&instruction, passed, &[Signer::from(&seeds)])
}
