"""The list of bad input on wasmd: a named error, and nothing moves but the fee of gas."""

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from bech32 import bech32_encode, convertbits
from cosmpy.crypto.address import Address
from cosmpy.protos.cosmos.bank.v1beta1.query_pb2 import (
    QueryAllBalancesRequest,
    QueryAllBalancesResponse,
)
from cosmpy.protos.cosmos.bank.v1beta1.tx_pb2 import MsgSend
from cosmpy.protos.cosmos.base.query.v1beta1.pagination_pb2 import PageRequest
from cosmpy.protos.cosmos.base.v1beta1.coin_pb2 import Coin
from cosmpy.protos.cosmwasm.wasm.v1.query_pb2 import (
    QueryAllContractStateRequest,
    QueryAllContractStateResponse,
)
from cosmpy.protos.cosmwasm.wasm.v1.tx_pb2 import MsgExecuteContract

from support.hub import AGENT, FOREIGN, ZERO, members, word
from support.hub_cases.table import Case, Cases
from support.hub_cosmos import CONSUMER, HUB, CosmosHub, Puppet, new_hub
from support.wasmd import Chain, RevertError, short
from vagus.adapters.cosmos.devnet import DENOM, GAS_PRICE, PREFIX

ATTACKS = Cases()
FEE = int(5_000_000 * float(GAS_PRICE))  # of gas, which the client offers each time
State = tuple[dict[str, dict[str, int]], dict[bytes, bytes]]


def state_of(hub: CosmosHub) -> State:
    """Every coin of everyone who is known here and of the hub, and every byte that the hub keeps."""
    chain, page = hub.chain, PageRequest(limit=10_000)
    balances = {}
    for address in [hub.address, *map(chain.bech32, chain.accounts)]:
        question = QueryAllBalancesRequest(address=address, pagination=page)
        path = "/cosmos.bank.v1beta1.Query/AllBalances"
        found = chain.ask(path, question, QueryAllBalancesResponse)
        balances[address] = {coin.denom: int(coin.amount) for coin in found.balances}
    kept = QueryAllContractStateRequest(address=hub.address, pagination=page)
    path = "/cosmwasm.wasm.v1.Query/AllContractState"
    models = chain.ask(path, kept, QueryAllContractStateResponse).models
    return balances, {model.key: model.value for model in models}


def moved_nothing(hub: CosmosHub, before: State) -> None:
    """One account at most has paid for gas, once; all else is as it was."""
    (had, kept), (has, keeps) = before, state_of(hub)
    assert keeps == kept
    paid = [who for who in had if had[who] != has[who]]
    assert len(paid) <= 1
    for who in paid:
        assert has[who] == had[who] | {DENOM: had[who][DENOM] - FEE}


def request(hub: CosmosHub) -> dict[str, Any]:
    """A right question."""
    asked = (AGENT, b"question", ZERO, b"", 0, FOREIGN, ZERO, 0, hub.now + 3600)
    return hub.message("request", *asked)


def spelled(address: bytes, prefix: str) -> str:
    """An address as a chain of this prefix spells it."""
    return bech32_encode(prefix, convertbits(address, 8, 5))


def foreign(address: str) -> str:
    """The same bytes as an address of the Cosmos Hub."""
    return spelled(bytes(Address(address)), "cosmos")


@pytest.mark.parametrize("case", ATTACKS, ids=lambda case: case.name)
def test_bad_input_is_rejected_by_name_and_moves_nothing(hub: CosmosHub, case: Case):
    hub.settle(hub.ask(), [(word(hub.carol), 10)])
    hub.ask()
    before = state_of(hub)
    with pytest.raises((RevertError, RuntimeError)) as caught:
        case.act(hub)
    assert case.reason
    assert case.reason in str(caught.value)
    moved_nothing(hub, before)


@ATTACKS.rejected("pubKey does not match signer address", "a pause that the guardian did not sign")
def _(hub: CosmosHub) -> None:
    guardian = hub.chain.bech32(hub.guardian)
    pause = MsgExecuteContract(sender=guardian, contract=hub.address, msg=b'{"pause":{}}')
    hub.chain.send(pause, hub.bob)


@ATTACKS.rejected("not the guardian", "a pause that another one signed")
def _(hub: CosmosHub) -> None:
    hub.send("pause", sender=hub.bob)


@ATTACKS.rejected("no credit", "a withdrawal of another one's credit")
def _(hub: CosmosHub) -> None:
    hub.send("withdraw", sender=hub.bob)


@ATTACKS.rejected("invalid Bech32 prefix", "the hub's address under a foreign prefix")
def _(hub: CosmosHub) -> None:
    hub.chain.execute(foreign(hub.address), request(hub), hub.alice, {DENOM: 5000})


@ATTACKS.rejected("invalid Bech32 prefix", "a sender's address under a foreign prefix")
def _(hub: CosmosHub) -> None:
    sender = foreign(hub.chain.bech32(hub.carol))
    withdraw = MsgExecuteContract(sender=sender, contract=hub.address, msg=b'{"withdraw":{}}')
    hub.chain.send(withdraw, hub.carol)


@ATTACKS.rejected("denom unknown", "a coin of another denom")
def _(hub: CosmosHub) -> None:
    hub.chain.execute(hub.address, request(hub), hub.alice, {"other": 5000})


@ATTACKS.rejected("one coin only", "a coin of another denom beside the fee's")
def _(hub: CosmosHub) -> None:
    hub.chain.execute(hub.address, request(hub), hub.alice, {"other": 1, DENOM: 5000})


