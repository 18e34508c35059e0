// SPDX-License-Identifier: Apache-2.0
//! An example consumer: asks an agent through the hub and keeps the newest answer that it believes.
//!
//! Anyone may name this program as the callback of any question to any agent, and have the answer
//! delivered. `on_result` therefore checks who calls, where the question was asked, who asked it and which
//! agent answered, and takes an output only with status 0.
//!
//! One account, at the seed "state", holds all: it is the only account that the callback is registered
//! with. The program asks, registers and is paid by its address of the seed "vagus".
#![no_std]

mod account;
mod ask;
mod state;

use pinocchio::error::ProgramError;
use pinocchio::syscalls::sol_memcpy_;
use pinocchio::{
    no_allocator, nostd_panic_handler, program_entrypoint, AccountView, Address, ProgramResult,
};

use crate::state::{State, MAX_ALLOWED, MAX_OUTPUT};

program_entrypoint!(process, 16);
no_allocator!();
nostd_panic_handler!();

/// The first eight bytes of sha256("global:on_result"), as Anchor names instructions.
const ON_RESULT: [u8; 8] = *b"\x17\xf7\xee\xb3\xb6\xe6\x58\x5a";

/// Why this program refuses, from code 7000 on.
#[derive(Clone, Copy)]
pub enum Refusal {
    Arguments,
    Accounts,
    NotTheOwner,
    NotTheHub,
    NotAllowed,
    AnotherAgent,
    TooLong,
    TooMany,
}

impl From<Refusal> for ProgramError {
    fn from(refusal: Refusal) -> Self {
        ProgramError::Custom(7000 + refusal as u32)
    }
}

pub fn require(holds: bool, refusal: Refusal) -> ProgramResult {
    if holds {
        Ok(())
    } else {
        Err(refusal.into())
    }
}

/// What an instruction works on: the program's own address, and the arguments behind its name.
pub struct Call<'a> {
    pub program: &'a Address,
    pub arguments: &'a [u8],
}

fn process(program: &Address, accounts: &mut [AccountView], data: &[u8]) -> ProgramResult {
    if let Some(answer) = data.strip_prefix(&ON_RESULT) {
        return on_result(&Call { program, arguments: answer }, accounts);
    }
    let Some((instruction, arguments)) = data.split_first() else {
        return Err(Refusal::Arguments.into());
    };
    let it = Call { program, arguments };
    match instruction {
        0 => account::set_up(&it, accounts),
        1 => allow(&it, accounts),
        2 => ask::ask(&it, accounts),
        3 => ask::collect(&it, accounts),
        _ => Err(Refusal::Arguments.into()),
    }
}

/// Owner, state. Allows the questions of an originHub and a requester there, 64 bytes.
fn allow(it: &Call, accounts: &mut [AccountView]) -> ProgramResult {
    let [owner, account, ..] = accounts else {
        return Err(Refusal::Accounts.into());
    };
    let pair: &[u8; 64] = it.arguments.try_into().map_err(|_| Refusal::Arguments)?;
    let mut state = State::owned(it.program, account, owner)?;
    let count = state.count as usize;
    require(count < MAX_ALLOWED, Refusal::TooMany)?;
    state.allowed[count] = *pair;
    state.count += 1;
    Ok(())
}

/// Callback signer, state. Takes an answer from the hub: intentId, originHub, requester, agentId,
/// payloadHash, status (u64) and the output (`bytes`).
#[inline(never)]
fn on_result(it: &Call, accounts: &mut [AccountView]) -> ProgramResult {
    let [signer, account, ..] = accounts else {
        return Err(Refusal::Accounts.into());
    };
    let (head, output) = it.arguments.split_at_checked(172).ok_or(Refusal::Arguments)?;
    let mut state = State::load(it.program, account)?;
    // The hub alone signs for this address, and for this program alone.
    let hub = signer.is_signer() && signer.address().as_array() == &state.callback_signer;
    require(hub, Refusal::NotTheHub)?;
    let asked = &head[32..96];
    let allowed = state.allowed[..state.count as usize].iter().any(|pair| pair == asked);
    require(allowed, Refusal::NotAllowed)?;
    require(head[96..128] == state.agent_id, Refusal::AnotherAgent)?;
    require(output.len() <= MAX_OUTPUT, Refusal::TooLong)?;

    // Refused or failed (status 1 and 2): there is no answer to act on, only the fact.
    state.intent_id.copy_from_slice(&head[..32]);
    state.status.copy_from_slice(&head[160..168]);
    state.length.copy_from_slice(&head[168..172]);
    // SAFETY: the output is no longer than its place.
    unsafe { sol_memcpy_(state.output.as_mut_ptr(), output.as_ptr(), output.len() as u64) };
    Ok(())
}
