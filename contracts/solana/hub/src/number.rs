// SPDX-License-Identifier: Apache-2.0
//! Numbers as they lie in accounts and arguments, at any address.

/// A little-endian u64 without alignment.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct U64([u8; 8]);

impl U64 {
    pub const fn new(value: u64) -> Self {
        Self(value.to_le_bytes())
    }

    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    pub const fn bytes(&self) -> &[u8; 8] {
        &self.0
    }

    pub const fn get(self) -> u64 {
        u64::from_le_bytes(self.0)
    }

    /// As a word of EIP-712 ends.
    pub const fn big_endian(self) -> [u8; 8] {
        self.get().to_be_bytes()
    }
}

/// A big-endian uint256.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct U256(pub [u8; 32]);

impl U256 {
    pub fn new(value: u64) -> Self {
        let mut word = [0; 32];
        word[24..].copy_from_slice(&value.to_be_bytes());
        Self(word)
    }

    /// The number, unless it is over the largest amount of lamports.
    pub fn lamports(&self) -> Option<u64> {
        let (head, tail) = self.0.split_at(24);
        if head.iter().any(|byte| *byte != 0) {
            return None;
        }
        let mut low = [0; 8];
        low.copy_from_slice(tail);
        Some(u64::from_be_bytes(low))
    }
}
