// SPDX-License-Identifier: Apache-2.0
//! Bytes as lower-case hex: one spelling, so that equal bytes are equal text on every path.

use std::fmt;

use cosmwasm_std::{CanonicalAddr, StdError, StdResult};
use schemars::gen::SchemaGenerator;
use schemars::schema::{InstanceType, Schema, SchemaObject, StringValidation};
use schemars::JsonSchema;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Exactly N bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hex<const N: usize>(pub [u8; N]);

/// 32 bytes: a hash, an id, or an address of any chain.
pub type Word = Hex<32>;

/// A committee member's Ethereum address.
pub type Signer = Hex<20>;

/// Any number of bytes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

const DIGITS: &[u8; 16] = b"0123456789abcdef";
/// Bytes of an account's address; a contract's has as many as a word.
const SHORT: usize = 20;

impl<const N: usize> Hex<N> {
    pub const ZERO: Self = Self([0; N]);

    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }
}

impl Word {
    /// The word of an address: 20 bytes are padded on the left, 32 stay as they are. None for another
    /// length, and for 32 bytes that would be read back as 20.
    pub fn of_address(canonical: &[u8]) -> Option<Self> {
        let mut word = [0; 32];
        match canonical.len() {
            SHORT => word[32 - SHORT..].copy_from_slice(canonical),
            32 => word.copy_from_slice(canonical),
            _ => return None,
        }
        let read_back = Self(word).address().len();
        (read_back == canonical.len()).then_some(Self(word))
    }

    /// The address in a word: 20 bytes if and only if the first twelve are zero, else all 32.
    pub fn address(&self) -> CanonicalAddr {
        let start = if self.0[..32 - SHORT].iter().all(|byte| *byte == 0) { 32 - SHORT } else { 0 };
        CanonicalAddr::from(&self.0[start..])
    }
}

impl TryFrom<&[u8]> for Word {
    type Error = StdError;

    fn try_from(bytes: &[u8]) -> StdResult<Self> {
        bytes.try_into().map(Self).map_err(|_| StdError::invalid_data_size(32, bytes.len()))
    }
}

fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)] as char);
        text.push(DIGITS[usize::from(byte & 15)] as char);
    }
    text
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// None for an odd number of digits and for anything but lower-case hex.
fn decode(text: &str) -> Option<Vec<u8>> {
    if text.len() % 2 != 0 {
        return None;
    }
    text.as_bytes().chunks(2).map(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?)).collect()
}

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&encode(&self.0))
    }
}

impl<const N: usize> fmt::Debug for Hex<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(&encode(&self.0))
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encode(&self.0))
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encode(&self.0))
    }
}

struct HexVisitor;

impl Visitor<'_> for HexVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("lower-case hex")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<u8>, E> {
        decode(text).ok_or_else(|| E::custom("not lower-case hex"))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = deserializer.deserialize_str(HexVisitor)?;
        let length = bytes.len();
        let fixed = bytes.try_into();
        fixed.map(Self).map_err(|_| D::Error::custom(format_args!("{length} bytes, not {N}")))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(HexVisitor).map(Self)
    }
}

/// A string that matches a pattern.
fn text(pattern: String) -> Schema {
    Schema::Object(SchemaObject {
        instance_type: Some(InstanceType::String.into()),
        string: Some(Box::new(StringValidation { pattern: Some(pattern), ..Default::default() })),
        ..Default::default()
    })
}

impl<const N: usize> JsonSchema for Hex<N> {
    fn schema_name() -> String {
        format!("Hex{N}")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        text(format!("^[0-9a-f]{{{}}}$", 2 * N))
    }
}

impl JsonSchema for Bytes {
    fn schema_name() -> String {
        "Bytes".to_string()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        text("^([0-9a-f]{2})*$".to_string())
    }
}
