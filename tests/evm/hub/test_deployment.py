import pytest
from vyper.cli.vyper_compile import compile_files

from support.anvil import Anvil
from support.contracts import CONTRACTS, RevertError
from support.hub import DAY, ROSTER, SETTINGS, HubClient, hub_id, members, new_hub

NOBODY = "0x" + "00" * 20


def test_a_hub_names_itself_by_the_live_chain_and_its_own_address(hub: HubClient):
    assert hub.id == hub_id(31337, hub.contract.address)
    assert hub.view("hubId") == hub.id


def test_addresses_with_letters_in_every_place_are_written_in_lower_case(anvil: Anvil):
    for _ in range(8):
        hub = new_hub(anvil, members(1), 1, NOBODY)
        assert hub.id == hub_id(31337, hub.contract.address)


def test_the_configuration_is_what_was_deployed(anvil: Anvil):
    before = anvil.now
    hub = new_hub(anvil, members(3), 2, anvil.accounts[1], minFee=5, grace=7200)
    config = hub.config
    assert {name: config[name] for name in SETTINGS} == SETTINGS | {"minFee": 5, "grace": 7200}
    assert hub.view("minFee") == 5
    assert config["chainId"] == 31337
    assert config["retryWindow"] == 7 * DAY
    assert (config["guardian"], config["pendingGuardian"]) == (anvil.accounts[1], NOBODY)
    assert not config["paused"]
    assert config["firstSeq"] == config["nextSeq"] == ((before + 1) << 20) + 1


def test_the_first_epoch_is_the_deployments_chain_time(anvil: Anvil):
    before = anvil.now
    keys = members(3)
    committee = new_hub(anvil, keys, 2, NOBODY).view("committee")
    assert committee["epoch"] == before + 1
    assert committee["threshold"] == 2
    assert committee["signers"] == [key.address for key in keys]
    assert committee["rosterHash"] == ROSTER
    assert committee["previousEpoch"] == committee["previousUntil"] == 0
    assert committee["previousSigners"] == []


def test_a_hub_deployed_again_repeats_neither_epoch_nor_seq(anvil: Anvil):
    first = new_hub(anvil, members(1), 1, NOBODY)
    for _ in range(3):
        first.ask()
    again = new_hub(anvil, members(1), 1, NOBODY)
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
def test_periods_that_could_lock_money_are_refused(anvil: Anvil, settings: dict[str, int]):
    with pytest.raises(RevertError) as caught:
        new_hub(anvil, members(1), 1, NOBODY, **settings)
    assert caught.value.reason == "periods"


@pytest.mark.parametrize(
    ("size", "threshold", "reason"),
    [
        (0, 0, "no signers"),
        (1, 0, "threshold too low"),
        (4, 2, "threshold too low"),
        (32, 16, "threshold too low"),
        (3, 4, "threshold over size"),
        (33, 17, ""),
    ],
)
def test_a_first_set_without_a_safe_quorum_is_refused(
    anvil: Anvil, size: int, threshold: int, reason: str
):
    with pytest.raises(RevertError) as caught:
        new_hub(anvil, members(size), threshold, NOBODY)
    assert caught.value.reason == reason


def test_a_first_set_out_of_order_is_refused(anvil: Anvil):
    with pytest.raises(RevertError) as caught:
        new_hub(anvil, members(3)[::-1], 2, NOBODY)
    assert caught.value.reason == "set not ascending"


@pytest.mark.parametrize("size", [1, 2, 32])
def test_sets_of_one_to_32_are_accepted(anvil: Anvil, size: int):
    hub = new_hub(anvil, members(size), size, NOBODY)
    assert len(hub.view("committee")["signers"]) == size
    intent = hub.intent()
    hub.deliver(intent)
    assert hub.view("delivery", hub.intent_id(intent))["signers"] == 2**size - 1


def test_no_payment_is_accepted_but_a_fee(hub: HubClient):
    arguments = {
        "deliver": lambda i: (tuple(i.values()), tuple(hub.attestation(i).values()), b"", []),
        "refund": lambda i: (hub.intent_id(i),),
        "withdraw": lambda _: (),
    }
    for name, build in arguments.items():
        data = hub.contract.encode_abi(name, args=build(hub.intent()))
        assert not paid(hub, data), name
    assert not paid(hub, "0x")
    assert not paid(hub, "0x12345678")


def paid(hub: HubClient, data: str) -> bool:
    transaction = {"from": hub.alice, "to": hub.contract.address, "value": 1, "data": data}
    eth = hub.anvil.web3.eth
    hash_ = eth.send_transaction(transaction | {"gas": 1_000_000, "gasPrice": 10**10})
    return eth.wait_for_transaction_receipt(hash_, poll_latency=0.005)["status"] == 1


def test_the_deployed_code_is_what_the_source_compiles_to_and_fits_a_contract(hub: HubClient):
    code = bytes(hub.anvil.web3.eth.get_code(hub.contract.address))
    (output,) = compile_files(
        [str(CONTRACTS / "Hub.vy")], ["bytecode_runtime"], paths=[str(CONTRACTS)]
    ).values()
    # What was set at deployment follows the code.
    assert code.startswith(bytes.fromhex(output["bytecode_runtime"][2:]))
    assert len(code) <= 24_576
