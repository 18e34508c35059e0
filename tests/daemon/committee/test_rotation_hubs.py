"""Members change on real hubs, two on anvil and one on LiteSVM, by the commands that operators type.

What the hubs have is read by web3, and what was signed is recovered by eth_account: both know nothing of
vagus but the hub's ABI.
"""

import asyncio
import contextlib
import json
import shutil
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from coincurve import PrivateKey
from eth_account import Account
from typer.testing import CliRunner
from web3 import AsyncHTTPProvider, AsyncWeb3

from support.anvil import Anvil
from support.client import HUB, until
from support.committees import typed_digest
from support.hub import HubClient, RevertError
from support.node import VAGUS, end, environment
from vagus.adapters.base import HubParameters
from vagus.adapters.evm.devnet import DEV_KEYS
from vagus.adapters.evm.keystore import create_keystore, read_password
from vagus.daemon.choices import ChainChoice
from vagus.daemon.cli import app
from vagus.daemon.committee.rotation import read_proposal
from vagus.daemon.folder import make_keys
from vagus.daemon.roster import Roster, read_roster
from vagus.daemon.worlds import World, world_class
from vagus.protocol import VagusError

pytestmark = [pytest.mark.xdist_group("rotation_hubs"), pytest.mark.asyncio(loop_scope="module")]

ABI = json.loads(HUB.read_text())["abi"]
GRACE = 3_600
LONG = 300.0
CONFIG = """\
profile = "devnet"
roster_file = "roster.json"
[http]
port = 0
[signer]
keystore = "keys/signer.json"
password_file = "keys/password"
[transport_key]
keystore = "keys/transport.json"
password_file = "keys/password"
"""


@dataclass
class Committee:
    """Five operators' folders, of whom the first three are members of every hub, and the chains."""

    folder: Path
    chains: list[World]
    contracts: list[Any]

    def config(self, number: int) -> Path:
        return self.folder / str(number) / "vagus.toml"

    def signer(self, number: int) -> str:
        keystore = self.folder / str(number) / "keys" / "signer.json"
        address: str = json.loads(keystore.read_text())["address"]
        return f"0x{address.lower().removeprefix('0x')}"

    def take(self, roster: Roster, *numbers: int) -> None:
        """Have operators' nodes stand on a roster."""
        for number in numbers:
            (self.folder / str(number) / "roster.json").write_bytes(roster.document())

    async def run(self, number: int, *words: object) -> tuple[int, str, str]:
        """A command as an operator types it: exit code, stdout, stderr."""
        return await asyncio.to_thread(_command, *words, "--config", self.config(number))

    async def good(self, number: int, *words: object) -> str:
        code, out, err = await self.run(number, *words)
        assert code == 0, err
        return out

    async def sets(self) -> list[tuple[int, int, list[str]]]:
        """What web3 reads of the EVM hubs: epoch, threshold, signers."""
        found = []
        for contract in self.contracts:
            view = await contract.functions.committee().call()
            found.append((view[0], view[1], [each.lower() for each in view[2]]))
        return found

    async def rotations(self, number: int) -> list[int]:
        """The epochs that one EVM hub came to, by its events."""
        events = await self.contracts[number].events.Rotated.get_logs(from_block=0)
        return [each["args"]["epoch"] for each in events]


def _command(*words: object) -> tuple[int, str, str]:
    """What `vagus` does with these words, and says where it ends with an error."""
    done = CliRunner().invoke(app, ["committee", *map(str, words)])
    error = done.exception
    if isinstance(error, VagusError):
        return getattr(error, "exit_code", 1), done.stdout, f"{done.stderr}{error}"
    assert error is None or isinstance(error, SystemExit), done.exc_info
    return done.exit_code, done.stdout, done.stderr


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def committee(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Committee]:
    folder = tmp_path_factory.mktemp("operators")
    async with contextlib.AsyncExitStack() as stack:
        chains: list[World] = []
        for kind, at in (("eip155", 0), ("eip155", 1), ("solana", 0)):
            world = world_class(kind)(lambda _: None, at)
            chains.append(await stack.enter_async_context(world))
        keys = [make_keys(folder / str(number), "devnet") for number in range(1, 6)]
        for number in range(1, 6):
            _make_user(folder / str(number))
        made = Committee(folder, chains, [])
        signers = tuple(sorted(each.signer for each in keys[:3]))
        # The first roster is made as operators make it, before there is a hub: chains need one to be named.
        for number in range(1, 6):
            made.config(number).write_text(CONFIG + _chains(chains, hub=None))
            first = {"members": [{"signer": made.signer(number)}]}
            (folder / str(number) / "roster.json").write_text(json.dumps(first))
        entries = {n: folder / f"member-{n}.json" for n in range(1, 6)}
        for number, path in entries.items():
            path.write_text(await made.good(number, "member", "--url", f"https://{number}.example"))
        added = [word for n in (1, 2, 3) for word in ("--add", entries[n])]
        document = await made.good(1, "roster", *added, "--name", "night", "--pin-agents")
        roster = read_roster(document.encode())
        assert "chat@1" in roster.agents
        made.take(roster, 1, 2, 3, 4, 5)
        parameters = HubParameters(signers, 2, grace=GRACE, roster_hash=roster.digest())
        for chain in chains:
            await chain.deploy(parameters)
        for number in range(1, 6):
            made.config(number).write_text(CONFIG + _chains(chains, hub="its own"))
        for chain in chains[:2]:
            provider = AsyncHTTPProvider(chain.rpc)
            stack.push_async_callback(provider.disconnect)
            address = AsyncWeb3.to_checksum_address(chain.hub.rpartition(":")[2])
            made.contracts.append(AsyncWeb3(provider).eth.contract(address, abi=ABI))
        yield made


