// SPDX-License-Identifier: Apache-2.0
//! Who may sign, how many must, and how one set names the next.
//!
//! Two sets count at most: the current one, and the one before it until a time. The accounts of older
//! epochs stay, so that the bitmap of an old delivery keeps its meaning.

use core::cmp::Ordering;

use pinocchio::{AccountView, Address};

use crate::accounts::{Config, Key, Record, SignerSet};
use crate::arguments::bytes;
use crate::errors::{require, Reason};
use crate::events;
use crate::limits::SIGNATURE;
use crate::number::U64;
use crate::opening::Opening;
use crate::runtime::recover;

pub type SignerAddress = [u8; 20];

/// Half the order of secp256k1: a higher s is the malleated twin of a lower one (EIP-2).
const HALF_ORDER: Key = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

/// A set's size and threshold, with the account that holds its signers.
pub struct Counting<'a> {
    program: &'a Address,
    account: &'a AccountView,
    epoch: u64,
    needed: u64,
}

impl<'a> Counting<'a> {
    /// The set that an epoch names, if it counts now: the current one, or the previous one in its grace.
    pub fn in_force(
        program: &'a Address,
        config: &Config,
        account: &'a AccountView,
        epoch: u64,
        now: u64,
    ) -> Result<Self, Reason> {
        let current = config.epoch.get();
        if epoch != current {
            require(epoch.checked_add(1) == Some(current), Reason::EpochNotInForce)?;
            require(now <= config.previous_until.get(), Reason::EpochEnded)?;
        }
        Ok(Self { program, account, epoch, needed: 0 })
    }

    /// Asks for more signatures than the threshold, where `least` is more.
    pub fn at_least(mut self, least: u64) -> Self {
        self.needed = least;
        self
    }

    /// Verifies that enough signatures are given and that each is by another signer of the set.
    /// Returns who signed: bit i is the set's signer i.
    #[inline(never)]
    pub fn verify(&self, digest: &Key, signatures: &[u8]) -> Result<u32, Reason> {
        let set = SignerSet::load(self.program, self.account)?;
        require(set.epoch.get() == self.epoch, Reason::WrongAccount)?;
        require(signatures.len() % SIGNATURE == 0, Reason::SignatureLength)?;
        let count = signatures.len() / SIGNATURE;
        let needed = self.needed.max(set.threshold as u64);
        require(count as u64 >= needed, Reason::TooFewSignatures)?;
        let data = self.account.try_borrow()?;
        let mut members = data[SignerSet::SIZE..].chunks_exact(20).take(set.size as usize);

        let mut last: SignerAddress = [0; 20];
        let mut position = 0;
        let mut bitmap = 0;
        for signature in signatures.chunks_exact(SIGNATURE) {
            let signer = recovered(digest, signature)?;
            require(order(&signer, &last) == Ordering::Greater, Reason::NotAscending)?;
            last = signer;
            // Both lists ascend, so each search goes on where the last one ended.
            loop {
                let member = members.next().ok_or(Reason::UnknownSigner)?;
                let bit = 1u32 << position;
                position += 1;
                if member == signer {
                    bitmap |= bit;
                    break;
                }
            }
        }
        Ok(bitmap)
    }
}

/// The signer of a digest by r, s and v, with v 27 or 28 and the lower s.
fn recovered(digest: &Key, signature: &[u8]) -> Result<SignerAddress, Reason> {
    let mut pair = [0; 64];
    pair.copy_from_slice(&signature[..64]);
    let recovery = match signature[64] {
        27 => 0,
        28 => 1,
        _ => return Err(Reason::SignatureV),
    };
    require(order(&pair[32..], &HALF_ORDER) != Ordering::Greater, Reason::SignatureHighS)?;
    recover(digest, recovery, &pair).ok_or(Reason::SignatureInvalid)
}

/// Compares numbers as big-endian bytes of one length.
fn order(left: &[u8], right: &[u8]) -> Ordering {
    for (a, b) in left.iter().zip(right) {
        if a != b {
            return a.cmp(b);
        }
    }
    Ordering::Equal
}

/// A set that may be installed: one to 32 distinct signers in ascending order, of which any two quorums
/// share one.
pub struct NewSet<'a> {
    pub epoch: u64,
    pub threshold: u64,
    pub roster_hash: &'a Key,
    pub signers: &'a [SignerAddress],
}

impl NewSet<'_> {
    /// Checks the set and writes it into an account of its own.
    #[inline(never)]
    pub fn install(
        &self,
        program: &Address,
        payer: &AccountView,
        account: &mut AccountView,
    ) -> Result<(), Reason> {
        let size = self.signers.len();
        require(size != 0, Reason::NoSigners)?;
        require(self.threshold <= size as u64, Reason::ThresholdOverSize)?;
        require(2 * self.threshold > size as u64, Reason::ThresholdTooLow)?;
        let mut last: SignerAddress = [0; 20];
        for signer in self.signers {
            require(order(signer, &last) == Ordering::Greater, Reason::SetNotAscending)?;
            last = *signer;
        }
        let epoch = self.epoch.to_le_bytes();
        let seeds: [&[u8]; 2] = [b"signers", &epoch];
        let space = SignerSet::SIZE + 20 * size;
        let bump = Opening { program, payer, seeds: &seeds, space, extra: 0 }.make(account)?;
        let record = SignerSet {
            kind: SignerSet::KIND,
            bump,
            threshold: self.threshold as u8,
            size: size as u8,
            unused: [0; 4],
            epoch: U64::new(self.epoch),
            roster_hash: *self.roster_hash,
        };
        record.store(account, &[bytes(self.signers)])
    }

    /// Logs that the set is the current one, and until when the one before it counts.
    pub fn log(&self, previous_until: u64) {
        let count = (self.signers.len() as u32).to_le_bytes();
        events::emit(
            &events::ROTATED,
            &[
                &self.epoch.to_le_bytes(),
                &self.threshold.to_le_bytes(),
                &count,
                bytes(self.signers),
                self.roster_hash,
                &previous_until.to_le_bytes(),
            ],
        );
    }
}
