// SPDX-License-Identifier: Apache-2.0
//! Print the JSON schemas of the hub's messages and answers, and of what it tells a callback.

use cosmwasm_schema::{generate_api, schema_for};
use cosmwasm_std::to_json_string;
use vagus_interface::{CallbackMsg, ExecuteMsg, InstantiateMsg, QueryMsg};

fn main() {
    let api = generate_api! {
        name: "hub",
        instantiate: InstantiateMsg,
        execute: ExecuteMsg,
        query: QueryMsg,
    };
    let hub = api.render().to_string().expect("a schema is JSON");
    let callback = to_json_string(&schema_for!(CallbackMsg)).expect("a schema is JSON");
    println!("{{\"hub\":{hub},\"callback\":{callback}}}");
}
