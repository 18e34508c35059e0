// SPDX-License-Identifier: Apache-2.0
//! One file an instruction: accounts and arguments at the top, checks, then effects.

pub mod close;
pub mod deliver;
pub mod digest;
pub mod guardian;
pub mod initialize;
pub mod open_credit;
pub mod refund;
pub mod register;
pub mod request;
pub mod retry;
pub mod rotate;
pub mod settle;
pub mod staging;
pub mod withdraw;