@ATTACKS.rejected("no funds taken", "a coin with a delivery")
def _(hub: CosmosHub) -> None:
    intent = hub.intent()
    attestation = hub.attestation(intent)
    signatures = hub.sign("Attestation", attestation)
    arguments = (tuple(intent.values()), tuple(attestation.values()), b"answer", signatures)
    hub.send("deliver", *arguments, sender=hub.node, value=1)


def cut(part: float) -> Callable[[CosmosHub], object]:
    """A right question of which the end is missing."""

    def act(hub: CosmosHub) -> None:
        text = json.dumps(request(hub)).encode()
        hub.chain.execute(hub.address, text[: int(len(text) * part)], hub.alice, {DENOM: 5000})

    return act


for name, part in {"without its last byte": 0.999, "cut in half": 0.5, "of no bytes": 0.0}.items():
    # The chain's own word: the hub never sees what is no JSON.
    ATTACKS.rejected("payload msg: invalid", f"a message {name}")(cut(part))


@ATTACKS.rejected("Error parsing into type", "a message of which a word is cut short")
def _(hub: CosmosHub) -> None:
    message = request(hub)
    message["request"]["dest_hub"] = message["request"]["dest_hub"][:-2]
    hub.chain.execute(hub.address, message, hub.alice, {DENOM: 5000})


@ATTACKS.rejected("too few signatures", "a delivery that one of three did not sign")
def _(hub: CosmosHub) -> None:
    intent = hub.intent()
    attestation = hub.attestation(intent)
    hub.deliver(intent, attestation, b"answer", hub.sign("Attestation", attestation)[:2])


# What is no error of the hub, and moves nothing all the same.


def spending(payer: str, payee: str) -> dict[str, Any]:
    """A message of a contract that would send somebody else's coins."""
    coins = [Coin(denom=DENOM, amount="1000")]
    message = MsgSend(from_address=payer, to_address=payee, amount=coins)
    value = base64.b64encode(message.SerializeToString()).decode()
    return {"any": {"type_url": "/cosmos.bank.v1beta1.MsgSend", "value": value}}


@pytest.mark.parametrize("whose", ["the deliverer's", "the hub's"])
def test_a_callback_spends_no_coins_but_its_own(hub: CosmosHub, puppet: Puppet, whose: str):
    """A consumer runs in nobody's name but its own, whoever pays for the transaction."""
    hub.ask()
    payer = hub.address if whose == "the hub's" else hub.chain.bech32(hub.node)
    puppet.script("try", msg=spending(payer, puppet.address))
    balances, _ = state_of(hub)
    hub.deliver(hub.intent(callback=puppet.word, callbackGas=10**6))
    assert puppet.seen["succeeded"] is False
    after, _ = state_of(hub)
    node = hub.chain.bech32(hub.node)
    assert after == balances | {node: balances[node] | {DENOM: balances[node][DENOM] - FEE}}
    assert hub.chain.balance(puppet.address) == 0
    # The very same message moves coins of the contract's own.
    hub.chain.pay(puppet.address, 1000)
    puppet.script("try", msg=spending(puppet.address, payer))
    hub.deliver(hub.intent(seq=8, callback=puppet.word, callbackGas=10**6))
    assert puppet.seen["succeeded"] is True


def test_another_hub_of_the_same_code_and_committee_is_not_believed(chain: Chain, hub: CosmosHub):
    """By a consumer: its hub is an address, and no name in a message."""
    trust = {"hub": hub.address, "agent_id": AGENT.hex()}
    consumer = chain.instantiate(CONSUMER, trust)
    impostor = new_hub(chain, hub.keys, 3, chain.accounts[1])
    callback = word(short(consumer))
    mine = {"originHub": hub.id, "requester": callback, "callback": callback}
    before = state_of(hub)
    intent = impostor.intent(**mine, callbackGas=400_000)
    impostor.deliver(intent)
    assert impostor.view("delivery", hub.intent_id(intent))["callback"] == "failed"
    asked = {"answer": {"intent_id": hub.intent_id(intent).hex()}}
    assert chain.query(consumer, asked) is None
    moved_nothing(hub, before)
    # From its own hub it takes the same answer.
    right = hub.intent(**mine, callbackGas=400_000)
    hub.deliver(right)
    assert hub.view("delivery", hub.intent_id(right))["callback"] == "succeeded"


def test_coins_at_a_hubs_address_before_it_exists_block_nothing_and_are_nobodys(
    chain: Chain, hub: CosmosHub
):
    code = chain.store(HUB)
    made = bytes(Address(hub.address))
    number = next(each for each in range(1, 10_000) if contract_address(code, each) == made)
    place = spelled(contract_address(code, number + 1), PREFIX)
    chain.pay(place, 7000)
    later = new_hub(chain, members(4), 3, chain.accounts[1])
    assert later.address == place
    intent = later.ask(fee=5000)
    later.settle(intent, [(word(later.carol), 10)])
    for who in (later.carol, later.alice):
        later.send("withdraw", sender=who)
    assert chain.balance(place) == 7000
    for who in (chain.accounts[0], later.carol):
        with pytest.raises(RevertError, match="no credit"):
            later.send("withdraw", sender=who)


def contract_address(code: int, number: int) -> bytes:
    """The address of a chain's contract of a number, made of this code, as wasmd hashes it (ADR-028)."""
    key = b"wasm\0" + code.to_bytes(8) + number.to_bytes(8)
    return hashlib.sha256(hashlib.sha256(b"module").digest() + key).digest()
