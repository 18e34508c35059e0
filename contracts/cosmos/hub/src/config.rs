// SPDX-License-Identifier: Apache-2.0
//! Which hub this is and what its deployment chose, for good.

use cosmwasm_schema::cw_serde;
use cosmwasm_std::{Env, StdResult, Storage, Uint128};
use cw_storage_plus::Item;
use sha2::{Digest, Sha256};
use vagus_interface::{Hex, InstantiateMsg, Word};

use crate::error::{ensure, Error};
use crate::hashing::keccak;

/// No deployment needs more, and sums of times stay far from the end of 64 bits.
const MAX_PERIOD: u64 = 366 * 86_400;

const CONFIG: Item<Config> = Item::new("config");

#[cw_serde]
pub struct Config {
    pub chain_id: String,
    pub hub_id: Word,
    /// The deployment's chain time in seconds.
    pub first_epoch: u64,
    pub fee_denom: String,
    pub min_fee: Uint128,
    pub min_ttl: u64,
    pub max_ttl: u64,
    pub grace: u64,
    pub max_callback_gas: u64,
}

/// Check and keep the settings.
pub fn install(
    storage: &mut dyn Storage,
    env: &Env,
    msg: &InstantiateMsg,
) -> Result<Config, Error> {
    let [min_ttl, max_ttl, grace] =
        [msg.min_ttl, msg.max_ttl, msg.grace].map(|period| period.u64());
    ensure(min_ttl <= max_ttl && max_ttl <= MAX_PERIOD && grace <= MAX_PERIOD, Error::Periods)?;
    let chain_id = env.block.chain_id.clone();
    let hub = format!("{}:{}", caip2(&chain_id), env.contract.address);
    let config = Config {
        hub_id: keccak(hub.as_bytes()),
        chain_id,
        first_epoch: env.block.time.seconds(),
        fee_denom: msg.fee_denom.clone(),
        min_fee: msg.min_fee,
        min_ttl,
        max_ttl,
        grace,
        max_callback_gas: msg.max_callback_gas.u64(),
    };
    CONFIG.save(storage, &config)?;
    Ok(config)
}

/// The settings, on whatever chain this is.
pub fn load(storage: &dyn Storage) -> StdResult<Config> {
    CONFIG.load(storage)
}

/// The settings; refused on a fork with another chain id, since signatures are for the hub of the
/// old one.
pub fn load_on_chain(storage: &dyn Storage, env: &Env) -> Result<Config, Error> {
    let config = load(storage)?;
    ensure(env.block.chain_id == config.chain_id, Error::WrongChain)?;
    Ok(config)
}

/// The CAIP-2 id of a Cosmos chain (CAIP-5).
fn caip2(chain_id: &str) -> String {
    let allowed = |letter: u8| letter.is_ascii_alphanumeric() || letter == b'-';
    let plain = (1..=32).contains(&chain_id.len()) && chain_id.bytes().all(allowed);
    if plain && !chain_id.starts_with("hashed-") {
        return format!("cosmos:{chain_id}");
    }
    let mut hash = [0; 8];
    hash.copy_from_slice(&Sha256::digest(chain_id)[..8]);
    format!("cosmos:hashed-{}", Hex(hash))
}
