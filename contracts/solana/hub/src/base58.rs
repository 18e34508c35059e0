// SPDX-License-Identifier: Apache-2.0
//! Base58, as Solana writes its addresses: the hub's CAIP-10 id is hashed as text.

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// Letters of the longest 32 bytes.
const MAX: usize = 44;

/// Whether all bytes are letters of base58.
pub fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| ALPHABET.contains(byte))
}

/// Writes 32 bytes as base58 into the end of `text`; returns where it begins.
pub fn encode(bytes: &[u8; 32], text: &mut [u8; MAX]) -> usize {
    // Digits of 58, the last one lowest; `first` is the highest that is in use.
    let mut first = MAX;
    for byte in bytes {
        let mut carry = *byte as u32;
        let mut at = MAX;
        while at > first || carry != 0 {
            at -= 1;
            carry += (text[at] as u32) << 8;
            text[at] = (carry % 58) as u8;
            carry /= 58;
        }
        first = first.min(at);
    }
    // A zero byte in front is a "1", which is the digit zero.
    for byte in bytes {
        if *byte != 0 {
            break;
        }
        first -= 1;
        text[first] = 0;
    }
    for digit in &mut text[first..] {
        *digit = ALPHABET[*digit as usize];
    }
    first
}
