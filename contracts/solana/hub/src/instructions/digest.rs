// SPDX-License-Identifier: Apache-2.0
//! A view: the hashes of the protocol, for any hub, as return data.

use pinocchio::cpi::set_return_data;

use crate::accounts::Key;
use crate::arguments::{Plain, Reader};
use crate::errors::Reason;
use crate::limits::{MAX_PAYOUTS, MAX_SIGNERS, MAX_STAGED};
use crate::messages::{
    domain, payouts_hash, signers_hash, Attestation, Intent, Message, Payout, Receipt, Rotation,
};
use crate::quorum::SignerAddress;
use crate::Call;

#[inline(never)]
pub fn process(it: &Call) -> Result<(), Reason> {
    let mut arguments = Reader::new(it.arguments);
    let kind = *arguments.take::<u8>()?;
    let hub_id = arguments.take::<Key>()?;
    let bytes = arguments.bytes(MAX_STAGED, Reason::Arguments)?;
    arguments.end()?;
    let hash = match kind {
        0 => message::<Intent>(bytes)?.struct_hash(),
        1 => message::<Attestation>(bytes)?.digest(&domain(hub_id)),
        2 => message::<Receipt>(bytes)?.digest(&domain(hub_id)),
        3 => message::<Rotation>(bytes)?.digest(&domain(hub_id)),
        4 => payouts_hash(list::<Payout>(bytes, MAX_PAYOUTS, Reason::TooManyPayouts)?),
        5 => signers_hash(list::<SignerAddress>(bytes, MAX_SIGNERS, Reason::TooManySigners)?),
        _ => return Err(Reason::Arguments),
    };
    set_return_data(&hash);
    Ok(())
}

fn list<T: Plain>(bytes: &[u8], maximum: usize, over: Reason) -> Result<&[T], Reason> {
    let mut reader = Reader::new(bytes);
    let items = reader.list(maximum, over)?;
    reader.end()?;
    Ok(items)
}

fn message<T: Plain>(bytes: &[u8]) -> Result<&T, Reason> {
    let mut reader = Reader::new(bytes);
    let message = reader.take()?;
    reader.end()?;
    Ok(message)
}
