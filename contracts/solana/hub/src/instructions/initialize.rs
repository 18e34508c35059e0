// SPDX-License-Identifier: Apache-2.0
//! Makes the program's one config and its first signer set.

use pinocchio::{AccountView, Address};

use crate::accounts::{signer, system, Config, Key, Record};
use crate::arguments::Reader;
use crate::base58;
use crate::errors::{require, Reason};
use crate::events;
use crate::limits::{FIRST_EPOCH_WINDOW, MAX_PERIOD, MAX_SIGNERS};
use crate::messages::domain;
use crate::number::U64;
use crate::opening::Opening;
use crate::quorum::NewSet;
use crate::runtime::{keccak, Now};
use crate::Call;

/// The upgradeable loader, which keeps a program's code and who may change it in a ProgramData account.
const LOADER: Address = Address::new_from_array([
    0x02, 0xa8, 0xf6, 0x91, 0x4e, 0x88, 0xa1, 0xb0, 0xe2, 0x10, 0x15, 0x3e, 0xf7, 0x63, 0xae, 0x2b,
    0x00, 0xc2, 0xb9, 0x3d, 0x16, 0xc1, 0x24, 0xd2, 0xc0, 0x53, 0x7a, 0x10, 0x04, 0x80, 0x00, 0x00,
]);
/// How a ProgramData account begins.
const PROGRAM_DATA: [u8; 4] = [3, 0, 0, 0];

/// Payer, upgrade authority, ProgramData, config, first signer set, system program.
#[inline(never)]
pub fn process(it: &Call, accounts: &mut [AccountView]) -> Result<(), Reason> {
    let [payer, authority, program_data, config, set, system_program, ..] = accounts else {
        return Err(Reason::MissingAccounts);
    };
    let mut arguments = Reader::new(it.arguments);
    let genesis = *arguments.take::<Key>()?;
    let epoch = arguments.number()?;
    let guardian = *arguments.take::<Key>()?;
    let [min_fee, min_ttl, max_ttl, grace, max_callback_gas] = *arguments.take::<[U64; 5]>()?;
    let roster_hash = arguments.take::<Key>()?;
    let threshold = arguments.number()?;
    let signers = arguments.list::<[u8; 20]>(MAX_SIGNERS, Reason::TooManySigners)?;
    arguments.end()?;

    system(system_program)?;
    signer(authority)?;
    check_authority(it.program, program_data, authority)?;
    require(!config.owned_by(it.program), Reason::AlreadyInitialized)?;
    require(base58::is_text(&genesis), Reason::Genesis)?;
    let periods =
        min_ttl.get() <= max_ttl.get() && max_ttl.get() <= MAX_PERIOD && grace.get() <= MAX_PERIOD;
    require(periods, Reason::Periods)?;

    let now = Now::get()?;
    // It names the first set's account, so that who signs has to know it beforehand.
    let recent = epoch <= now.time && now.time - epoch <= FIRST_EPOCH_WINDOW;
    require(recent, Reason::FirstEpoch)?;
    let hub_id = hub_id(it.program, &genesis);
    // With the time in front, a hub on a chain that was reset repeats no seq.
    let first_seq =
        epoch.checked_mul(1 << 20).and_then(|seq| seq.checked_add(1)).ok_or(Reason::Overflow)?;
    let first = NewSet { epoch, threshold, roster_hash, signers };
    first.install(it.program, payer, set)?;
    let seeds: [&[u8]; 1] = [b"config"];
    let opening =
        Opening { program: it.program, payer, seeds: &seeds, space: Config::SIZE, extra: 0 };
    let bump = opening.make(config)?;
    let record = Config {
        kind: Config::KIND,
        bump,
        paused: 0,
        unused: [0; 5],
        hub_id,
        domain: domain(&hub_id),
        genesis,
        guardian,
        candidate: [0; 32],
        min_fee,
        min_ttl,
        max_ttl,
        grace,
        max_callback_gas,
        first_epoch: U64::new(epoch),
        first_seq: U64::new(first_seq),
        next_seq: U64::new(first_seq),
        epoch: U64::new(epoch),
        previous_until: U64::new(0),
        slot: U64::new(now.slot),
    };
    record.store(config, &[])?;
    first.log(0);
    events::emit(&events::GUARDIAN_CHANGED, &[&[0; 32], &guardian]);
    Ok(())
}

/// Refuses whoever may not upgrade this program, and anyone once nobody may: otherwise the first to see
/// the program could make the hub its own.
fn check_authority(
    program: &Address,
    program_data: &AccountView,
    authority: &AccountView,
) -> Result<(), Reason> {
    let found = Address::try_find_program_address(&[program.as_array()], &LOADER);
    let (address, _) = found.ok_or(Reason::WrongAccount)?;
    require(program_data.address() == &address, Reason::WrongAccount)?;
    require(program_data.owned_by(&LOADER), Reason::WrongAccount)?;
    let data = program_data.try_borrow()?;
    // The kind, a slot, one byte that says whether there is an authority, and the authority.
    let mut reader = Reader::new(&data);
    require(reader.take::<[u8; 4]>()? == &PROGRAM_DATA, Reason::WrongAccount)?;
    reader.number()?;
    require(*reader.take::<u8>()? == 1, Reason::NotTheAuthority)?;
    require(reader.take::<Key>()? == authority.address().as_array(), Reason::NotTheAuthority)
}

/// keccak256 of this program's CAIP-10 id.
fn hub_id(program: &Address, genesis: &Key) -> Key {
    let mut text = [0; 44];
    let start = base58::encode(program.as_array(), &mut text);
    keccak(&[b"solana:", genesis, b":", &text[start..]])
}
