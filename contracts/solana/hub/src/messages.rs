// SPDX-License-Identifier: Apache-2.0
//! EIP-712 hashes of the four messages, and the hashes of the lists that they commit to.
//!
//! A message is handed over without the zeros of its words. To be hashed, each field is widened to a word
//! of 32 bytes behind the type's hash.

use crate::accounts::Key;
use crate::arguments::{bytes, Plain};
use crate::number::{U256, U64};
use crate::runtime::keccak;

const DOMAIN_TYPE: &[u8] = b"EIP712Domain(string name,string version,bytes32 salt)";

/// A struct of EIP-712 whose fields are bytes32, uint256 and uint64.
pub trait Message: Plain {
    const TYPE: &'static [u8];

    /// The fields as words, in the struct's order; `words` has as many places.
    fn words(&self, words: &mut Words);

    /// EIP-712's hashStruct.
    #[inline(never)]
    fn struct_hash(&self) -> Key {
        let mut words = Words { bytes: [0; 15 * 32], used: 32 };
        words.bytes[..32].copy_from_slice(&keccak(&[Self::TYPE]));
        self.words(&mut words);
        keccak(&[&words.bytes[..words.used]])
    }

    /// What a committee signs for the hub of this domain.
    fn digest(&self, domain: &Key) -> Key {
        keccak(&[b"\x19\x01", domain, &self.struct_hash()])
    }
}

/// Words behind a type's hash.
pub struct Words {
    bytes: [u8; 15 * 32],
    used: usize,
}

impl Words {
    fn word(&mut self, word: &[u8; 32]) {
        self.bytes[self.used..self.used + 32].copy_from_slice(word);
        self.used += 32;
    }

    fn number(&mut self, number: U64) {
        self.bytes[self.used + 24..self.used + 32].copy_from_slice(&number.big_endian());
        self.used += 32;
    }
}

/// The EIP-712 domain separator of a hub: ("vagus", "1", salt = the hub's id).
pub fn domain(hub_id: &Key) -> Key {
    let (kind, name, version) = (keccak(&[DOMAIN_TYPE]), keccak(&[b"vagus"]), keccak(&[b"1"]));
    keccak(&[&kind, &name, &version, hub_id])
}

/// keccak256 of the addresses, each padded on the left to 32 bytes.
pub fn signers_hash(signers: &[[u8; 20]]) -> Key {
    let mut words = [0; 32 * 32];
    for (word, signer) in words.chunks_exact_mut(32).zip(signers) {
        word[12..].copy_from_slice(signer);
    }
    keccak(&[&words[..32 * signers.len()]])
}

/// keccak256 of the payouts, 64 bytes each.
pub fn payouts_hash(payouts: &[Payout]) -> Key {
    keccak(&[bytes(payouts)])
}

macro_rules! message {
    ($name:ident, $size:literal, $type:literal, $($kind:ident $field:ident: $rust:ty,)*) => {
        #[derive(Clone, Copy)]
        #[repr(C)]
        pub struct $name {
            $(pub $field: $rust,)*
        }
        // SAFETY: repr(C), and every field is a type of bytes alone.
        unsafe impl Plain for $name {}
        const _: () = assert!(core::mem::size_of::<$name>() == $size);
        impl Message for $name {
            const TYPE: &'static [u8] = $type;
            fn words(&self, words: &mut Words) {
                $(message!(@$kind words, self.$field);)*
            }
        }
    };
    (@bytes32 $words:ident, $value:expr) => { $words.word(&$value) };
    (@uint256 $words:ident, $value:expr) => { $words.word(&$value.0) };
    (@uint64 $words:ident, $value:expr) => { $words.number($value) };
}

message! {
    Intent, 352,
    b"Intent(bytes32 originHub,uint64 seq,bytes32 requester,bytes32 agentId,bytes32 payloadHash,bytes32 modelDigest,bytes32 termsHash,uint64 minSigners,bytes32 destHub,bytes32 callback,uint64 callbackGas,bytes32 feeAsset,uint256 maxFee,uint64 deadline)",
    bytes32 origin_hub: Key,
    uint64 seq: U64,
    bytes32 requester: Key,
    bytes32 agent_id: Key,
    bytes32 payload_hash: Key,
    bytes32 model_digest: Key,
    bytes32 terms_hash: Key,
    uint64 min_signers: U64,
    bytes32 dest_hub: Key,
    bytes32 callback: Key,
    uint64 callback_gas: U64,
    bytes32 fee_asset: Key,
    uint256 max_fee: U256,
    uint64 deadline: U64,
}

message! {
    Attestation, 216,
    b"Attestation(bytes32 intentId,bytes32 originHub,uint64 status,bytes32 outputHash,bytes32 agentDigest,bytes32 modelDigest,bytes32 evidenceHash,uint64 epoch,uint64 expiry)",
    bytes32 intent_id: Key,
    bytes32 origin_hub: Key,
    uint64 status: U64,
    bytes32 output_hash: Key,
    bytes32 agent_digest: Key,
    bytes32 model_digest: Key,
    bytes32 evidence_hash: Key,
    uint64 epoch: U64,
    uint64 expiry: U64,
}

message! {
    Receipt, 152,
    b"Receipt(bytes32 intentId,bytes32 destHub,uint64 status,bytes32 payoutsHash,uint256 fee,uint64 epoch,uint64 expiry)",
    bytes32 intent_id: Key,
    bytes32 dest_hub: Key,
    uint64 status: U64,
    bytes32 payouts_hash: Key,
    uint256 fee: U256,
    uint64 epoch: U64,
    uint64 expiry: U64,
}

message! {
    Rotation, 88,
    b"Rotation(uint64 epoch,bytes32 signersHash,uint64 threshold,uint64 validFrom,bytes32 rosterHash)",
    uint64 epoch: U64,
    bytes32 signers_hash: Key,
    uint64 threshold: U64,
    uint64 valid_from: U64,
    bytes32 roster_hash: Key,
}

/// Who is paid what.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Payout {
    pub payee: Key,
    pub amount: U256,
}
// SAFETY: repr(C), and every field is a type of bytes alone.
unsafe impl Plain for Payout {}
