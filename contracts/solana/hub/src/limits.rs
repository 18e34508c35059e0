// SPDX-License-Identifier: Apache-2.0
//! The bounds that every hub has, and those of this VM.

pub const MAX_PAYLOAD: usize = 8192;
pub const MAX_TERMS: usize = 1024;
pub const MAX_OUTPUT: usize = 8192;
pub const MAX_SIGNERS: usize = 32;
pub const MAX_PAYOUTS: usize = 34;
/// Bytes of a signature: r, s and v.
pub const SIGNATURE: usize = 65;
/// Seconds for which a failed callback may be tried again.
pub const RETRY_WINDOW: u64 = 7 * 86_400;
/// Seconds from its validFrom for which a rotation may be sent.
pub const ROTATION_WINDOW: u64 = 7 * 86_400;
/// Seconds by which the first epoch may lie back: as long as a transaction lives.
pub const FIRST_EPOCH_WINDOW: u64 = 120;
/// No deployment needs a longer period, in seconds.
pub const MAX_PERIOD: u64 = 366 * 86_400;
/// Accounts that a consumer may register for its callback.
pub const MAX_REGISTERED: usize = 16;
/// More than the arguments of any call.
pub const MAX_STAGED: usize = 12_288;
