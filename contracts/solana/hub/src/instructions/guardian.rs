// SPDX-License-Identifier: Apache-2.0
//! Who may stop the hub in an emergency. It can neither change nor take anything, and never stops rotate,
//! refund and withdraw.

use pinocchio::account::RefMut;
use pinocchio::AccountView;

use crate::accounts::{signer, Config, Key, Record};
use crate::arguments::Reader;
use crate::errors::{require, Reason};
use crate::events;
use crate::Call;

/// Guardian, config.
#[inline(never)]
pub fn pause(it: &Call, accounts: &mut [AccountView]) -> Result<(), Reason> {
    Reader::new(it.arguments).end()?;
    let (who, mut config) = read(it, accounts)?;
    require(who == config.guardian, Reason::NotTheGuardian)?;
    require(config.paused == 0, Reason::Paused)?;
    config.paused = 1;
    events::emit(&events::PAUSED, &[&who]);
    Ok(())
}

/// Guardian, config.
#[inline(never)]
pub fn unpause(it: &Call, accounts: &mut [AccountView]) -> Result<(), Reason> {
    Reader::new(it.arguments).end()?;
    let (who, mut config) = read(it, accounts)?;
    require(who == config.guardian, Reason::NotTheGuardian)?;
    require(config.paused != 0, Reason::NotPaused)?;
    config.paused = 0;
    events::emit(&events::UNPAUSED, &[&who]);
    Ok(())
}

/// Guardian, config. Nothing changes until the candidate accepts; zero takes an offer back.
#[inline(never)]
pub fn offer(it: &Call, accounts: &mut [AccountView]) -> Result<(), Reason> {
    let mut arguments = Reader::new(it.arguments);
    let candidate = arguments.take::<Key>()?;
    arguments.end()?;
    let (who, mut config) = read(it, accounts)?;
    require(who == config.guardian, Reason::NotTheGuardian)?;
    config.candidate = *candidate;
    events::emit(&events::GUARDIAN_OFFERED, &[&who, candidate]);
    Ok(())
}

/// Candidate, config.
#[inline(never)]
pub fn accept(it: &Call, accounts: &mut [AccountView]) -> Result<(), Reason> {
    Reader::new(it.arguments).end()?;
    let (who, mut config) = read(it, accounts)?;
    require(who == config.candidate, Reason::NotTheCandidate)?;
    events::emit(&events::GUARDIAN_CHANGED, &[&config.guardian, &who]);
    config.guardian = who;
    config.candidate = [0; 32];
    Ok(())
}

/// Who signs, and the config.
fn read<'a>(
    it: &Call,
    accounts: &'a mut [AccountView],
) -> Result<(Key, RefMut<'a, Config>), Reason> {
    let [who, config, ..] = accounts else {
        return Err(Reason::MissingAccounts);
    };
    signer(who)?;
    Ok((who.address().to_bytes(), Config::load_mut(it.program, config)?))
}
