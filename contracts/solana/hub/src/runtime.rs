// SPDX-License-Identifier: Apache-2.0
//! What the runtime answers by syscall: time, rent, hashes, signers. No account is asked for any of it.

// The syscalls of one sysvar each, which every node has: the general one is young.
#![allow(deprecated)]

use core::mem::MaybeUninit;

use pinocchio::syscalls::{sol_get_clock_sysvar, sol_get_rent_sysvar};
use pinocchio::syscalls::{sol_keccak256, sol_log_data, sol_memcpy_, sol_secp256k1_recover};
use pinocchio::sysvars::clock::Clock;

use crate::accounts::Key;
use crate::errors::{require, Reason};

/// The bytes that an account costs beside its data.
const ACCOUNT_OVERHEAD: u64 = 128;

/// The cluster's time in unix seconds, and the slot.
pub struct Now {
    pub time: u64,
    pub slot: u64,
}

impl Now {
    pub fn get() -> Result<Self, Reason> {
        let mut clock = MaybeUninit::<Clock>::uninit();
        // SAFETY: the syscall writes a Clock.
        let failed = unsafe { sol_get_clock_sysvar(clock.as_mut_ptr().cast()) };
        require(failed == 0, Reason::Sysvar)?;
        // SAFETY: the syscall has written all of it.
        let clock = unsafe { clock.assume_init() };
        require(clock.unix_timestamp > 0, Reason::ClockUnset)?;
        Ok(Self { time: clock.unix_timestamp as u64, slot: clock.slot })
    }
}

/// What the runtime writes of its rent: lamports a byte and year, years as a double, and a share.
#[repr(C)]
struct Rent {
    price: u64,
    years: u64,
    burned: u64,
}

/// The least lamports of an account with so many bytes.
pub fn minimum_balance(space: usize) -> Result<u64, Reason> {
    let mut rent = Rent { price: 0, years: 0, burned: 0 };
    // SAFETY: the syscall writes a Rent, which is no longer.
    let failed = unsafe { sol_get_rent_sysvar((&raw mut rent).cast()) };
    require(failed == 0, Reason::Sysvar)?;
    // The price counts for two years, or for one where the cluster has doubled it instead.
    let doublings = match rent.years {
        0x4000_0000_0000_0000 => 1,
        0x3ff0_0000_0000_0000 => 0,
        _ => return Err(Reason::Sysvar),
    };
    // No product overflows: an account has no more than 2^24 bytes.
    if rent.price >> 32 != 0 || space >> 24 != 0 {
        return Err(Reason::Overflow);
    }
    Ok((ACCOUNT_OVERHEAD + space as u64).wrapping_mul(rent.price) << doublings)
}

/// keccak256 of parts one after the other.
pub fn keccak(parts: &[&[u8]]) -> Key {
    let mut hash = [0; 32];
    // SAFETY: a slice of slices is what the syscall reads, and it writes 32 bytes.
    unsafe { sol_keccak256(parts.as_ptr().cast(), parts.len() as u64, hash.as_mut_ptr()) };
    hash
}

/// The address that signed a digest, by r and s and a recovery id of 0 or 1; none where there is none.
pub fn recover(digest: &Key, recovery: u8, signature: &[u8; 64]) -> Option<[u8; 20]> {
    let mut point = [0u8; 64];
    // SAFETY: 32 and 64 bytes are read, 64 are written.
    let failed = unsafe {
        sol_secp256k1_recover(
            digest.as_ptr(),
            recovery as u64,
            signature.as_ptr(),
            point.as_mut_ptr(),
        )
    };
    if failed != 0 {
        return None;
    }
    let hash = keccak(&[&point]);
    let mut address = [0; 20];
    address.copy_from_slice(&hash[12..]);
    Some(address)
}

/// Copies bytes whose number is not known beforehand: LLVM has no such copy for this VM.
#[inline(always)]
pub fn copy(to: &mut [u8], from: &[u8]) {
    assert!(to.len() == from.len());
    // SAFETY: both have this length, and no two borrows overlap of which one is mutable.
    unsafe { sol_memcpy_(to.as_mut_ptr(), from.as_ptr(), from.len() as u64) };
}

/// Logs bytes as one field of a `Program data:` line.
pub fn log(bytes: &[u8]) {
    let fields = [bytes];
    // SAFETY: a slice of slices is what the syscall reads.
    unsafe { sol_log_data(fields.as_ptr().cast(), 1) };
}
