// SPDX-License-Identifier: Apache-2.0
//! Calls the callback of a delivered intent, while it has not succeeded and the retry window lasts.
//!
//! The consumer gets the accounts that it has registered, none of which signs, behind the one signer that
//! the hub has for this consumer alone and that owns nothing. A call that fails takes the transaction
//! with it, so nothing is written but a success.

use core::mem::MaybeUninit;

use pinocchio::cpi::{invoke_signed_with_bounds, Seed, Signer};
use pinocchio::entrypoint::HEAP_START_ADDRESS;
use pinocchio::instruction::{InstructionAccount, InstructionView};
use pinocchio::{AccountView, Address};

use crate::accounts::{signer, Config, Delivery, Key, Record, Registry, FAILED, SUCCEEDED};
use crate::arguments::{Arguments, Reader};
use crate::errors::{require, Reason};
use crate::events;
use crate::limits::{MAX_OUTPUT, MAX_REGISTERED, RETRY_WINDOW};
use crate::messages::{Intent, Message};
use crate::opening::derived;
use crate::runtime::{copy, keccak, Now};
use crate::Call;

/// The first eight bytes of sha256("global:on_result"), as Anchor names instructions.
const ON_RESULT: [u8; 8] = *b"\x17\xf7\xee\xb3\xb6\xe6\x58\x5a";
/// Name, five words, status and the output's length.
const HEAD: usize = 8 + 5 * 32 + 8 + 4;

/// Caller, staging, config, delivery, the callback's registry, the callback's program, its callback
/// signer, then what the consumer has registered.
#[inline(never)]
pub fn process(it: &Call, accounts: &mut [AccountView]) -> Result<(), Reason> {
    let [caller, staging, config, delivery, registry, consumer, callback_signer, registered @ ..] =
        accounts
    else {
        return Err(Reason::MissingAccounts);
    };
    let arguments = Arguments::new(it.program, it.arguments, staging, caller)?;
    let (intent, output) = read(arguments.reader())?;
    signer(caller)?;
    let id = intent.struct_hash();
    let maximum = {
        let config = Config::load(it.program, config)?;
        config.check_running()?;
        config.max_callback_gas.get()
    };
    let status = check(it.program, delivery, &id, output)?;

    require(consumer.address().as_array() == &intent.callback, Reason::WrongAccount)?;
    require(consumer.address() != it.program, Reason::CallbackOfHub)?;
    let callable = registry.owned_by(it.program)
        && consumer.executable()
        && intent.callback_gas.get() <= maximum;
    if !callable {
        // Nothing was registered only where the registry would be and is not.
        if !registry.owned_by(it.program) {
            derived(it.program, registry, &[b"registry", &intent.callback])?;
        }
        return report(&id, &intent.callback, false);
    }
    let registry = Registry::load(it.program, registry)?;
    require(registry.consumer == intent.callback, Reason::WrongAccount)?;
    permitted(it.program, &registry, callback_signer.address(), registered)?;
    Delivery::load_mut(it.program, delivery)?.callback = SUCCEEDED;
    let call = Callback { consumer, callback_signer, registered, registry: &registry };
    call.invoke(encode(&id, intent, status, output))?;
    report(&id, &intent.callback, true)
}

fn read<'a>(mut arguments: Reader<'a>) -> Result<(&'a Intent, &'a [u8]), Reason> {
    let intent = arguments.take()?;
    let output = arguments.bytes(MAX_OUTPUT, Reason::OutputTooLong)?;
    arguments.end()?;
    Ok((intent, output))
}

/// Refuses unless this very intent was delivered with this output and its callback is still due; returns
/// the delivery's status.
fn check(
    program: &Address,
    delivery: &AccountView,
    id: &Key,
    output: &[u8],
) -> Result<u64, Reason> {
    require(delivery.owned_by(program), Reason::NotDelivered)?;
    let found = Delivery::load(program, delivery)?;
    require(&found.intent_id == id, Reason::NotDelivered)?;
    require(found.callback == FAILED, Reason::NoFailedCallback)?;
    require(keccak(&[output]) == found.output_hash, Reason::OutputDiffers)?;
    let end = found.delivered_at.get().saturating_add(RETRY_WINDOW);
    require(Now::get()?.time <= end, Reason::RetryTooLate)?;
    Ok(found.status as u64)
}