def _chains(chains: list[World], hub: str | None) -> str:
    nowhere = {"eip155": f"0x{'11' * 20}", "solana": "1" * 32}
    text = ""
    for chain in chains:
        named = chain.hub if hub else f"{chain.caip2}:{nowhere[chain.caip2.partition(':')[0]]}"
        text += ChainChoice(chain.caip2, named, (chain.rpc,), chain.ws).toml("devnet")
    return text


def _make_user(folder: Path) -> None:
    """Put the funded key into a keystore, where `apply` looks for who pays."""
    key = PrivateKey(bytes.fromhex(DEV_KEYS[1].removeprefix("0x")))
    password = read_password(folder / "keys" / "password")
    create_keystore(folder / "keys" / "user.json", password, key, cost=2)


async def test_members_come_and_go_on_every_hub(committee: Committee, tmp_path: Path) -> None:
    """Two of three become three of four, and one of the three leaves."""
    before = await committee.sets()
    proposal = tmp_path / "next.json"
    code, _, err = await committee.run(
        1,
        *("propose", proposal, "--add", committee.folder / "member-4.json"),
        *("--add", committee.folder / "member-5.json", "--remove", committee.signer(3)),
    )
    assert code == 2
    assert "threshold 2 of 4 is no majority" in err
    assert "give --threshold 3" in err
    assert not proposal.exists()

    code, _, err = await committee.run(
        1,
        *("propose", proposal, "--add", committee.folder / "member-4.json", "--threshold", 3),
        *("--add", committee.folder / "member-5.json", "--remove", committee.signer(3)),
    )
    assert code == 0, err
    assert "3 of 4: stands 1 liar, and, if nobody lies, 1 member away" in err
    assert f"- member {committee.signer(3)}" in err
    assert err.count(f"+ signer {committee.signer(4)}") == 3  # hubs
    wanted = read_proposal(proposal.read_bytes())

    # A new member and a stranger to the hubs have nothing to approve.
    code, _, err = await committee.run(4, "approve", proposal, "--yes")
    assert code == 1
    assert "signs on none of its hubs now" in err
    # Who is not asked has approved nothing.
    code, _, err = await committee.run(1, "approve", proposal)
    assert code == 2
    assert "nothing was signed: give --yes" in err
    assert [each.name for each in tmp_path.iterdir()] == ["next.json"]

    first, second = tmp_path / "1.json", tmp_path / "2.json"
    await committee.good(1, "approve", proposal, "--yes", "--out", first)
    signed = json.loads(first.read_text())
    for hub, signature in signed["signatures"].items():
        signer = Account._recover_hash(typed_digest(wanted, hub), signature=signature)
        assert signer.lower() == committee.signer(1) == signed["signer"]

    code, out, err = await committee.run(5, "apply", proposal, first, "--json")
    assert code == 1
    assert [each["standing"] for each in json.loads(out)["hubs"]] == ["open"] * 3
    assert "1 of 2 approvals by members of its set" in out
    assert await committee.sets() == before

    await committee.good(2, "approve", proposal, "--yes", "--out", second)
    out = await committee.good(5, "apply", proposal, first, second, "--json")
    done = json.loads(out)["hubs"]
    assert [each["standing"] for each in done] == ["in force"] * 3
    assert all(each["tx"] for each in done)
    signers = sorted(committee.signer(number) for number in (1, 2, 4, 5))
    epochs = [epoch for epoch, _, _ in before]
    assert await committee.sets() == [(epoch + 1, 3, signers) for epoch in epochs]

    # Members take the roster that was signed for, and see that the hubs have it.
    document = await committee.good(4, "roster", proposal)
    committee.take(read_roster(document.encode()), 1, 2, 4, 5)
    shown = json.loads(await committee.good(4, "show", "--json"))
    assert [each["differs"] for each in shown["hubs"]] == [[]] * 3
    assert [each["signers"] for each in shown["hubs"]] == [signers] * 3
    assert [each["previous_until"] - each["rotated_at"] for each in shown["hubs"]] == [GRACE] * 3
    old = json.loads(await committee.good(3, "show", "--json"))
    assert all("its signers are others than the roster's" in hub["differs"] for hub in old["hubs"])

    # What is done is left alone: no transaction is sent.
    payer = Account.from_key(DEV_KEYS[1]).address
    nonces = [await each.w3.eth.get_transaction_count(payer) for each in committee.contracts]
    await committee.good(1, "apply", proposal, first, second)
    again = [await each.w3.eth.get_transaction_count(payer) for each in committee.contracts]
    assert again == nonces


