// SPDX-License-Identifier: Apache-2.0
//! The signer sets of a hub: who may sign, how many must, and how one set names the next.
//!
//! Two sets count at most: the current one, and the one before it until a time. The signers of older
//! epochs stay readable, so that the bitmap of an old delivery keeps its meaning.

use cosmwasm_schema::cw_serde;
use cosmwasm_std::{Api, DepsMut, Env, Event, Response, Storage};
use cw_storage_plus::{Item, Map};
use vagus_interface::{Bytes, Hex, Rotation, Signer, Word};

use crate::config::load_on_chain;
use crate::error::{ensure, Error};
use crate::hashing::{keccak, signers_hash, Signed};

const MAX_SIGNERS: usize = 32;
const ROTATION_WINDOW: u64 = 7 * 86_400;
/// Half the order of secp256k1: a higher s is the malleated twin of a lower one (EIP-2).
const HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0x5d, 0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

pub const HEAD: Item<Head> = Item::new("head");
/// By epoch.
pub const SETS: Map<u64, SignerSet> = Map::new("sets");

#[cw_serde]
pub struct Head {
    pub epoch: u64,
    /// Until when the previous set counts; zero before the first rotation.
    pub previous_until: u64,
    pub roster_hash: Word,
}

#[cw_serde]
pub struct SignerSet {
    pub threshold: u64,
    /// Ascending.
    pub signers: Vec<Signer>,
}

/// Install the next set at once; works while paused. The set that signed goes on counting for the
/// grace, and the one before it ends now.
pub fn rotate(
    deps: DepsMut,
    env: Env,
    rotation: Rotation,
    signers: Vec<Signer>,
    signatures: Vec<Bytes>,
) -> Result<Response, Error> {
    let config = load_on_chain(deps.storage, &env)?;
    ensure(signers.len() <= MAX_SIGNERS, Error::TooManySigners)?;
    let head = HEAD.load(deps.storage)?;
    let [epoch, valid_from, threshold] =
        [rotation.epoch, rotation.valid_from, rotation.threshold].map(|number| number.u64());
    let now = env.block.time.seconds();
    ensure(head.epoch.checked_add(1) == Some(epoch), Error::NotTheNextEpoch)?;
    ensure(valid_from <= now, Error::RotationTooEarly)?;
    ensure(now - valid_from <= ROTATION_WINDOW, Error::RotationTooLate)?;
    ensure(signers_hash(&signers) == rotation.signers_hash, Error::SignersDiffer)?;
    let set = SETS.load(deps.storage, head.epoch)?;
    verify_by(deps.api, rotation.digest(config.hub_id), &set, set.threshold, &signatures)?;
    let next = (epoch, signers, threshold, rotation.roster_hash);
    Ok(Response::new().add_event(install(deps.storage, next, now + config.grace)?))
}

/// Make a set (epoch, signers, threshold, roster hash) the current one, if it is one to 32 distinct
/// signers in ascending order and any two quorums of it share a signer. `previous_until` is when the
/// set before stops counting.
pub fn install(
    storage: &mut dyn Storage,
    (epoch, signers, threshold, roster_hash): (u64, Vec<Signer>, u64, Word),
    previous_until: u64,
) -> Result<Event, Error> {
    let size = signers.len() as u64;
    ensure(signers.len() <= MAX_SIGNERS, Error::TooManySigners)?;
    ensure(size != 0, Error::NoSigners)?;
    ensure(threshold <= size, Error::ThresholdOverSize)?;
    ensure(2 * threshold > size, Error::ThresholdTooLow)?;
    // Zero is never above the one before: no set has it.
    let mut last = Signer::ZERO;
    for signer in &signers {
        ensure(*signer > last, Error::SetNotAscending)?;
        last = *signer;
    }
    let event = Event::new("rotated")
        .add_attribute("epoch", epoch.to_string())
        .add_attribute("threshold", threshold.to_string())
        .add_attribute("signers", signers.iter().map(Signer::to_string).collect::<String>())
        .add_attribute("roster_hash", roster_hash.to_string())
        .add_attribute("previous_until", previous_until.to_string());
    SETS.save(storage, epoch, &SignerSet { threshold, signers })?;
    HEAD.save(storage, &Head { epoch, previous_until, roster_hash })?;
    Ok(event)
}

/// Verify signatures by the current set, or by the previous one while it still counts. `least` is
/// what the requester asks for if that is more than the threshold. Who signed: bit i is the set's
/// signer i.
pub fn verify(
    storage: &dyn Storage,
    api: &dyn Api,
    now: u64,
    digest: Word,
    epoch: u64,
    least: u64,
    signatures: &[Bytes],
) -> Result<u64, Error> {
    let head = HEAD.load(storage)?;
    if epoch != head.epoch {
        ensure(epoch.checked_add(1) == Some(head.epoch), Error::EpochNotInForce)?;
        ensure(now <= head.previous_until, Error::EpochEnded)?;
    }
    let set = SETS.load(storage, epoch)?;
    verify_by(api, digest, &set, set.threshold.max(least), signatures)
}

/// Verify that enough signatures are given and that each is by another signer of a set.
fn verify_by(
    api: &dyn Api,
    digest: Word,
    set: &SignerSet,
    needed: u64,
    signatures: &[Bytes],
) -> Result<u64, Error> {
    ensure(signatures.len() <= MAX_SIGNERS, Error::TooManySignatures)?;
    ensure(signatures.len() as u64 >= needed, Error::TooFewSignatures)?;
    let mut last = Signer::ZERO;
    let mut bitmap = 0;
    for signature in signatures {
        let signer = recover(api, digest, &signature.0)?;
        ensure(signer > last, Error::SignaturesNotAscending)?;
        last = signer;
        let place = set.signers.binary_search(&signer).map_err(|_| Error::UnknownSigner)?;
        bitmap |= 1 << place;
    }
    Ok(bitmap)
}

/// The signer of a digest by r || s || v, with v 27 or 28 and the lower s.
fn recover(api: &dyn Api, digest: Word, signature: &[u8]) -> Result<Signer, Error> {
    ensure(signature.len() == 65, Error::SignatureLength)?;
    let v = signature[64];
    ensure(v == 27 || v == 28, Error::SignatureV)?;
    ensure(signature[32..64] <= HALF_ORDER[..], Error::SignatureHighS)?;
    let key = api
        .secp256k1_recover_pubkey(&digest.0, &signature[..64], v - 27)
        .map_err(|_| Error::SignatureInvalid)?;
    // Uncompressed: 0x04, then x and y, whose keccak256 ends in the address.
    let mut signer = [0; 20];
    signer.copy_from_slice(&keccak(&key[1..]).0[12..]);
    Ok(Hex(signer))
}