/// Refuses accounts that are not what the consumer has registered, that sign or that are the hub's.
fn permitted(
    program: &Address,
    registry: &Registry,
    callback_signer: &Address,
    registered: &[AccountView],
) -> Result<(), Reason> {
    let wanted = &registry.accounts[..registry.count as usize];
    require(registered.len() == wanted.len(), Reason::CallbackAccounts)?;
    for (account, wanted) in registered.iter().zip(wanted) {
        let same = account.address().as_array() == &wanted.key;
        let enough = account.is_writable() || wanted.writable == 0;
        require(same && enough, Reason::CallbackAccounts)?;
        // The callback signer signs what the hub calls, and would be written too.
        let signs = account.is_signer() || account.address() == callback_signer;
        require(!signs, Reason::CallbackSigns)?;
        require(!account.owned_by(program), Reason::CallbackOfHub)?;
    }
    Ok(())
}

fn report(id: &Key, callback: &Key, success: bool) -> Result<(), Reason> {
    events::emit(&events::CALLBACK_RESULT, &[id, callback, &[success as u8]]);
    Ok(())
}

/// The callback's instruction data, in the heap: a stack frame is too small for it.
fn encode(id: &Key, intent: &Intent, status: u64, output: &[u8]) -> &'static [u8] {
    // SAFETY: the heap has 32 KiB, all zero, and nothing else in this program uses it.
    let data = unsafe { &mut *(HEAP_START_ADDRESS as *mut [u8; HEAD + MAX_OUTPUT]) };
    let words = [id, &intent.origin_hub, &intent.requester, &intent.agent_id, &intent.payload_hash];
    data[..8].copy_from_slice(&ON_RESULT);
    for (place, word) in data[8..].chunks_exact_mut(32).zip(words) {
        place.copy_from_slice(word);
    }
    data[168..176].copy_from_slice(&status.to_le_bytes());
    data[176..HEAD].copy_from_slice(&(output.len() as u32).to_le_bytes());
    copy(&mut data[HEAD..HEAD + output.len()], output);
    &data[..HEAD + output.len()]
}

struct Callback<'a> {
    consumer: &'a AccountView,
    callback_signer: &'a AccountView,
    registered: &'a [AccountView],
    registry: &'a Registry,
}

impl Callback<'_> {
    #[inline(never)]
    fn invoke(&self, data: &[u8]) -> Result<(), Reason> {
        const MAX: usize = MAX_REGISTERED + 1;
        let count = self.registered.len() + 1;
        let mut metas = [const { MaybeUninit::<InstructionAccount>::uninit() }; MAX];
        let mut views = [self.callback_signer; MAX];
        metas[0].write(InstructionAccount::readonly_signer(self.callback_signer.address()));
        for (at, account) in self.registered.iter().enumerate() {
            let writable = self.registry.accounts[at].writable != 0;
            let meta = InstructionAccount::new(account.address(), writable, false);
            metas[at + 1].write(meta);
            views[at + 1] = account;
        }
        // SAFETY: as many as `count` were written.
        let metas = unsafe { core::slice::from_raw_parts(metas.as_ptr().cast(), count) };
        let instruction =
            InstructionView { program_id: self.consumer.address(), accounts: metas, data };
        let bump = [self.registry.signer_bump];
        let seeds = [
            Seed::from(b"callback"),
            Seed::from(self.consumer.address().as_array()),
            Seed::from(&bump),
        ];
        let signs = [Signer::from(&seeds)];
        Ok(invoke_signed_with_bounds::<MAX, _>(&instruction, &views[..count], &signs)?)
    }
}
