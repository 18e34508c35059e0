"""The committee's roster."""

import json
import re

import pytest
from eth_utils.crypto import keccak
from pydantic import ValidationError

from vagus.agents import AgentRegistry
from vagus.daemon.committee.proposing import pinned
from vagus.daemon.roster import Member, Roster, read_roster
from vagus.daemon.roster_checks import agent_faults
from vagus.protocol import FeeFormula, Refuse

SIGNER = "0x" + "ab" * 20
HOME = "0x" + "cd" * 20
A, B = "eip155:31337", "eip155:31338"


def roster(**changes: object) -> Roster:
    table = {
        "members": [{"signer": SIGNER, "addresses": {A: HOME}}],
        "gas_allowance": {A: 10**20},
    }
    return Roster.model_validate({**table, **changes})


def test_a_member_is_found_by_its_signer_and_a_stranger_is_not() -> None:
    assert roster().member(bytes.fromhex("ab" * 20)).signer == SIGNER
    with pytest.raises(Refuse, match=r"0xcd.* is not in the roster"):
        roster().member(bytes.fromhex("cd" * 20))


def test_a_member_is_paid_at_its_address_on_the_origin() -> None:
    member = roster().members[0]
    assert member.payee(A) == bytes(12) + bytes.fromhex("cd" * 20)
    with pytest.raises(Refuse, match=f"no address of {SIGNER} on {B}"):
        member.payee(B)


def test_a_deliverer_is_known_by_its_address_on_the_destination() -> None:
    packed = bytes(12) + bytes.fromhex("cd" * 20)
    found = roster().deliverer(A, packed)
    assert found is not None
    assert found.signer == SIGNER
    assert roster().deliverer(A, b"\x01" * 32) is None
    assert roster().deliverer(B, packed) is None


def test_the_roster_hash_is_that_of_its_canonical_json() -> None:
    # Written by hand by RFC 8785: keys in order, no blanks, amounts as decimal strings.
    document = (
        f'{{"agents":{{}},"gas_allowance":{{"{A}":"100000000000000000000"}},'
        f'"members":[{{"addresses":{{"{A}":"{HOME}"}},"signer":"{SIGNER}",'
        f'"transport":null,"url":null,"x25519":null}}],"name":"vagus-devnet","rates":{{}}}}'
    )
    assert roster().digest() == keccak(document.encode())


@pytest.mark.parametrize(
    "signer", ["", SIGNER[2:], SIGNER.upper(), SIGNER + "0", "0x" + "zz" * 20, "0x" + "AB" * 20]
)
def test_a_signer_that_is_no_lower_case_address_is_rejected(signer: str) -> None:
    with pytest.raises(ValidationError):
        Member(signer=signer)


@pytest.mark.parametrize(
    "changes",
    [
        {"members": []},
        {"members": [{"signer": f"0x{number:040x}"} for number in range(1, 34)]},
        {"gas_allowance": {A: -1}},
        {"gas_allowance": {A: 1 << 256}},
        {"gas_allowance": {"mainnet": 1}},
        {"quorum": 1},
    ],
)
def test_a_roster_that_cannot_be_is_rejected(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        roster(**changes)


def test_an_address_that_the_chain_does_not_have_is_rejected_where_it_is_written() -> None:
    with pytest.raises(ValidationError):
        Member(signer=SIGNER, addresses={A: "0x12"})


@pytest.mark.parametrize(
    ("chain", "address", "said"),
    [
        (A, "0x12", "is not 0x and 40 hex digits"),
        (A, "0x5FbDB2315678afecb367f032d93F642f64180aa3", "is to be written in lower case"),
        ("solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1", "0", "'0' is no base58 letter"),
        ("cosmos:vagus-1", "0x" + "11" * 20, "is an EVM address, and cosmos:vagus-1 wants bech32"),
    ],
)
def test_an_address_that_does_not_fit_names_its_chain(chain: str, address: str, said: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Member(signer=SIGNER, addresses={chain: address})
    assert f"the address on {chain}: " in str(raised.value)
    assert said in str(raised.value)


def test_a_member_is_listed_once() -> None:
    with pytest.raises(ValidationError):
        roster(members=[{"signer": SIGNER}, {"signer": SIGNER}])


def test_a_fee_is_the_same_worth_in_the_coin_it_is_paid_in() -> None:
    """A coin of 10^9 units, worth half of one of 10^18."""
    solana = "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1"
    priced = roster(rates={solana: 2 * 10**9}, gas_allowance={A: 3 * 10**15})
    formula = FeeFormula(base=10**15, markup_bps=12_000)
    assert priced.fee(formula, A) == formula
    assert priced.fee(formula, solana) == FeeFormula(base=2 * 10**6, markup_bps=12_000)
    assert priced.allowance(A, A) == 3 * 10**15
    assert priced.allowance(A, solana) == 6 * 10**6
    assert priced.from_coin(solana, 6 * 10**6) == 3 * 10**15
    assert priced.to_coin(solana, 499_999_999) == 0  # rounded down: never more than maxFee pays


def test_no_gas_is_spent_on_a_destination_without_an_allowance() -> None:
    with pytest.raises(Refuse, match="allows no gas"):
        roster().allowance("eip155:99", A)


def test_a_rate_of_nothing_is_rejected() -> None:
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        roster(rates={A: 0})


# A committee of several


TRANSPORT = "0x" + "ee" * 20
TWO = [
    {"signer": SIGNER, "transport": TRANSPORT},
    {"signer": HOME, "transport": "0x" + "ff" * 20},
]


def test_whichever_order_members_are_given_in_the_document_is_one() -> None:
    there, back = roster(members=TWO), roster(members=TWO[::-1])
    assert there.document() == back.document()
    assert there.digest() == keccak(there.document())
    assert there.signers == (bytes.fromhex("ab" * 20), bytes.fromhex("cd" * 20))


def test_a_network_is_named_by_a_hash_of_its_name() -> None:
    named = roster(name="night-7")
    assert named.network == keccak(b"vagus-committee:night-7")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"members": [TWO[0], TWO[0] | {"transport": HOME}]}, f"signer {SIGNER} is there more"),
        (
            {"members": [TWO[0], TWO[1] | {"transport": TRANSPORT}]},
            f"transport key {TRANSPORT} is there more than once",
        ),
        ({"members": [TWO[0], TWO[1] | {"transport": SIGNER}]}, "is a signer and a transport key"),
        ({"members": [TWO[0] | {"transport": SIGNER}]}, "is a signer and a transport key"),
        ({"members": [TWO[0], {"signer": HOME}]}, f"{HOME} has no transport key"),
        ({"members": [TWO[0] | {"transport": "0x" + "0" * 40}]}, "the zero address"),
        ({"members": [TWO[0] | {"x25519": "0x12"}]}, "64 lower-case hex digits"),
        ({"members": [TWO[0] | {"url": "ftp://a.example"}]}, "begins with http:// or https://"),
        ({"members": [TWO[0] | {"url": "https://me:x@a.example"}]}, "give it no user"),
        ({"members": [TWO[0] | {"url": "https://a.example/?key=1"}]}, "give it no user"),
        ({"members": [TWO[0] | {"url": "https://a.example/"}]}, "without a slash at the end"),
        ({"members": [TWO[0] | {"url": "https://a.example:99999"}]}, "Port out of range"),
        ({"members": [TWO[0] | {"url": f"https://{'a' * 200}.example"}]}, "over 200 characters"),
        ({"name": "Night"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "n" * 33}, "name"),
        ({"agents": {"chat": {"version": "1.0.0"}}}, "name@major"),
        ({"agents": {"chat@1": {"version": "2.0.0"}}}, "version 2.0.0 is none of chat@1"),
        ({"agents": {"chat@1": {"version": "one"}}}, "agents.chat@1.version"),
        ({"agents": {"chat@1": {"version": "1", "config": {"x": 2**53}}}}, "9007199254740992"),
        ({"agents": {"chat@1": {"version": "1", "config": {"x": "a" * 65_536}}}}, "65536 bytes"),
    ],
)
def test_what_is_no_committee_is_refused_in_words(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError) as raised:
        roster(**changes)
    assert said in str(raised.value)


