"""The byzantine suite's judge sees what it is there for, and its bad broker does what it says."""

import asyncio
from dataclasses import replace

import aiomqtt
import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

from byzantine.books import Books, Delivered, News, Requested, Settled, signers_of
from byzantine.judge import GROUPS, faults_of, grouped, latencies
from byzantine.questions import Question, lie_about, question
from byzantine.relay import Relay, Weather
from byzantine.schedules import run_schedules
from support.hub import types
from vagus.compute.mqtt.broker import Broker

ASKED = question(1, "a case", 1)
ID = bytes([7]) * 32
MEMBERS = [f"0x{at:040x}" for at in range(1, 5)]
THRESHOLD = 3
REQUEST = Requested(ID, keccak(ASKED.payload), 400, 100)
DELIVERY = Delivered(ID, 0, ASKED.output, tuple(MEMBERS[:3]), 110)
SETTLEMENT = Settled(ID, 0, 120)


def books(*news: tuple[int, News]) -> Books:
    found = Books()
    for chain, each in news:
        found.take(chain, [each])
    return found


def life(
    delivery: Delivered = DELIVERY, settlement: Settled = SETTLEMENT, dest: int = ASKED.dest
) -> list[tuple[int, News]]:
    return [(ASKED.origin, REQUEST), (dest, delivery), (ASKED.origin, settlement)]


def faults(*news: tuple[int, News], asked: Question = ASKED) -> dict[str, int]:
    return dict(faults_of(asked, books(*news), MEMBERS, THRESHOLD))


def test_an_intent_that_was_answered_once_by_a_quorum_in_time_is_right() -> None:
    assert not faults(*life())
    assert not faults(life()[1], life()[0], life()[2])  # chains are read one after the other
    assert latencies([ASKED], books(*life())) == [20]


WRONGS = {
    "wrong answer": life(replace(DELIVERY, output=lie_about(ASKED.prompt).encode())),
    "delivered elsewhere": life(dest=1 - ASKED.dest),
    "delivered twice": [*life(), (ASKED.dest, DELIVERY)],
    "delivered late": life(replace(DELIVERY, time=401)),
    "not delivered": [life()[0], life()[2]],
    "too few members signed": life(replace(DELIVERY, signers=tuple(MEMBERS[:2]))),
    "a stranger signed": life(replace(DELIVERY, signers=(*MEMBERS[:3], "0x" + "ff" * 20))),
    "not settled": life()[:2],
    "settled twice": [*life(), (ASKED.origin, SETTLEMENT)],
    "settled late": life(settlement=replace(SETTLEMENT, time=401)),
    "settled as another outcome": life(settlement=replace(SETTLEMENT, status=2)),
    "refunded": life(settlement=replace(SETTLEMENT, status=None)),
    "asked twice": [*life(), (ASKED.origin, replace(REQUEST, id=bytes(32)))],
    "never asked on chain": [],
}


@pytest.mark.parametrize("name", WRONGS)
def test_what_goes_wrong_with_an_intent_is_found_and_must_be_0(name: str) -> None:
    found = faults_of(ASKED, books(*WRONGS[name]), MEMBERS, THRESHOLD)
    assert name in found
    assert sum(grouped(found, 0).values()) == found.total()


def test_one_member_that_signs_three_times_is_no_quorum() -> None:
    thrice = replace(DELIVERY, signers=(MEMBERS[0],) * 3)
    assert "too few members signed" in faults(*life(thrice))


def test_an_answer_that_nobody_asked_for_is_found() -> None:
    found = books((0, DELIVERY))
    assert found.strangers() == 1
    assert grouped(faults_of(ASKED, books(*life()), MEMBERS, THRESHOLD), found.strangers())[
        "answers that nobody asked for"
    ]


def test_every_fault_belongs_to_what_must_be_0() -> None:
    assert {each for kinds in GROUPS.values() for each in kinds} == set(WRONGS)


def test_signers_are_recovered_from_what_a_hub_was_handed() -> None:
    keys = [Account.create(str(at)) for at in range(3)]
    fields = {"bytes32": bytes([3]) * 32, "uint64": 9}
    attestation = {each["name"]: fields[each["type"]] for each in types()["Attestation"]}
    domain = {"name": "vagus", "version": "1", "salt": ID}
    signable = encode_typed_data(domain, {"Attestation": types()["Attestation"]}, attestation)
    signatures = [bytes(key.sign_message(signable).signature) for key in keys]
    assert signers_of(attestation, ID, signatures) == tuple(k.address.lower() for k in keys)
    changed = attestation | {"outputHash": bytes([4]) * 32}
    assert set(signers_of(changed, ID, signatures)).isdisjoint(k.address.lower() for k in keys)


def test_questions_differ_and_go_from_each_chain_to_each() -> None:
    some = [question(1, case, at) for case in ("one", "other") for at in range(40)]
    assert len({each.payload for each in some}) == len({each.output for each in some}) == 80
    assert {(each.origin, each.dest) for each in some} == {(0, 0), (0, 1), (1, 0), (1, 1)}


MESSAGES = 100
SENDERS = ("aa" * 20, "bb" * 20)


async def heard(relay: Relay, broker: Broker) -> list[tuple[str, int]]:
    """What a subscriber behind the relay hears of two senders' messages, in its order."""
    v5 = aiomqtt.ProtocolVersion.V5
    async with (
        aiomqtt.Client("127.0.0.1", relay.port, protocol=v5) as near,
        aiomqtt.Client("127.0.0.1", broker.port, protocol=v5) as far,
    ):
        await near.subscribe("#", qos=1)
        for number in range(MESSAGES):
            for sender in SENDERS:
                await far.publish(f"vagus/1/cc/{sender}/1/-", str(number), qos=1)
        found: list[tuple[str, int]] = []
        async with asyncio.timeout(60):
            async for message in near.messages:
                assert isinstance(message.payload, bytes)
                found.append((str(message.topic).split("/")[3], int(message.payload)))
                done = relay.done
                lost = done["dropped"] + done["cut off"]
                if len(found) == len(SENDERS) * MESSAGES - lost + done["doubled"]:
                    break
        return found


async def test_the_relay_hands_on_all_in_order_in_good_weather() -> None:
    async with Broker() as broker, Relay(broker.url, "seed") as relay:
        found = await heard(relay, broker)
    assert found == [(sender, at) for at in range(MESSAGES) for sender in SENDERS]


async def test_the_relay_drops_doubles_delays_and_reorders() -> None:
    async with Broker() as broker, Relay(broker.url, "seed") as relay:
        relay.weather = Weather(drop=0.25, double=0.2, delay=0.4, late=0.2)
        found = await heard(relay, broker)
    assert len(set(found)) < len(SENDERS) * MESSAGES
    assert len(found) > len(set(found))
    assert found != sorted(found, key=lambda each: each[1])
    for what in ("dropped", "doubled", "delayed"):
        assert relay.done[what] > MESSAGES // 10


async def test_a_partition_lets_nothing_of_the_other_side_through() -> None:
    async with Broker() as broker, Relay(broker.url, "seed") as relay:
        relay.unheard = frozenset({SENDERS[0]})
        found = await heard(relay, broker)
    assert found == [(SENDERS[1], at) for at in range(MESSAGES)]


async def test_schedules_are_gone_through_on_all_processors() -> None:
    said: list[str] = []
    found = await run_schedules(40, said.append)
    assert found.count == 40
    assert found.right
    assert found.crashes
