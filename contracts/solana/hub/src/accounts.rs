// SPDX-License-Identifier: Apache-2.0
//! The hub's accounts as they lie in memory, and the checks of whoever takes one.
//!
//! Only the hub makes accounts of its own, each at its canonical address: so an account that it owns is
//! of the kind that its first byte says, and its own fields tell which one it is.

use pinocchio::account::{Ref, RefMut};
use pinocchio::{AccountView, Address};

use crate::arguments::{bytes, Plain};
use crate::errors::{require, Reason};
use crate::limits::MAX_REGISTERED;
use crate::messages::Intent;
use crate::number::U64;
use crate::runtime::copy;

/// The system program, which owns what no program has made its own.
pub const SYSTEM: Address = Address::new_from_array([0; 32]);

pub type Key = [u8; 32];

macro_rules! record {
    ($name:ident, $kind:literal, $size:literal) => {
        // SAFETY: repr(C), and every field is a type of bytes alone.
        unsafe impl Plain for $name {}
        impl Record for $name {
            const KIND: u8 = $kind;
        }
        const _: () = assert!(core::mem::size_of::<$name>() == $size);
    };
}

/// The beginning of an account of the hub.
pub trait Record: Plain {
    const KIND: u8;
    const SIZE: usize = core::mem::size_of::<Self>();

    /// The record in an account of the hub.
    fn load<'a>(program: &Address, account: &'a AccountView) -> Result<Ref<'a, Self>, Reason> {
        require(account.owned_by(program), Reason::WrongAccount)?;
        let data = account.try_borrow()?;
        require(data.len() >= Self::SIZE && data[0] == Self::KIND, Reason::WrongAccount)?;
        // SAFETY: as many bytes as the record has, and it takes any bytes at any address.
        Ok(Ref::map(data, |data| unsafe { &*data.as_ptr().cast::<Self>() }))
    }

    /// The record in an account of the hub, to be changed.
    fn load_mut<'a>(
        program: &Address,
        account: &'a mut AccountView,
    ) -> Result<RefMut<'a, Self>, Reason> {
        require(account.is_writable(), Reason::NotWritable)?;
        drop(Self::load(program, account)?);
        let data = account.try_borrow_mut()?;
        // SAFETY: `load` has just looked at its size.
        Ok(RefMut::map(data, |data| unsafe { &mut *data.as_mut_ptr().cast::<Self>() }))
    }

    /// Writes a record into an account that was just made, and what follows it.
    fn store(&self, account: &mut AccountView, parts: &[&[u8]]) -> Result<(), Reason> {
        let mut data = account.try_borrow_mut()?;
        let head = bytes(core::slice::from_ref(self));
        let mut at = 0;
        for part in core::iter::once(&head).chain(parts) {
            copy(&mut data[at..at + part.len()], part);
            at += part.len();
        }
        Ok(())
    }
}

/// What initialize chose, who may pause, and which epoch and seq are next.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Config {
    pub kind: u8,
    pub bump: u8,
    pub paused: u8,
    pub unused: [u8; 5],
    pub hub_id: Key,
    pub domain: Key,
    pub genesis: Key,
    pub guardian: Key,
    pub candidate: Key,
    pub min_fee: U64,
    pub min_ttl: U64,
    pub max_ttl: U64,
    pub grace: U64,
    pub max_callback_gas: U64,
    pub first_epoch: U64,
    pub first_seq: U64,
    pub next_seq: U64,
    pub epoch: U64,
    pub previous_until: U64,
    pub slot: U64,
}
record!(Config, 1, 256);

impl Config {
    pub fn check_running(&self) -> Result<(), Reason> {
        require(self.paused == 0, Reason::Paused)
    }
}

/// Who may sign in one epoch; the signers follow, 20 bytes each, ascending.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct SignerSet {
    pub kind: u8,
    pub bump: u8,
    pub threshold: u8,
    pub size: u8,
    pub unused: [u8; 4],
    pub epoch: U64,
    pub roster_hash: Key,
}
record!(SignerSet, 2, 48);

pub const OPEN: u8 = 1;
pub const SETTLED: u8 = 2;
pub const REFUNDED: u8 = 3;

/// An intent with its escrow; payload and terms follow, each with its length in front.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Escrow {
    pub kind: u8,
    pub bump: u8,
    pub state: u8,
    pub unused: [u8; 5],
    pub nonce: U64,
    pub payer: Key,
    pub intent_id: Key,
    pub amount: U64,
    pub slot: U64,
    pub intent: Intent,
}
record!(Escrow, 3, 448);

pub const NO_CALLBACK: u8 = 0;
pub const SUCCEEDED: u8 = 1;
pub const FAILED: u8 = 2;

/// What was delivered for an intent.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Delivery {
    pub kind: u8,
    pub bump: u8,
    pub status: u8,
    pub callback: u8,
    pub signers: [u8; 4],
    pub intent_id: Key,
    pub output_hash: Key,
    pub evidence_hash: Key,
    pub deliverer: Key,
    pub epoch: U64,
    pub delivered_at: U64,
    pub deadline: U64,
    pub slot: U64,
}
record!(Delivery, 4, 168);

/// What an account can withdraw.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Credit {
    pub kind: u8,
    pub bump: u8,
    pub unused: [u8; 6],
    pub owner: Key,
    pub amount: U64,
}
record!(Credit, 5, 48);

/// Arguments of a call that does not fit one transaction; they follow.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Staging {
    pub kind: u8,
    pub bump: u8,
    pub unused: [u8; 6],
    pub writer: Key,
    pub id: U64,
}
record!(Staging, 6, 48);

/// An account that a consumer's callback takes.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Registered {
    pub key: Key,
    pub writable: u8,
}
// SAFETY: repr(C), and every field is a type of bytes alone.
unsafe impl Plain for Registered {}

/// What a consumer's callback takes.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Registry {
    pub kind: u8,
    pub bump: u8,
    pub signer_bump: u8,
    pub count: u8,
    pub unused: [u8; 4],
    pub consumer: Key,
    pub accounts: [Registered; MAX_REGISTERED],
}
record!(Registry, 7, 568);

/// Refuses an account that does not sign.
pub fn signer(account: &AccountView) -> Result<(), Reason> {
    require(account.is_signer(), Reason::MissingSignature)
}

/// Refuses an account that is not the system program.
pub fn system(account: &AccountView) -> Result<(), Reason> {
    require(account.address() == &SYSTEM, Reason::WrongAccount)
}

/// Moves lamports of an account of the hub to another account.
pub fn pay(from: &mut AccountView, to: &mut AccountView, amount: u64) -> Result<(), Reason> {
    require(to.is_writable(), Reason::NotWritable)?;
    from.set_lamports(from.lamports().checked_sub(amount).ok_or(Reason::Overflow)?);
    to.set_lamports(to.lamports().checked_add(amount).ok_or(Reason::Overflow)?);
    Ok(())
}

/// Closes an account of the hub and moves all its lamports to whom they belong.
pub fn dissolve(account: &mut AccountView, receiver: &mut AccountView) -> Result<(), Reason> {
    require(account.is_writable(), Reason::NotWritable)?;
    require(account.address() != receiver.address(), Reason::WrongAccount)?;
    pay(account, receiver, account.lamports())?;
    Ok(account.close()?)
}