async def test_approvals_that_are_not_of_this_proposal_send_nothing(
    committee: Committee, tmp_path: Path
) -> None:
    before = await committee.sets()
    current = json.loads(await committee.good(1, "show", "--json"))["hubs"][0]["signers"]
    operators = [n for n in range(1, 6) if committee.signer(n) in current]
    threshold = (await committee.sets())[0][1]
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    number = operators[0]
    entry = json.loads((committee.folder / f"member-{number}.json").read_text())
    for path, url in ((one, "https://here.example"), (other, "https://there.example")):
        (tmp_path / "entry.json").write_text(json.dumps(entry | {"url": url}))
        await committee.good(number, "propose", path, "--add", tmp_path / "entry.json")
    approvals = []
    for at in operators[:threshold]:
        approvals.append(tmp_path / f"{at}.json")
        await committee.good(at, "approve", one, "--yes", "--out", approvals[-1])
    code, _, err = await committee.run(operators[0], "approve", other, "--yes")
    assert code == 1
    assert "has approved proposal" in err
    code, _, err = await committee.run(number, "apply", other, *approvals)
    assert code == 1
    assert "have this one approved" in err

    altered = json.loads(one.read_text())
    altered["roster"]["members"][0]["addresses"][committee.chains[0].caip2] = "0x" + "66" * 20
    (tmp_path / "altered.json").write_text(json.dumps(altered))
    code, _, err = await committee.run(number, "apply", tmp_path / "altered.json", *approvals)
    assert code == 1
    assert "have this one approved" in err

    stranger = Account.from_key(b"\x77" * 32)
    forged = json.loads(approvals[0].read_text())
    wanted = read_proposal(one.read_bytes())
    forged["signer"] = stranger.address.lower()
    forged["signatures"] = {
        each.hub: "0x"
        + bytes(stranger.unsafe_sign_hash(typed_digest(wanted, each.hub)).signature).hex()
        for each in wanted.hubs
    }
    (tmp_path / "stranger.json").write_text(json.dumps(forged))
    rest = approvals[1:]
    code, _, _ = await committee.run(number, "apply", one, tmp_path / "stranger.json", *rest)
    assert code == 1
    code, _, err = await committee.run(number, "apply", tmp_path / "entry.json", *approvals)
    assert code == 2
    assert "entry.json: roster: " in err
    assert await committee.sets() == before
    # And the one that they are of is applied: what was refused spoiled nothing.
    await committee.good(number, "apply", one, *approvals)
    assert [epoch for epoch, _, _ in await committee.sets()] == [e + 1 for e, _, _ in before]
    committee.take(wanted.roster, *operators)


async def test_a_hub_that_lags_behind_is_named_and_gets_it_later(
    committee: Committee, tmp_path: Path
) -> None:
    before = await committee.sets()
    operators = await _operators(committee)
    proposal, approvals = await _approved(committee, operators, tmp_path, "https://lag.example")
    behind = tmp_path / "behind"
    shutil.copytree(committee.folder / str(operators[0]), behind)
    config = behind / "vagus.toml"
    text = config.read_text()
    for url in (committee.chains[1].rpc, committee.chains[1].ws):
        text = text.replace(f'"{url}"', f'"{url.split(":")[0]}://127.0.0.1:1"')
    config.write_text(text)
    given = ("apply", proposal, *approvals, "--json", "--config", config)
    code, out, err = await asyncio.to_thread(_command, *given)
    assert code == 1
    assert "1 of 3 hubs lag behind" in err
    standing = {each["hub"]: each for each in json.loads(out)["hubs"]}
    assert [standing[each.hub]["standing"] for each in committee.chains] == [
        *("in force", "unknown", "in force")
    ]
    assert "does not answer" in standing[committee.chains[1].hub]["words"]
    after = await committee.sets()
    assert (after[0][0], after[1][0]) == (before[0][0] + 1, before[1][0])
    shown = json.loads(await committee.good(operators[0], "show", "--json"))["hubs"]
    assert [bool(each["differs"]) for each in shown] == [True, False, True]

    out = await committee.good(operators[0], "apply", proposal, *approvals, "--json")
    done = {each["hub"]: each for each in json.loads(out)["hubs"]}
    assert [bool(done[each.hub]["tx"]) for each in committee.chains] == [False, True, False]
    assert [epoch for epoch, _, _ in await committee.sets()] == [e + 1 for e, _, _ in before]
    committee.take(read_proposal(proposal.read_bytes()).roster, *operators)


