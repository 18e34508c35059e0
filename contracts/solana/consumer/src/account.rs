// SPDX-License-Identifier: Apache-2.0
//! Makes the state and registers it with the hub.

use pinocchio::cpi::{invoke_signed, Seed, Signer};
use pinocchio::error::ProgramError;
use pinocchio::instruction::{InstructionAccount, InstructionView};
use pinocchio::{AccountView, Address, ProgramResult};

use crate::state::State;
use crate::{require, Call, Refusal};

pub const SYSTEM: Address = Address::new_from_array([0; 32]);
/// The upgradeable loader, which keeps a program's code and who may change it in a ProgramData account.
const LOADER: Address = Address::new_from_array([
    0x02, 0xa8, 0xf6, 0x91, 0x4e, 0x88, 0xa1, 0xb0, 0xe2, 0x10, 0x15, 0x3e, 0xf7, 0x63, 0xae, 0x2b,
    0x00, 0xc2, 0xb9, 0x3d, 0x16, 0xc1, 0x24, 0xd2, 0xc0, 0x53, 0x7a, 0x10, 0x04, 0x80, 0x00, 0x00,
]);

// The system program's instructions.
const ASSIGN: u8 = 1;
const ALLOCATE: u8 = 8;
/// The hub's instruction `register`.
const REGISTER: u8 = 10;

/// Owner, ProgramData, state, this program's authority, this program, hub, registry, system program.
///
/// Takes the agent's id. The owner is whoever may upgrade this program, so that nobody else comes first.
/// The state's rent lies at its address before: a transfer in front of this instruction.
#[inline(never)]
pub fn set_up(it: &Call, accounts: &mut [AccountView]) -> ProgramResult {
    let program = it.program;
    let [owner, program_data, account, authority, consumer, hub, registry, system, ..] = accounts
    else {
        return Err(Refusal::Accounts.into());
    };
    let agent_id: &[u8; 32] = it.arguments.try_into().map_err(|_| Refusal::Arguments)?;
    check_owner(program, program_data, owner)?;
    make(program, account)?;
    let (_, authority_bump) = derive(&[b"vagus"], program)?;
    let (callback_signer, _) = derive(&[b"callback", program.as_array()], hub.address())?;
    {
        let mut state = State::load(program, account)?;
        state.owner = owner.address().to_bytes();
        state.hub = hub.address().to_bytes();
        state.callback_signer = callback_signer.to_bytes();
        state.agent_id = *agent_id;
    }

    // One account, which is written.
    let mut data = [0; 38];
    data[0] = REGISTER;
    data[1] = 1;
    data[5..37].copy_from_slice(account.address().as_array());
    data[37] = 1;
    let metas = [
        InstructionAccount::writable_signer(owner.address()),
        InstructionAccount::readonly_signer(authority.address()),
        InstructionAccount::readonly(consumer.address()),
        InstructionAccount::writable(registry.address()),
        InstructionAccount::readonly(system.address()),
    ];
    let instruction = InstructionView { program_id: hub.address(), accounts: &metas, data: &data };
    let bump = [authority_bump];
    let seeds = [Seed::from(b"vagus"), Seed::from(&bump)];
    let views = [&*owner, authority, consumer, registry, system];
    invoke_signed(&instruction, &views, &[Signer::from(&seeds)])
}

/// An address of a program and its bump.
pub fn derive(seeds: &[&[u8]], program: &Address) -> Result<(Address, u8), ProgramError> {
    Address::try_find_program_address(seeds, program).ok_or(ProgramError::InvalidSeeds)
}

fn check_owner(
    program: &Address,
    program_data: &AccountView,
    owner: &AccountView,
) -> ProgramResult {
    let (address, _) = derive(&[program.as_array()], &LOADER)?;
    require(program_data.address() == &address, Refusal::Accounts)?;
    let data = program_data.try_borrow()?;
    // Kind and slot, one byte that says whether there is an authority, and the authority.
    let authority = data.get(12..45).ok_or(Refusal::Accounts)?;
    let may = authority[0] == 1 && authority[1..] == *owner.address().as_array();
    require(may && owner.is_signer(), Refusal::NotTheOwner)
}

/// Makes the account at "state" this program's.
fn make(program: &Address, account: &AccountView) -> ProgramResult {
    let (address, bump) = derive(&[b"state"], program)?;
    require(account.address() == &address, Refusal::Accounts)?;
    let bump = [bump];
    let seeds = [Seed::from(b"state"), Seed::from(&bump)];
    let metas = [InstructionAccount::writable_signer(account.address())];

    let mut data = [0; 12];
    data[0] = ALLOCATE;
    data[4..].copy_from_slice(&(State::SIZE as u64).to_le_bytes());
    let allocate = InstructionView { program_id: &SYSTEM, accounts: &metas, data: &data };
    invoke_signed(&allocate, &[account], &[Signer::from(&seeds)])?;

    let mut data = [0; 36];
    data[0] = ASSIGN;
    data[4..].copy_from_slice(program.as_array());
    let assign = InstructionView { program_id: &SYSTEM, accounts: &metas, data: &data };
    invoke_signed(&assign, &[account], &[Signer::from(&seeds)])
}
