// SPDX-License-Identifier: Apache-2.0
//! How the hub makes an account of its own at a program derived address.
//!
//! By transfer, allocate and assign: create_account would fail on an address to which somebody has sent
//! lamports, and so anyone could block it.

use pinocchio::cpi::{invoke, invoke_signed, Seed, Signer};
use pinocchio::instruction::{InstructionAccount, InstructionView};
use pinocchio::{AccountView, Address};

use crate::accounts::{signer, Credit, Key, Record, SYSTEM};
use crate::errors::{require, Reason};
use crate::number::U64;
use crate::runtime::minimum_balance;

// The system program's instructions: four bytes little-endian, then their arguments.
const ASSIGN: u8 = 1;
const TRANSFER: u8 = 2;
const ALLOCATE: u8 = 8;

/// The most bytes by which an account grows in one instruction.
pub const MAX_GROWTH: usize = 10_240;

/// An account that is to be made: who pays, for the address of which two or three seeds, how many bytes
/// it has, and what lamports are put in beside the rent.
pub struct Opening<'a> {
    pub program: &'a Address,
    pub payer: &'a AccountView,
    pub seeds: &'a [&'a [u8]],
    pub space: usize,
    pub extra: u64,
}

impl Opening<'_> {
    /// Makes the account and returns its bump. Lamports that lay there before count for the rent alone.
    #[inline(never)]
    pub fn make(&self, target: &AccountView) -> Result<u8, Reason> {
        signer(self.payer)?;
        require(target.is_writable(), Reason::NotWritable)?;
        let bump = derived(self.program, target, self.seeds)?;
        require(target.owned_by(&SYSTEM) && target.is_data_empty(), Reason::WrongAccount)?;
        let missing = minimum_balance(self.space)?
            .saturating_sub(target.lamports())
            .checked_add(self.extra)
            .ok_or(Reason::Overflow)?;
        if missing != 0 {
            transfer(self.payer, target, missing)?;
        }
        self.take_over(target, bump)?;
        Ok(bump)
    }

    /// Allocates the account's bytes and makes it the hub's.
    fn take_over(&self, target: &AccountView, bump: u8) -> Result<(), Reason> {
        let bump = [bump];
        let mut seeds = [(); 4].map(|()| Seed::from(&bump));
        for (place, seed) in seeds.iter_mut().zip(self.seeds) {
            *place = Seed::from(*seed);
        }
        let signs = [Signer::from(&seeds[..self.seeds.len() + 1])];
        let accounts = [InstructionAccount::writable_signer(target.address())];

        let mut data = [0; 12];
        data[0] = ALLOCATE;
        data[4..].copy_from_slice(&(self.space as u64).to_le_bytes());
        let allocate = InstructionView { program_id: &SYSTEM, accounts: &accounts, data: &data };
        invoke_signed(&allocate, &[target], &signs)?;

        let mut data = [0; 36];
        data[0] = ASSIGN;
        data[4..].copy_from_slice(self.program.as_array());
        let assign = InstructionView { program_id: &SYSTEM, accounts: &accounts, data: &data };
        Ok(invoke_signed(&assign, &[target], &signs)?)
    }
}

/// Refuses an account that is not at the canonical address of the seeds; returns its bump.
pub fn derived(program: &Address, target: &AccountView, seeds: &[&[u8]]) -> Result<u8, Reason> {
    let found = Address::try_find_program_address(seeds, program);
    let (address, bump) = found.ok_or(Reason::WrongAccount)?;
    require(&address == target.address(), Reason::WrongAccount)?;
    Ok(bump)
}

/// Moves lamports of an account that signs and that the system program owns.
pub fn transfer(payer: &AccountView, target: &AccountView, amount: u64) -> Result<(), Reason> {
    require(payer.is_writable(), Reason::NotWritable)?;
    let accounts = [
        InstructionAccount::writable_signer(payer.address()),
        InstructionAccount::writable(target.address()),
    ];
    let mut data = [0; 12];
    data[0] = TRANSFER;
    data[4..].copy_from_slice(&amount.to_le_bytes());
    let instruction = InstructionView { program_id: &SYSTEM, accounts: &accounts, data: &data };
    Ok(invoke(&instruction, &[payer, target])?)
}

/// Opens an owner's credit, if it is not open yet.
pub fn open_credit(
    program: &Address,
    payer: &AccountView,
    owner: &Key,
    credit: &mut AccountView,
) -> Result<(), Reason> {
    require(credit.is_writable(), Reason::NotWritable)?;
    if credit.owned_by(program) {
        let found = Credit::load(program, credit)?;
        return require(&found.owner == owner, Reason::WrongAccount);
    }
    let seeds: [&[u8]; 2] = [b"credit", owner];
    let opening = Opening { program, payer, seeds: &seeds, space: Credit::SIZE, extra: 0 };
    let bump = opening.make(credit)?;
    let record =
        Credit { kind: Credit::KIND, bump, unused: [0; 6], owner: *owner, amount: U64::new(0) };
    record.store(credit, &[])
}
