// SPDX-License-Identifier: Apache-2.0
//! Installs the next signer set at once, signed by the current one; works while paused. The set that
//! signed goes on counting for the grace, and the one before it ends now.

use pinocchio::AccountView;

use crate::accounts::{signer, system, Config, Record};
use crate::arguments::{Arguments, Reader};
use crate::errors::{require, Reason};
use crate::limits::{MAX_SIGNERS, ROTATION_WINDOW};
use crate::messages::{signers_hash, Message, Rotation};
use crate::number::U64;
use crate::quorum::{Counting, NewSet, SignerAddress};
use crate::runtime::Now;
use crate::Call;

/// What the current set signed, as it was handed over.
struct Succession<'a> {
    rotation: &'a Rotation,
    signers: &'a [SignerAddress],
    signatures: &'a [u8],
}

impl<'a> Succession<'a> {
    fn read(mut arguments: Reader<'a>) -> Result<Self, Reason> {
        let succession = Self {
            rotation: arguments.take()?,
            signers: arguments.list(MAX_SIGNERS, Reason::TooManySigners)?,
            signatures: arguments.signatures()?,
        };
        arguments.end()?;
        Ok(succession)
    }

    fn check(&self, current: u64, now: u64) -> Result<(), Reason> {
        let rotation = self.rotation;
        let next = current.checked_add(1) == Some(rotation.epoch.get());
        require(next, Reason::NotTheNextEpoch)?;
        let valid_from = rotation.valid_from.get();
        require(valid_from <= now, Reason::RotationTooEarly)?;
        require(now - valid_from <= ROTATION_WINDOW, Reason::RotationTooLate)?;
        require(signers_hash(self.signers) == rotation.signers_hash, Reason::SignersDiffer)
    }
}

/// Payer, staging, config, the current signer set, the next one, system program.
#[inline(never)]
pub fn process(it: &Call, accounts: &mut [AccountView]) -> Result<(), Reason> {
    let [payer, staging, config, current, next, system_program, ..] = accounts else {
        return Err(Reason::MissingAccounts);
    };
    let arguments = Arguments::new(it.program, it.arguments, staging, payer)?;
    let succession = Succession::read(arguments.reader())?;
    signer(payer)?;
    system(system_program)?;
    let rotation = succession.rotation;
    let now = Now::get()?.time;
    let until = {
        let config = Config::load(it.program, config)?;
        let epoch = config.epoch.get();
        succession.check(epoch, now)?;
        Counting::in_force(it.program, &config, current, epoch, now)?
            .verify(&rotation.digest(&config.domain), succession.signatures)?;
        now.checked_add(config.grace.get()).ok_or(Reason::Overflow)?
    };
    let set = NewSet {
        epoch: rotation.epoch.get(),
        threshold: rotation.threshold.get(),
        roster_hash: &rotation.roster_hash,
        signers: succession.signers,
    };
    set.install(it.program, payer, next)?;
    let mut config = Config::load_mut(it.program, config)?;
    config.epoch = rotation.epoch;
    config.previous_until = U64::new(until);
    set.log(until);
    Ok(())
}
