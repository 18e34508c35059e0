// SPDX-License-Identifier: Apache-2.0
//! EIP-712 hashes of the four messages, and the hashes of the lists that they commit to.
//!
//! Every message is a struct of static words: hashStruct is one keccak256 over its type hash and its
//! fields as words.

use cosmwasm_std::{Uint256, Uint64};
use sha3::{Digest, Keccak256};
use vagus_interface::{Attestation, Hex, Intent, Payout, Receipt, Rotation, Signer, Word};

const DOMAIN: &str = "EIP712Domain(string name,string version,bytes32 salt)";
const INTENT: &str = "Intent(bytes32 originHub,uint64 seq,bytes32 requester,bytes32 agentId,\
    bytes32 payloadHash,bytes32 modelDigest,bytes32 termsHash,uint64 minSigners,bytes32 destHub,\
    bytes32 callback,uint64 callbackGas,bytes32 feeAsset,uint256 maxFee,uint64 deadline)";
const ATTESTATION: &str = "Attestation(bytes32 intentId,bytes32 originHub,uint64 status,\
    bytes32 outputHash,bytes32 agentDigest,bytes32 modelDigest,bytes32 evidenceHash,uint64 epoch,\
    uint64 expiry)";
const RECEIPT: &str = "Receipt(bytes32 intentId,bytes32 destHub,uint64 status,\
    bytes32 payoutsHash,uint256 fee,uint64 epoch,uint64 expiry)";
const ROTATION: &str = "Rotation(uint64 epoch,bytes32 signersHash,uint64 threshold,\
    uint64 validFrom,bytes32 rosterHash)";

pub fn keccak(bytes: &[u8]) -> Word {
    Hex(Keccak256::digest(bytes).into())
}

/// A message whose digest committees sign.
pub trait Signed {
    fn struct_hash(&self) -> Word;

    /// What is signed for a hub: keccak256(0x1901 || domain separator || hashStruct).
    fn digest(&self, hub: Word) -> Word {
        let domain = struct_hash(DOMAIN, &[keccak(b"vagus"), keccak(b"1"), hub]);
        keccak(&[b"\x19\x01".as_slice(), &domain.0, &self.struct_hash().0].concat())
    }
}

impl Signed for Attestation {
    fn struct_hash(&self) -> Word {
        struct_hash(
            ATTESTATION,
            &[
                self.intent_id,
                self.origin_hub,
                number(self.status),
                self.output_hash,
                self.agent_digest,
                self.model_digest,
                self.evidence_hash,
                number(self.epoch),
                number(self.expiry),
            ],
        )
    }
}

impl Signed for Receipt {
    fn struct_hash(&self) -> Word {
        struct_hash(
            RECEIPT,
            &[
                self.intent_id,
                self.dest_hub,
                number(self.status),
                self.payouts_hash,
                amount(self.fee),
                number(self.epoch),
                number(self.expiry),
            ],
        )
    }
}

impl Signed for Rotation {
    fn struct_hash(&self) -> Word {
        struct_hash(
            ROTATION,
            &[
                number(self.epoch),
                self.signers_hash,
                number(self.threshold),
                number(self.valid_from),
                self.roster_hash,
            ],
        )
    }
}

/// An intent's id: its hashStruct. Nobody signs an intent itself.
pub fn intent_id(intent: &Intent) -> Word {
    struct_hash(
        INTENT,
        &[
            intent.origin_hub,
            number(intent.seq),
            intent.requester,
            intent.agent_id,
            intent.payload_hash,
            intent.model_digest,
            intent.terms_hash,
            number(intent.min_signers),
            intent.dest_hub,
            intent.callback,
            number(intent.callback_gas),
            intent.fee_asset,
            amount(intent.max_fee),
            number(intent.deadline),
        ],
    )
}

/// The payouts as they are hashed and told: 64 bytes each.
pub fn packed_payouts(payouts: &[Payout]) -> Vec<u8> {
    let words = payouts.iter().flat_map(|payout| [payout.payee, amount(payout.amount)]);
    words.flat_map(|word| word.0).collect()
}

/// keccak256 of the addresses, each padded on the left to 32 bytes.
pub fn signers_hash(signers: &[Signer]) -> Word {
    let padded = signers.iter().flat_map(|signer| [[0; 12].as_slice(), &signer.0].concat());
    keccak(&padded.collect::<Vec<u8>>())
}

fn struct_hash(kind: &str, words: &[Word]) -> Word {
    let mut hasher = Keccak256::new_with_prefix(Keccak256::digest(kind));
    words.iter().for_each(|word| hasher.update(word.0));
    Hex(hasher.finalize().into())
}

fn number(number: Uint64) -> Word {
    amount(Uint256::from(number))
}

fn amount(amount: Uint256) -> Word {
    Hex(amount.to_be_bytes())
}
