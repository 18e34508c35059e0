// SPDX-License-Identifier: Apache-2.0
//! What the hub logs: eight bytes that name the event, then its fields in Borsh.
//!
//! Logs are cut short where there are many: they say where to look, the accounts say what is.

use crate::runtime::{copy, log};

/// The first eight bytes of sha256("event:<name>"), as Anchor names events.
pub type Name = [u8; 8];

pub const INTENT_REQUESTED: Name = *b"\x71\x73\xaf\x0f\xa9\x96\xa3\x99";
pub const SETTLED: Name = *b"\xe8\xd2\x28\x11\x8e\x7c\x91\xee";
pub const REFUNDED: Name = *b"\x23\x67\x95\xf6\xc4\x7b\xdd\x63";
pub const WITHDRAWN: Name = *b"\x14\x59\xdf\xc6\xc2\x7c\xdb\x0d";
pub const DELIVERED: Name = *b"\x94\xb2\x3c\xfa\x57\x31\x95\x41";
pub const CALLBACK_RESULT: Name = *b"\xba\xca\xf9\x95\x55\xbd\xcf\xf8";
pub const ROTATED: Name = *b"\x98\x81\x7b\x63\xbc\x2d\x32\xcd";
pub const PAUSED: Name = *b"\xac\xf8\x05\xfd\x31\xff\xff\xe8";
pub const UNPAUSED: Name = *b"\x9c\x96\x2f\xae\x78\xd8\x5d\x75";
pub const GUARDIAN_OFFERED: Name = *b"\xef\x10\xaa\x6c\x30\x93\x3f\x84";
pub const GUARDIAN_CHANGED: Name = *b"\x98\xef\xd9\x18\xa2\xbd\xec\x8f";

/// The longest event: Rotated with 32 signers.
const MAX: usize = 8 + 8 + 8 + 4 + 32 * 20 + 32 + 8;

/// Logs an event of these fields.
#[inline(never)]
pub fn emit(name: &Name, fields: &[&[u8]]) {
    let mut event = [0; MAX];
    event[..8].copy_from_slice(name);
    let mut end = 8;
    for field in fields {
        copy(&mut event[end..end + field.len()], field);
        end += field.len();
    }
    log(&event[..end]);
}
