// SPDX-License-Identifier: Apache-2.0
//! What a contract exchanges with a vagus hub on a Cosmos chain: messages, answers, the callback.
//!
//! Bytes are lower-case hex without a prefix, numbers are decimal strings, addresses are words.
//! docs/hub-cosmos.md explains the calls.

pub mod answers;
pub mod hex;
pub mod messages;
pub mod msg;

pub use answers::{
    CallbackOutcome, Committee, Config, Delivery, IntentState, PreviousSet, Requested, State,
};
pub use hex::{Bytes, Hex, Signer, Word};
pub use messages::{Attestation, Intent, Payout, Receipt, Rotation};
pub use msg::{CallbackMsg, ExecuteMsg, InstantiateMsg, Outcome, QueryMsg, Question};
