//! One Surfpool node on ports that the system chooses, for the tests.
//!
//! The first argument is a slot's time in milliseconds. A line of JSON says where it listens. Then
//! each line of standard input is an order: `slots N` stops the clock and adds so many slots, `run`
//! lets it go on. The node ends with standard input.
//!
//! The node tells what happens over a channel of 1,024 places, and stands still when that is full.

use std::io::BufRead;

use surfpool_sdk::{BlockProductionMode, SimnetCommand, Surfnet};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let slot_time = std::env::args().nth(1).ok_or("say a slot's time in milliseconds")?;
    let surfnet = started(slot_time.parse()?)?;
    println!(r#"{{"rpc":"{}","ws":"{}"}}"#, surfnet.rpc_url(), surfnet.ws_url());
    let events = surfnet.events().clone();
    std::thread::spawn(move || events.iter().for_each(drop));
    for line in std::io::stdin().lock().lines() {
        obey(&surfnet, &line?)?;
    }
    Ok(())
}

fn started(slot_time: u64) -> Result<Surfnet, Failure> {
    let runtime = tokio::runtime::Runtime::new()?;
    let starting = Surfnet::builder()
        .offline(true)
        .slot_time_ms(slot_time)
        .block_production_mode(BlockProductionMode::Clock)
        .start();
    Ok(runtime.block_on(starting)?)
}

fn obey(surfnet: &Surfnet, order: &str) -> Result<(), Failure> {
    match order.split_once(' ') {
        Some(("slots", count)) => {
            for _ in 0..count.parse::<u64>()? {
                surfnet.send_command(SimnetCommand::SlotForward(None))?;
            }
            Ok(())
        }
        None if order == "run" => {
            let mode = BlockProductionMode::Clock;
            Ok(surfnet.send_command(SimnetCommand::UpdateBlockProductionMode(mode))?)
        }
        _ => Err(format!("no such order: {order}").into()),
    }
}
