// SPDX-License-Identifier: Apache-2.0
//! Asks through the hub, and takes back what was not spent.

use pinocchio::cpi::{invoke_signed, Seed, Signer};
use pinocchio::entrypoint::HEAP_START_ADDRESS;
use pinocchio::instruction::{InstructionAccount, InstructionView};
use pinocchio::syscalls::sol_memcpy_;
use pinocchio::{AccountView, ProgramResult};

use crate::account::{derive, SYSTEM};
use crate::state::State;
use crate::{require, Call, Refusal};

// Instructions of the hub and of the system program.
const REQUEST: u8 = 1;
const WITHDRAW: u8 = 4;
const TRANSFER: u8 = 2;
/// The most that fits a transaction.
const MAX: usize = 1232;

/// Owner, state, this program's authority, hub, config, intent, the authority's credit, system program.
///
/// Takes the arguments of the hub's `request` and passes them on. The owner pays and alone asks: where
/// this program is allowed, its questions count as its own.
#[inline(never)]
pub fn ask(it: &Call, accounts: &mut [AccountView]) -> ProgramResult {
    let (program, arguments) = (it.program, it.arguments);
    let [owner, account, authority, hub, config, intent, credit, system, ..] = accounts else {
        return Err(Refusal::Accounts.into());
    };
    let agent_id = arguments.get(8..40).ok_or(Refusal::Arguments)?;
    require(arguments.len() < MAX, Refusal::TooLong)?;
    {
        let state = State::owned(program, account, owner)?;
        require(agent_id == state.agent_id, Refusal::AnotherAgent)?;
        require(hub.address().as_array() == &state.hub, Refusal::NotTheHub)?;
    }
    // SAFETY: the heap has 32 KiB, and nothing else in this program uses it.
    let data = unsafe { &mut *(HEAP_START_ADDRESS as *mut [u8; MAX]) };
    data[0] = REQUEST;
    let end = arguments.len() + 1;
    // SAFETY: `end` is within the buffer.
    unsafe { sol_memcpy_(data[1..].as_mut_ptr(), arguments.as_ptr(), arguments.len() as u64) };
    let metas = [
        InstructionAccount::writable_signer(owner.address()),
        // No staging account: the hub's own address in its place.
        InstructionAccount::readonly(hub.address()),
        InstructionAccount::writable(config.address()),
        InstructionAccount::readonly_signer(authority.address()),
        InstructionAccount::writable(intent.address()),
        InstructionAccount::writable(credit.address()),
        InstructionAccount::readonly(system.address()),
    ];
    let views = [&*owner, hub, config, authority, intent, credit, system];
    let instruction =
        InstructionView { program_id: hub.address(), accounts: &metas, data: &data[..end] };
    let (_, bump) = derive(&[b"vagus"], program)?;
    let bump = [bump];
    let seeds = [Seed::from(b"vagus"), Seed::from(&bump)];
    invoke_signed(&instruction, &views, &[Signer::from(&seeds)])
}

/// Owner, state, this program's authority, hub, the authority's credit, system program.
///
/// Withdraws the authority's credit and hands all its lamports to the owner.
#[inline(never)]
pub fn collect(it: &Call, accounts: &mut [AccountView]) -> ProgramResult {
    let (program, arguments) = (it.program, it.arguments);
    let [owner, account, authority, hub, credit, ..] = accounts else {
        return Err(Refusal::Accounts.into());
    };
    require(arguments.is_empty(), Refusal::Arguments)?;
    {
        let state = State::owned(program, account, owner)?;
        require(hub.address().as_array() == &state.hub, Refusal::NotTheHub)?;
    }
    let (_, bump) = derive(&[b"vagus"], program)?;
    let bump = [bump];
    let seeds = [Seed::from(b"vagus"), Seed::from(&bump)];
    let metas = [
        InstructionAccount::writable_signer(authority.address()),
        InstructionAccount::writable(credit.address()),
    ];
    let withdraw =
        InstructionView { program_id: hub.address(), accounts: &metas, data: &[WITHDRAW] };
    invoke_signed(&withdraw, &[&*authority, credit], &[Signer::from(&seeds)])?;

    let metas = [
        InstructionAccount::writable_signer(authority.address()),
        InstructionAccount::writable(owner.address()),
    ];
    let mut data = [0; 12];
    data[0] = TRANSFER;
    data[4..].copy_from_slice(&authority.lamports().to_le_bytes());
    let transfer = InstructionView { program_id: &SYSTEM, accounts: &metas, data: &data };
    invoke_signed(&transfer, &[&*authority, owner], &[Signer::from(&seeds)])
}
