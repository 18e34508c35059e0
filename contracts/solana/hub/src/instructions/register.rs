// SPDX-License-Identifier: Apache-2.0
//! Lets a program say which accounts its callback takes.

use pinocchio::{AccountView, Address};

use crate::accounts::{signer, system, Record, Registered, Registry};
use crate::arguments::{bytes, bytes_mut, Reader};
use crate::errors::{require, Reason};
use crate::limits::MAX_REGISTERED;
use crate::opening::{derived, Opening};
use crate::runtime::copy;
use crate::Call;

/// Payer, the consumer's authority, consumer program, its registry, system program.
#[inline(never)]
pub fn process(it: &Call, accounts: &mut [AccountView]) -> Result<(), Reason> {
    let [payer, authority, consumer, registry, system_program, ..] = accounts else {
        return Err(Reason::MissingAccounts);
    };
    let mut arguments = Reader::new(it.arguments);
    let listed = arguments.list::<Registered>(MAX_REGISTERED, Reason::TooManyAccounts)?;
    arguments.end()?;
    require(listed.iter().all(|account| account.writable <= 1), Reason::Arguments)?;
    signer(payer)?;
    system(system_program)?;
    signer(authority)?;
    require(consumer.executable(), Reason::NotTheConsumer)?;
    // Only the consumer program itself can sign for this address.
    let owned = derived(consumer.address(), authority, &[b"vagus"]);
    require(owned.is_ok(), Reason::NotTheConsumer)?;

    let consumer = consumer.address().to_bytes();
    if !registry.owned_by(it.program) {
        let seeds: [&[u8]; 2] = [b"registry", &consumer];
        let opening =
            Opening { program: it.program, payer, seeds: &seeds, space: Registry::SIZE, extra: 0 };
        let bump = opening.make(registry)?;
        let found = Address::try_find_program_address(&[b"callback", &consumer], it.program);
        let (_, signer_bump) = found.ok_or(Reason::WrongAccount)?;
        let record = Registry {
            kind: Registry::KIND,
            bump,
            signer_bump,
            count: 0,
            unused: [0; 4],
            consumer,
            accounts: [Registered { key: [0; 32], writable: 0 }; MAX_REGISTERED],
        };
        record.store(registry, &[])?;
    }
    let mut record = Registry::load_mut(it.program, registry)?;
    require(record.consumer == consumer, Reason::WrongAccount)?;
    record.count = listed.len() as u8;
    copy(bytes_mut(&mut record.accounts[..listed.len()]), bytes(listed));
    Ok(())
}