async def test_apply_that_is_killed_while_a_hub_waits_goes_on_where_it_was(
    committee: Committee, tmp_path: Path
) -> None:
    before = await committee.sets()
    operators = await _operators(committee)
    proposal, approvals = await _approved(committee, operators, tmp_path, "https://kill.example")
    slow: Any = committee.chains[1]
    await slow._anvil.call("evm_setIntervalMining", 0)
    try:
        process = await asyncio.create_subprocess_exec(
            *(VAGUS, "committee", "apply", proposal, *approvals),
            *("--config", committee.config(operators[0])),
            env=environment({}),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            web3, payer = committee.contracts[1].w3, Account.from_key(DEV_KEYS[1]).address
            mined = await web3.eth.get_transaction_count(payer)

            async def where() -> tuple[int, int]:
                pending = await web3.eth.get_transaction_count(payer, "pending")
                return (await committee.sets())[0][0], pending

            await until(where, lambda it: it == (before[0][0] + 1, mined + 1), within=LONG)
        finally:
            process.send_signal(signal.SIGKILL)
            await end(process)
        assert (await committee.sets())[1] == before[1]
    finally:
        await slow._anvil.call("evm_setIntervalMining", 1)
    await committee.good(operators[0], "apply", proposal, *approvals)
    after = await committee.sets()
    assert [epoch for epoch, _, _ in after] == [epoch + 1 for epoch, _, _ in before]
    for number, (epoch, _, _) in enumerate(after):
        assert (await committee.rotations(number)).count(epoch) == 1
    committee.take(read_proposal(proposal.read_bytes()).roster, *operators)


async def test_an_answer_of_the_set_before_is_taken_until_its_grace_is_over(
    committee: Committee, tmp_path: Path
) -> None:
    """What the old set has decided is delivered after the rotation, and not after the grace."""
    operators = await _operators(committee)
    (epoch, threshold, signers), _ = await committee.sets()
    keys = {committee.signer(number): _signing_key(committee, number) for number in operators}
    anvil = Anvil(int(committee.chains[0].rpc.rpartition(":")[2]))
    contract = anvil.web3.eth.contract(committee.contracts[0].address, abi=ABI)
    hub = HubClient(anvil, contract, [keys[each] for each in signers], threshold)
    intents = [hub.intent(seq=seq, deadline=hub.now + 3 * GRACE) for seq in (1, 2, 3)]
    proposal, approvals = await _approved(committee, operators, tmp_path, "https://grace.example")
    await committee.good(operators[0], "apply", proposal, *approvals)
    assert hub.epoch == epoch + 1
    hub.deliver(intents[0], hub.attestation(intents[0], epoch=epoch))
    assert hub.view("delivery", hub.intent_id(intents[0]))["epoch"] == epoch
    await committee.chains[0].warp(GRACE + 60)
    with pytest.raises(RevertError, match="epoch ended"):
        hub.deliver(intents[1], hub.attestation(intents[1], epoch=epoch))
    hub.deliver(intents[2])  # by the same keys in the current epoch: it is that which ended
    committee.take(read_proposal(proposal.read_bytes()).roster, *operators)


async def _operators(committee: Committee) -> list[int]:
    """Who are the members now, by number."""
    signers = (await committee.sets())[0][2]
    return [number for number in range(1, 6) if committee.signer(number) in signers]


async def _approved(
    committee: Committee, operators: list[int], folder: Path, url: str
) -> tuple[Path, list[Path]]:
    """A proposal that changes a member's URL, and a quorum's approvals of it."""
    number, threshold = operators[0], (await committee.sets())[0][1]
    entry = json.loads((committee.folder / f"member-{number}.json").read_text())
    (folder / "entry.json").write_text(json.dumps(entry | {"url": url}))
    proposal = folder / "proposal.json"
    await committee.good(number, "propose", proposal, "--add", folder / "entry.json")
    approvals = [folder / f"{at}.json" for at in operators[:threshold]]
    for at, path in zip(operators, approvals, strict=False):
        await committee.good(at, "approve", proposal, "--yes", "--out", path)
    return proposal, approvals


def _signing_key(committee: Committee, number: int) -> Any:
    keys = committee.folder / str(number) / "keys"
    secret = Account.decrypt(
        (keys / "signer.json").read_text(), (keys / "password").read_text().strip()
    )
    return Account.from_key(secret)
