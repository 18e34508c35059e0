"""The list of bad input on anvil: it is rejected, and nothing moves but the fee of gas."""

from collections.abc import Callable
from typing import Any

import pytest
from eth_utils import keccak, to_checksum_address

from support.anvil import Anvil
from support.contracts import RevertError, mined, reason_of
from support.hub import AGENT, FOREIGN, ZERO, HubClient, members, new_hub, word
from support.hub_cases.table import Case, Cases

ATTACKS = Cases()
# The price that every transaction here offers, and pays.
PRICE = 10**10


def state_of(hub: HubClient) -> tuple[dict[str, int], bytes]:
    """Everyone's coins, the hub's too, and the root of all that the hub keeps."""
    eth = hub.anvil.web3.eth
    everyone = [hub.contract.address, *hub.anvil.accounts]
    kept = bytes(eth.get_proof(hub.contract.address, [], "latest")["storageHash"])
    return {each: eth.get_balance(each) for each in everyone}, kept


def rejected(hub: HubClient, sender: str, data: bytes, value: int = 0) -> None:
    """Send a call's bytes, which must fail: nothing moves but the sender's fee; `RevertError`."""
    before, kept = state_of(hub)
    call = {"from": sender, "to": hub.contract.address, "data": data, "value": value}
    receipt = mined(
        hub.anvil, hub.anvil.web3.eth.send_transaction(call | {"gas": 3_000_000, "gasPrice": PRICE})
    )
    assert receipt["status"] == 0
    before[sender] -= receipt["gasUsed"] * PRICE
    assert state_of(hub) == (before, kept)
    raise RevertError(reason_of(hub.anvil, receipt["transactionHash"].hex()))


@pytest.mark.parametrize("case", ATTACKS, ids=lambda case: case.name)
def test_bad_input_is_rejected_and_moves_nothing(hub: HubClient, case: Case):
    hub.settle(hub.ask(), [(word(hub.carol), 10)])
    hub.ask()
    with pytest.raises(RevertError) as caught:
        case.act(hub)
    assert caught.value.reason == case.reason


def encoded(hub: HubClient, name: str, *arguments: Any) -> bytes:
    """A call's bytes, by web3."""
    return bytes.fromhex(hub.contract.encode_abi(name, args=arguments)[2:])


def delivery(hub: HubClient, members_who_sign: int = 3) -> bytes:
    """A right delivery."""
    intent = hub.intent()
    attestation = hub.attestation(intent)
    signatures = hub.sign("Attestation", attestation)[:members_who_sign]
    values = tuple(intent.values()), tuple(attestation.values()), b"answer", signatures
    return encoded(hub, "deliver", *values)


@ATTACKS.rejected("not the guardian", "a pause that another one signed")
def _(hub: HubClient) -> None:
    rejected(hub, hub.bob, encoded(hub, "pause"))


@ATTACKS.rejected("no credit", "a withdrawal of another one's credit")
def _(hub: HubClient) -> None:
    rejected(hub, hub.bob, encoded(hub, "withdraw"))


@ATTACKS.rejected("too few signatures", "a delivery that one of three did not sign")
def _(hub: HubClient) -> None:
    rejected(hub, hub.node, delivery(hub, 2))


@ATTACKS.rejected("fee under minimum", "a question without its fee")
def _(hub: HubClient) -> None:
    asked = AGENT, b"question", ZERO, b"", 0, FOREIGN, ZERO, 0, hub.now + 3600
    rejected(hub, hub.alice, encoded(hub, "request", *asked))


def cut(length: Callable[[int], int]) -> Callable[[HubClient], None]:
    """A right delivery of which the end is missing."""

    def act(hub: HubClient) -> None:
        data = delivery(hub)
        rejected(hub, hub.node, data[: length(len(data))])

    return act


# What is missing of a message's end reads as zeros, as everywhere on the EVM.
ATTACKS.rejected("signature v", "a message without its last word")(cut(lambda size: size - 32))
# And what can't be a call at all is rejected without a word, by the ABI.
ATTACKS.rejected("", "a message cut in half")(cut(lambda size: size // 2))
ATTACKS.rejected("", "a message of its selector alone")(cut(lambda _: 4))
ATTACKS.rejected("", "a message of three bytes")(cut(lambda _: 3))


@ATTACKS.rejected("", "coins with a delivery")
def _(hub: HubClient) -> None:
    rejected(hub, hub.node, delivery(hub), 1)


@ATTACKS.rejected("", "coins without a call")
def _(hub: HubClient) -> None:
    rejected(hub, hub.bob, b"", 10**18)


def test_coins_at_a_hubs_address_before_it_exists_are_nobodys(anvil: Anvil):
    deployer = anvil.accounts[0]
    nonce = anvil.web3.eth.get_transaction_count(deployer)
    # CREATE: the hash of the RLP of the deployer's address and nonce.
    number = nonce.to_bytes((nonce.bit_length() + 7) // 8)
    if nonce >= 0x80:
        number = bytes([0x80 + len(number)]) + number
    body = b"\x94" + bytes.fromhex(deployer[2:]) + (number or b"\x80")
    place = to_checksum_address(keccak(bytes([0xC0 + len(body)]) + body)[12:])
    sent = anvil.web3.eth.send_transaction({"from": anvil.accounts[5], "to": place, "value": 7000})
    mined(anvil, sent)
    hub = new_hub(anvil, members(4), 3, anvil.accounts[1])
    assert hub.contract.address == place
    intent = hub.ask(fee=5000)
    hub.settle(intent, [(word(hub.carol), 10)])
    for who in (hub.carol, hub.alice):
        hub.send("withdraw", sender=who)
    assert anvil.web3.eth.get_balance(place) == 7000
    for who in (deployer, hub.carol):
        with pytest.raises(RevertError, match="no credit"):
            hub.send("withdraw", sender=who)
