// SPDX-License-Identifier: Apache-2.0
//! The vagus hub: takes intents and escrows their fees; verifies what a committee signed and calls back.
//!
//! As the origin of an intent: request, then settle or refund. As its destination: deliver, then retry,
//! which is the callback. What anyone is owed is credit, which withdraw alone pays out. Each instruction
//! has a file of its own; accounts, arguments and events are described in docs/hub-solana.md.
#![no_std]

mod accounts;
mod arguments;
mod base58;
mod errors;
mod events;
mod instructions;
mod limits;
mod messages;
mod number;
mod opening;
mod quorum;
mod runtime;

use pinocchio::error::ProgramError;
use pinocchio::{
    no_allocator, nostd_panic_handler, program_entrypoint, AccountView, Address, ProgramResult,
};

use crate::errors::Reason;
use crate::instructions as call;

program_entrypoint!(process, 64);
no_allocator!();
nostd_panic_handler!();

/// What an instruction works on: the program's own address, and the arguments behind its first byte.
pub struct Call<'a> {
    pub program: &'a Address,
    pub arguments: &'a [u8],
}

fn process(program: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    dispatch(program, accounts, data).map_err(ProgramError::from)
}

fn dispatch(program: &Address, accounts: &mut [AccountView], data: &[u8]) -> Result<(), Reason> {
    let Some((instruction, arguments)) = data.split_first() else {
        return Err(Reason::UnknownInstruction);
    };
    let it = Call { program, arguments };
    match instruction {
        0 => call::initialize::process(&it, accounts),
        1 => call::request::process(&it, accounts),
        2 => call::settle::process(&it, accounts),
        3 => call::refund::process(&it, accounts),
        4 => call::withdraw::process(&it, accounts),
        5 => call::open_credit::process(&it, accounts),
        6 => call::close::intent(&it, accounts),
        7 => call::deliver::process(&it, accounts),
        8 => call::retry::process(&it, accounts),
        9 => call::close::delivery(&it, accounts),
        10 => call::register::process(&it, accounts),
        11 => call::rotate::process(&it, accounts),
        12 => call::guardian::pause(&it, accounts),
        13 => call::guardian::unpause(&it, accounts),
        14 => call::guardian::offer(&it, accounts),
        15 => call::guardian::accept(&it, accounts),
        16 => call::staging::open(&it, accounts),
        17 => call::staging::write(&it, accounts),
        18 => call::staging::close(&it, accounts),
        19 => call::digest::process(&it),
        _ => Err(Reason::UnknownInstruction),
    }
}
