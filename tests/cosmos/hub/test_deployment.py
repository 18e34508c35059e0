import hashlib

import pytest
from web3 import Web3

from support.hub import DAY, ROSTER, SETTINGS, ZERO, members
from support.hub_cosmos import HUB, CosmosHub, Puppet, new_hub
from support.wasmd import Chain, RevertError, running_wasmd

NOBODY = "0x" + "00" * 20


def named(chain_reference: str, address: str) -> bytes:
    """keccak256 of a hub's CAIP-10 id."""
    return bytes(Web3.keccak(text=f"cosmos:{chain_reference}:{address}"))


def test_a_hub_names_itself_by_the_live_chain_and_its_own_address(hub: CosmosHub):
    assert hub.id == named("vagus-1", hub.address)
    assert hub.address.startswith("wasm1")


@pytest.mark.parametrize("chain_id", ["vagus_9000-1", "hashed-1", "a" * 33])
def test_a_chain_whose_id_caip_2_cannot_hold_is_named_by_its_hash(chain_id: str):
    with running_wasmd(chain_id) as chain:
        hub = new_hub(chain, members(1), 1, NOBODY)
        reference = f"hashed-{hashlib.sha256(chain_id.encode()).hexdigest()[:16]}"
        assert hub.id == named(reference, hub.address)
        assert hub.config["chainId"] == chain_id
        intent = hub.intent()
        hub.deliver(intent)
        assert hub.view("delivery", hub.intent_id(intent))["status"] == 0


def test_a_hub_at_the_same_address_of_another_chain_takes_no_signature_of_this_one():
    keys = members(4)
    with running_wasmd("one-1") as one, running_wasmd("two-1") as two:
        here, there = (new_hub(chain, keys, 3, chain.accounts[1]) for chain in (one, two))
        assert here.address == there.address
        assert here.id != there.id
        intent = there.intent()
        attestation = there.attestation(intent)
        elsewhere = there.sign("Attestation", attestation, hub=here.id)
        with pytest.raises(RevertError) as caught:
            there.deliver(intent, attestation, b"answer", elsewhere)
        assert caught.value.reason == "unknown signer"
        with pytest.raises(RevertError) as caught:
            there.deliver(intent | {"destHub": here.id})
        assert caught.value.reason == "another hub's intent"


def test_the_configuration_is_what_was_deployed(chain: Chain):
    hub = new_hub(chain, members(3), 2, chain.accounts[1], minFee=5, grace=7200)
    config = hub.config
    assert {name: config[name] for name in SETTINGS} == SETTINGS | {"minFee": 5, "grace": 7200}
    assert (config["chainId"], config["feeDenom"]) == ("vagus-1", "stake")
    assert config["retryWindow"] == 7 * DAY
    assert config["guardian"] == bytes(12) + bytes.fromhex(chain.accounts[1][2:])
    assert config["pendingGuardian"] == ZERO
    assert config["paused"] is False
    assert config["firstSeq"] == config["nextSeq"] == (chain.now << 20) + 1


def test_the_first_epoch_is_the_deployments_chain_time(chain: Chain):
    keys = members(3)
    hub = new_hub(chain, keys, 2, NOBODY)
    assert hub.view("committee") == {
        "epoch": chain.now,
        "threshold": 2,
        "signers": [bytes.fromhex(key.address[2:]) for key in keys],
        "rosterHash": ROSTER,
        "previous": None,
    }


def test_a_hub_deployed_again_repeats_neither_epoch_nor_seq(chain: Chain):
    first = new_hub(chain, members(1), 1, NOBODY)
    for _ in range(3):
        first.ask()
    chain.at(chain.now + 1)
    again = new_hub(chain, members(1), 1, NOBODY)
    assert again.epoch > first.epoch
    assert again.config["firstSeq"] > first.view("config")["nextSeq"]


@pytest.mark.parametrize(
    "settings",
    [
        {"minTtl": 61, "maxTtl": 60},
        {"maxTtl": 366 * DAY + 1},
        {"grace": 366 * DAY + 1},
        {"maxTtl": 2**64 - 1},
    ],
)
def test_periods_that_could_lock_money_are_refused(chain: Chain, settings: dict[str, int]):
    with pytest.raises(RevertError) as caught:
        new_hub(chain, members(1), 1, NOBODY, **settings)
    assert caught.value.reason == "periods"


@pytest.mark.parametrize(
    ("size", "threshold", "reason"),
    [
        (0, 0, "no signers"),
        (1, 0, "threshold too low"),
        (4, 2, "threshold too low"),
        (32, 16, "threshold too low"),
        (3, 4, "threshold over size"),
        (3, 2**63 + 1, "threshold over size"),
        (33, 17, "too many signers"),
    ],
)
def test_a_first_set_without_a_safe_quorum_is_refused(
    chain: Chain, size: int, threshold: int, reason: str
):
    with pytest.raises(RevertError) as caught:
        new_hub(chain, members(size), threshold, NOBODY)
    assert caught.value.reason == reason


def test_a_first_set_out_of_order_is_refused(chain: Chain):
    with pytest.raises(RevertError) as caught:
        new_hub(chain, members(3)[::-1], 2, NOBODY)
    assert caught.value.reason == "set not ascending"


def test_nobody_pauses_a_hub_without_a_guardian(chain: Chain):
    hub = new_hub(chain, members(1), 1, NOBODY)
    for call, reason in (("pause", "not the guardian"), ("acceptGuardian", "not the candidate")):
        with pytest.raises(RevertError) as caught:
            hub.send(call, sender=hub.guardian)
        assert caught.value.reason == reason


def test_a_deployment_takes_no_coins(chain: Chain):
    with pytest.raises(RevertError) as caught:
        new_hub(chain, members(1), 1, NOBODY, funds={"stake": 1})
    assert caught.value.reason == "no funds taken"


def test_the_stored_code_is_the_committed_build(chain: Chain, hub: CosmosHub):
    assert chain.code_hash(chain.store(HUB)) == hashlib.sha256(HUB.read_bytes()).hexdigest()


def test_the_hub_cannot_be_migrated_to_its_own_code(chain: Chain):
    keys = members(1)
    admin = chain.accounts[0]
    hub = new_hub(chain, keys, 1, NOBODY, admin=admin)
    with pytest.raises(RevertError) as caught:
        chain.migrate(hub.address, HUB, admin)
    assert "migrate" in caught.value.reason


def test_a_hub_called_by_a_contract_sees_the_contract(hub: CosmosHub, puppet: Puppet):
    hub.send("offerGuardian", hub.alice, sender=hub.guardian)
    with pytest.raises(RevertError):
        puppet.send(hub.address, {"accept_guardian": {}})
    assert hub.view("config")["guardian"] == bytes(12) + bytes.fromhex(hub.guardian[2:])
