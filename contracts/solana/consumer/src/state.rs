// SPDX-License-Identifier: Apache-2.0
//! What the consumer keeps.

use pinocchio::account::RefMut;
use pinocchio::error::ProgramError;
use pinocchio::{AccountView, Address};

use crate::{require, Refusal};

/// Pairs of an originHub and a requester whose questions count.
pub const MAX_ALLOWED: usize = 4;
/// Bytes of the longest answer that is kept.
pub const MAX_OUTPUT: usize = 1024;

/// The account at "state": bytes alone, so that it lies there as it is.
#[repr(C)]
pub struct State {
    pub count: u8,
    pub owner: [u8; 32],
    pub hub: [u8; 32],
    pub callback_signer: [u8; 32],
    pub agent_id: [u8; 32],
    pub allowed: [[u8; 64]; MAX_ALLOWED],
    pub intent_id: [u8; 32],
    pub status: [u8; 8],
    pub length: [u8; 4],
    pub output: [u8; MAX_OUTPUT],
}

impl State {
    pub const SIZE: usize = core::mem::size_of::<Self>();

    /// The state in the one account that this program owns.
    pub fn load<'a>(
        program: &Address,
        account: &'a mut AccountView,
    ) -> Result<RefMut<'a, Self>, ProgramError> {
        let right = account.owned_by(program) && account.data_len() == Self::SIZE;
        require(right && account.is_writable(), Refusal::Accounts)?;
        let data = account.try_borrow_mut()?;
        // SAFETY: as many bytes as the state has, which takes any bytes at any address.
        Ok(RefMut::map(data, |data| unsafe { &mut *data.as_mut_ptr().cast::<Self>() }))
    }

    /// The state, for its owner alone.
    pub fn owned<'a>(
        program: &Address,
        account: &'a mut AccountView,
        owner: &AccountView,
    ) -> Result<RefMut<'a, Self>, ProgramError> {
        let state = Self::load(program, account)?;
        let may = owner.is_signer() && owner.address().as_array() == &state.owner;
        require(may, Refusal::NotTheOwner)?;
        Ok(state)
    }
}