def test_a_committee_of_one_needs_no_transport_key() -> None:
    with pytest.raises(Refuse, match=f"no transport key of {SIGNER}"):
        _ = roster().members[0].transport_address
    both = roster(members=TWO)
    assert both.members[0].transport_address == bytes.fromhex("ee" * 20)


def test_an_agents_digest_is_of_its_name_version_and_config() -> None:
    found = roster(agents={"chat@1": {"version": "1.4.2", "config": {"max_tokens": 64}}})
    document = b'{"config":{"max_tokens":64},"name":"chat","version":"1.4.2"}'
    assert found.agent_digest("chat@1") == keccak(document)
    with pytest.raises(Refuse, match="no agent choose@1"):
        found.agent_digest("choose@1")


def test_a_file_reads_as_its_document_in_any_layout() -> None:
    both = roster(members=TWO, agents={"chat@1": {"version": "1.0.0", "config": {"a": None}}})
    assert read_roster(both.document()) == both
    assert read_roster(json.dumps(json.loads(both.document()), indent=2).encode()) == both


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is no JSON"),
        (b"\xff", "is no JSON"),
        (b"[" * 60_000, "is nested too deep"),
        (b" " * 65_537, "at most 65536 are read"),
        (b'{"members": [], "members": []}', "has the key 'members' twice"),
        (b'{"members": [], "rates": NaN}', "NaN is no JSON number"),
        (b"[]", "valid dictionary"),
        (b'{"members": [], "quorum": 1}', "quorum"),
    ],
)
def test_a_file_that_is_no_roster_is_a_value_error(data: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        read_roster(data)


# The agents that members serve


def served(**configs: dict[str, object]) -> AgentRegistry:
    return AgentRegistry({f"{name}@1": config for name, config in configs.items()})


def test_a_roster_that_names_no_agents_compares_none() -> None:
    assert list(agent_faults(roster(), served(chat={"max_tokens": 9}))) == []


def test_a_node_whose_agents_are_the_rosters_is_let_be() -> None:
    own = served(chat={"max_tokens": 9}, choose={})
    assert list(agent_faults(pinned(roster(), own), own)) == []


@pytest.mark.parametrize(
    ("registry", "said"),
    [
        (served(chat={"max_tokens": 9}), 'agents."choose@1": the roster has it and this node does'),
        (
            served(chat={"max_tokens": 9}, choose={}, number={}),
            'agents."number@1": the roster does',
        ),
        (served(chat={"max_tokens": 8}, choose={}), 'agents."chat@1": max_tokens differs from'),
        (served(chat={"max_tokens": 9, "margin": 5}, choose={}), 'agents."chat@1": margin differs'),
    ],
)
def test_a_node_whose_agents_are_others_is_told_which(registry: AgentRegistry, said: str) -> None:
    wanted = pinned(roster(), served(chat={"max_tokens": 9}, choose={}))
    (fault,) = agent_faults(wanted, registry)
    assert fault.startswith(said)


def test_another_version_of_an_agent_is_told() -> None:
    own = served(choose={})
    entry = pinned(roster(), own).agents["choose@1"]
    other = roster(agents={"choose@1": {"version": "1.99.0", "config": entry.config}})
    (fault,) = agent_faults(other, own)
    assert f"version {entry.version} is installed, and the roster has 1.99.0" in fault
