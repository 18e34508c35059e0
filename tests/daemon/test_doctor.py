"""`vagus check` and `vagus doctor` without a chain: each fault is one line that says what to do."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from coincurve import PrivateKey
from typer.testing import CliRunner, Result

from support.chain import ScriptedChain
from support.commands import vagus_beside
from support.journals import HUB
from support.node import vagus
from support.plugins import install
from support.scripted import GOOD, Script, response, scripted, sending
from vagus.adapters.evm.wallet import Wallet
from vagus.daemon.choices import ChainChoice
from vagus.daemon.cli import app
from vagus.daemon.config import ConfigError, load
from vagus.daemon.doctor.chain import look_at_chain
from vagus.daemon.doctor.config import look_at
from vagus.daemon.doctor.finding import Finding, Verdict, worst
from vagus.daemon.doctor.report import examine
from vagus.daemon.folder import make_keys, write_config
from vagus.daemon.journal.database import read_only
from vagus.daemon.journal.lock import data_folder, holder
from vagus.daemon.journal.sqlite import SqliteJournal
from vagus.daemon.tokens import new_token
from vagus.protocol import Halt, VagusError

CHAIN = HUB.rpartition(":")[0]
CANARY = "canary-7f3a-in-a-path"
LOCAL = '[[backends]]\nkind = "local"\n'

Change = Callable[[str], str]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    chosen = ChainChoice(CHAIN, HUB, (f"http://127.0.0.1:9/{CANARY}",))
    return write_config(make_keys(tmp_path, "devnet"), "devnet", [chosen], 9464)


def by_name(findings: object) -> dict[str, Finding]:
    assert isinstance(findings, list | tuple)
    found = {each.name: each for each in findings}
    for each in findings:
        assert bool(each.advice) == (each.verdict != Verdict.OK), each
        assert "\n" not in each.finding + each.advice
        assert CANARY not in repr(each)
    return found


def test_what_init_writes_is_all_well(config: Path) -> None:
    looked = look_at(config)
    assert worst(looked.findings) == Verdict.OK
    assert {
        *("config", "signer", "backend local", "agent chat@1", "profile devnet", "roster"),
        "transport key",
    } <= by_name(looked.findings).keys()


def test_the_policys_rules_are_named_and_agents_that_are_not_served(config: Path) -> None:
    written = config.read_text()
    rules = (
        '[[policy.after]]\nname = "short"\nlonger = 9\n[policy.per_agent."page@1"]\nmin_fee = 1\n'
    )
    config.write_text(written + rules)
    found = [each for each in look_at(config).findings if each.name == "policy"]
    assert [each.verdict for each in found] == [Verdict.WARN, Verdict.OK]
    assert "names page@1, which is not served here" in found[0].finding
    assert "1 rule about content: short" in found[1].finding


@pytest.mark.parametrize(
    ("old", "new", "name", "said"),
    [
        ("[http]", "[htp]", "config", 'did you mean "http"?'),
        ('finality = "', 'finalty = "', "chains", "chains.0.finalty"),
        ('kind = "local"\n\n', 'kind = "lokal"\n\n', "backends", "lokal"),
        ('"chat@1"', '"chta@1"', "agents", "not installed"),
        ('"keys/signer.json"', '"keys/gone.json"', "signer", "cannot be read"),
        ('"keys/transport.json"', '"keys/gone.json"', "transport key", "cannot be read"),
        ('"keys/transport.json"', '"keys/signer.json"', "transport key", "and this node has 0x"),
        ("signer = \"0x", "signer = \"0xab", "config", "40 lower-case hex digits"),
        (f'addresses."{CHAIN}"', 'addresses."eip155:1"', f"payee {CHAIN}", "where this node"),
        (f'\n"{CHAIN}" = "', '\n"eip155:1" = "', f"allowance {CHAIN}", "no gas_allowance"),
        ('profile = "devnet"', 'profile = "testnet"', "profile testnet: endpoints", "1 endpoint"),
        ('profile = "devnet"', 'profile = "mainnet"', "profile mainnet: encryption", "devnet"),
    ],
)  # fmt: skip
def test_each_fault_of_a_config_fails_with_what_to_do(
    config: Path, old: str, new: str, name: str, said: str
) -> None:
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new, 1))
    found = by_name(look_at(config).findings)
    assert found[name].verdict == Verdict.FAIL
    assert said in found[name].finding


RENTED = """
[[backends]]
kind = "akash"
name = "gpu"
base_url = "http://127.0.0.1:9"
api_key_file = "akash.key"
image = "vllm/vllm-openai:v0.11.0"
models = [{ name = "m" }]
price = { output = "280000000000000" }
max_hourly = "0.60"
spend_hour = "0.60"
spend_day = "6"
"""


@pytest.fixture
def renting(config: Path) -> Path:
    """A config with a backend that rents, of which nothing is wrong."""
    key = config.parent / "akash.key"
    key.touch(mode=0o600)
    key.write_text("key")
    config.write_text(config.read_text().replace(LOCAL, LOCAL + RENTED, 1))
    assert worst(look_at(config).findings) == Verdict.OK
    return config


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (LOCAL, LOCAL + LOCAL, "backends: local is there more than once"),
        ("[http]", '[canaries]\ntrusted = "lokal"\n[http]', "no backend is named lokal; there are: local, gpu"),
        ('api_key_file = "akash.key"', 'api_key_file = "gone.key"', "gone.key can't be read"),
        ('max_hourly = "0.60"', "max_hourly = 0.60", 'write the price as a string, "0.6"'),
        ('max_hourly = "0.60"', 'max_hourly = "0.60"\nenv = { VLLM_API_KEY = "x" }', "VLLM_API_KEY is where the node"),
    ],
)  # fmt: skip
def test_what_run_refuses_of_backends_check_refuses(
    renting: Path, old: str, new: str, said: str
) -> None:
    text = renting.read_text()
    assert old in text
    renting.write_text(text.replace(old, new, 1))
    failed = [each for each in look_at(renting).findings if each.verdict == Verdict.FAIL]
    assert len(failed) == 1, failed
    assert said in failed[0].finding
    settings = load(renting)

    async def start() -> None:
        for backend in settings.backend_list():
            backend.keep_in(renting.parent)
            if backend.rents:
                async with backend:
                    pass

    with pytest.raises(VagusError) as refused:
        asyncio.run(start())
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "finding", "advice"),
    [
        ('price = { output = "280000000000000" }', "", "what they cost is given away", "price = { input"),
        ('spend_hour = "0.60"', 'spend_hour = "0.50"', "under max_hourly 0.60", "give spend_hour"),
        ('spend_day = "6"', 'spend_day = "0.50"', "under spend_hour 0.60", "give spend_day"),
        ("[policy]\n", '[policy]\nnetworks = ["lcoal"]\n', "networks: no backend is of network lcoal; there are: akash, local", "mend it"),
        ("[http]", '[policy.per_agent."chat@1"]\nregions = ["eu"]\n[http]', 'per_agent."chat@1".regions: no backend is of region eu', "mend it"),
        ("[http]", '[[policy.before]]\nname = "n"\nlonger = 9\nnetworks = ["akasch"]\n[http]', "before.0.networks: no backend is of network akasch", "mend it"),
    ],
)  # fmt: skip
def test_what_is_hardly_meant_of_backends_is_warned_of(
    renting: Path, old: str, new: str, finding: str, advice: str
) -> None:
    text = renting.read_text()
    assert old in text
    renting.write_text(text.replace(old, new, 1))
    [warned] = [each for each in look_at(renting).findings if each.verdict != Verdict.OK]
    assert warned.verdict == Verdict.WARN
    assert finding in warned.finding
    assert advice in warned.advice


def test_the_price_that_is_proposed_pays_for_the_machine(renting: Path) -> None:
    """0.60 USD for 720,000 tokens, where 10^18 are 3000 USD: 277,777,777,777,777.78 for a million."""
    text = renting.read_text().replace('price = { output = "280000000000000" }', "")
    renting.write_text(text.replace("[http]", '[money]\nusd = "3000"\n[http]', 1))
    advice = by_name([each for each in look_at(renting).findings if each.advice])["backend gpu"]
    assert 'price = { output = "277777777777778" } or more' in advice.advice


@pytest.mark.parametrize("opened", ["[", "{a="])
def test_a_config_or_a_policy_that_is_too_deep_fails_in_words(config: Path, opened: str) -> None:
    deep, text = "x=" + opened * 5000, config.read_text().partition("[policy]")[0]
    policy = config.parent / "policy.toml"
    policy.write_text(deep)
    config.write_text('policy_file = "policy.toml"\n' + text)
    [found] = look_at(config).findings
    assert (found.name, found.verdict) == ("config", Verdict.FAIL)
    assert found.finding.startswith(f"{policy}: ")
    config.write_text(deep)
    [found] = look_at(config).findings
    assert (found.name, found.verdict) == ("config", Verdict.FAIL)
    assert found.finding.startswith(f"{config}: ")


def test_a_hub_with_another_prefix_than_the_nodes_own_address_fails(tmp_path: Path) -> None:
    """Both are addresses on cosmos:vagus-1, whose id holds no prefix."""
    hub = "cosmos:vagus-1:wasm14hj2tavq8fpesdwxxcu44rty3hh90vhujrvcmstl4zr3txmfvw9s0phg4d"
    other = "cosmos:vagus-1:cosmos14hj2tavq8fpesdwxxcu44rty3hh90vhujrvcmstl4zr3txmfvw9s4hmalr"
    chosen = ChainChoice(
        "cosmos:vagus-1", hub, ("http://127.0.0.1:9",), more={"fee_denom": "stake"}
    )
    config = write_config(make_keys(tmp_path, "devnet"), "devnet", [chosen], 9464)
    assert "hub cosmos:vagus-1" not in by_name(look_at(config).findings)
    config.write_text(config.read_text().replace(hub, other))
    found = by_name(look_at(config).findings)["hub cosmos:vagus-1"]
    assert found.verdict == Verdict.FAIL
    assert found.finding == (
        "its address begins with cosmos1, and this node's own there with wasm1"
    )
    assert "see hub under its [[chains]]" in found.advice


@pytest.mark.parametrize("name", ["signer.json", "account.json", "password"])
def test_a_key_file_that_others_can_read_fails(config: Path, name: str) -> None:
    (config.parent / "keys" / name).chmod(0o644)
    findings = look_at(config).findings
    by_name(findings)
    [first, *_] = [each for each in findings if each.verdict == Verdict.FAIL]
    assert f"{name} has mode 0644" in first.finding
    assert first.advice == f"run chmod 600 {config.parent / 'keys' / name}"


def test_one_bad_file_that_several_keys_need_is_reported_once(config: Path) -> None:
    (config.parent / "keys" / "password").chmod(0o644)
    failed = [each for each in look_at(config).findings if each.verdict == Verdict.FAIL]
    assert [each.name for each in failed] == ["signer"]


def test_a_wrong_keystore_and_a_file_that_is_not_there_say_what_to_do(
    config: Path, tmp_path: Path
) -> None:
    keys = config.parent / "keys"
    make_keys(tmp_path / "other", "devnet")
    (tmp_path / "other" / "keys" / "signer.json").rename(keys / "signer.json")
    found = by_name(look_at(config).findings)
    assert found["signer"].finding == f"wrong password for {keys / 'signer.json'}"
    assert found["signer"].advice.startswith("name the file with the password")
    assert found[f"chain {CHAIN}"].verdict == Verdict.OK

    copied = tmp_path / "elsewhere" / "vagus.toml"
    copied.parent.mkdir()
    copied.write_text(config.read_text())
    failed = [each for each in look_at(copied).findings if each.verdict == Verdict.FAIL]
    [missing] = failed
    assert (
        missing.finding
        == f"{copied.parent}/keys/password cannot be read (No such file or directory)"
    )
    assert missing.advice.endswith(f"starts at the config's folder, {copied.parent}")


def test_a_config_that_is_not_there_says_how_to_come_by_one(tmp_path: Path) -> None:
    [only] = look_at(tmp_path / "vagus.toml").findings
    assert (only.verdict, only.finding) == (
        Verdict.FAIL,
        f"{tmp_path / 'vagus.toml'}: no such file",
    )
    assert only.advice.startswith("`vagus init` writes one")


@pytest.fixture
def sealed(config: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config whose passwords systemd hands over; they are in a folder of their own."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    given = config.parent / "given"
    given.mkdir(mode=0o700)
    (config.parent / "keys" / "password").rename(given / "vagus.password")
    text = config.read_text()
    assert text.count('"keys/password"') == 3
    config.write_text(text.replace("keys/password", "${CREDENTIALS_DIRECTORY}/vagus.password"))
    return config


def test_a_credential_that_only_the_unit_has_is_one_calm_line(
    sealed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = look_at(sealed)
    found = by_name(looked.findings)
    assert [each.name for each in looked.findings if each.verdict != Verdict.OK] == ["credential"]
    assert found["credential"].verdict == Verdict.WARN
    assert (
        "CREDENTIALS_DIRECTORY is not set here: keys are not opened" in found["credential"].finding
    )
    assert "LoadCredentialEncrypted=vagus.password" in found["credential"].advice
    keystore = json.loads((sealed.parent / "keys" / "signer.json").read_bytes())
    assert f"0x{keystore['address'].lower()}, as " in found["signer"].finding
    assert {f"chain {CHAIN}", "profile devnet", "roster"} <= found.keys()

    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(sealed.parent / "given"))
    assert worst(look_at(sealed).findings) == Verdict.OK
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(sealed.parent / "nothing"))
    failed = [each for each in look_at(sealed).findings if each.verdict == Verdict.FAIL]
    assert [each.name for each in failed] == ["signer"]


async def test_without_its_credential_a_config_is_looked_at_as_far_as_that_goes(
    sealed: Path,
) -> None:
    found = await doctor(sealed, sending(response(GOOD)))
    assert found["credential"].verdict == Verdict.WARN
    assert found[f"quorum {CHAIN}"].finding == "0 of 1 endpoints are sound, 1 must agree"
    assert found["model m"].verdict == Verdict.OK


async def test_a_backend_whose_key_is_a_credential_is_left_out(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    other = 'kind = "openai"\nname = "far"\nbase_url = "http://127.0.0.1:9/v1"\n'
    key = 'api_key_file = "${CREDENTIALS_DIRECTORY}/far.key"\n'
    config.write_text(config.read_text().replace(LOCAL, f"{LOCAL}[[backends]]\n{other}{key}", 1))
    found = await doctor(config, sending(response(GOOD)))
    assert found["backend far"].verdict == Verdict.WARN
    assert found["model m"].verdict == Verdict.OK
    assert "model far" not in found


@pytest.mark.parametrize(
    ("data", "mode", "said", "advice"),
    [
        (b"garbage", 0o600, "is no tokens file", "name another in http.tokens_file"),
        (b"{}", 0o644, "has mode 0644", "run chmod 600 "),
    ],
)
def test_a_tokens_file_that_a_node_would_refuse_fails(
    config: Path, data: bytes, mode: int, said: str, advice: str
) -> None:
    text = config.read_text()
    config.write_text(text.replace("# tokens_file", "tokens_file", 1))
    tokens = config.parent / "tokens.json"
    assert by_name(look_at(config).findings)["tokens"].finding == f"none yet in {tokens}"
    new_token(tokens, "ops", ["intents:write"])
    assert by_name(look_at(config).findings)["tokens"].finding == f"1 token in {tokens}"
    tokens.write_bytes(data)
    tokens.chmod(mode)
    found = by_name(look_at(config).findings)["tokens"]
    assert found.verdict == Verdict.FAIL
    assert said in found.finding
    assert found.advice.startswith(advice)


def test_a_folder_and_a_config_that_others_can_read_are_warned_of(config: Path) -> None:
    (config.parent / "keys").chmod(0o755)
    config.chmod(0o644)
    found = by_name(look_at(config).findings)
    assert found["key folder"].advice == f"chmod 700 {config.parent / 'keys'}"
    assert found["config file"].advice == f"chmod 600 {config}"
    assert worst(found.values()) == Verdict.WARN


def test_a_signer_that_is_no_member_fails(config: Path) -> None:
    other = make_keys(config.parent / "other", "devnet")
    text = config.read_text()
    own = next(line for line in text.splitlines() if line.startswith("signer = "))
    config.write_text(text.replace(own, f'signer = "0x{other.signer.hex()}"'))
    found = by_name(look_at(config).findings)
    assert found["roster"].verdict == Verdict.FAIL
    assert "is not in the roster" in found["roster"].finding


def test_a_signer_that_a_roster_file_does_not_name_is_told_how_that_changes(config: Path) -> None:
    found, text = load(config), config.read_text()
    begin = min(text.index("[[committee.members]]"), text.index("\n[committee."))
    table = text[begin : text.index("[[chains]]")]
    other = make_keys(config.parent / "other", "devnet")
    roster = json.loads(found.committee.document())
    roster["members"][0]["signer"] = f"0x{other.signer.hex()}"
    (config.parent / "roster.json").write_text(json.dumps(roster))
    config.write_text('roster_file = "roster.json"\n' + text.replace(table, ""))
    shown = by_name(look_at(config).findings)["roster"]
    assert shown.verdict == Verdict.FAIL
    assert "[[committee.members]]" not in shown.advice
    assert "roster.json, by a proposal (docs/committee.md#joining)" in shown.advice


async def doctor(config: Path, script: Script) -> dict[str, Finding]:
    """The whole report, with a scripted model and no chain."""
    async with scripted(script) as model:
        table = f'[[backends]]\nkind = "openai"\nname = "m"\nbase_url = "{model.base_url}"\n'
        text = config.read_text().replace(LOCAL, table + 'models = [{ name = "m" }]\n', 1)
        config.write_text(text)
        reported: list[Finding] = []
        found = await examine(config, reported.append, lambda _: None)
        assert reported == found
    return by_name(found)


def test_a_confidential_backend_that_trusts_nobody_is_warned_of(config: Path) -> None:
    key = config.parent / "keys" / "ionet"
    key.touch(0o600)
    key.write_text("sk-test")
    table = (
        '[[backends]]\nkind = "ionet-confidential"\nname = "enclave"\nmodels = ["m"]\n'
        f'api_key_file = "{key}"\n'
    )
    text = config.read_text()
    config.write_text(text.replace(LOCAL, table, 1))
    found = [each for each in look_at(config).findings if each.name == "backend enclave"]
    assert [each.verdict for each in found] == [Verdict.OK, Verdict.WARN]
    assert found[1].finding == "it pins no enclave's key: no sealed payload is sent to it"
    assert found[1].advice.startswith("give signers or measurements")
    pinned = f'{table}signers = ["0x{"11" * 20}"]\n'
    config.write_text(text.replace(LOCAL, pinned, 1))
    found = [each for each in look_at(config).findings if each.name == "backend enclave"]
    assert [each.verdict for each in found] == [Verdict.OK]


async def test_a_chain_that_does_not_answer_fails_and_the_rest_is_looked_at(config: Path) -> None:
    found = await doctor(config, sending(response(GOOD)))
    assert found[f"quorum {CHAIN}"].verdict == Verdict.FAIL
    assert found[f"quorum {CHAIN}"].finding == "0 of 1 endpoints are sound, 1 must agree"
    assert found[f"chain {CHAIN}"].verdict == Verdict.OK  # its table
    assert any(name.startswith(f"endpoint {CHAIN} http://127.0.0.1") for name in found)
    assert found["model m"].verdict == Verdict.OK
    assert found["node"].finding == "none runs on this data folder"
    assert found["disk"].verdict in {Verdict.OK, Verdict.WARN}


async def test_a_hub_that_halts_its_chain_is_the_hubs_fault_and_not_the_endpoints(
    config: Path,
) -> None:
    looked = look_at(config)
    assert looked.made is not None
    chain = ScriptedChain(HUB, Wallet(PrivateKey(b"\1" * 32)), looked.made.signer)
    chain.faults["hub_state"].append(Halt(CHAIN, "the hub is of another chain"))
    found = by_name(await look_at_chain(chain, looked.made))
    assert found[f"endpoint {CHAIN} stub"].verdict == Verdict.OK
    assert found[f"hub {CHAIN}"].finding == "the hub is of another chain"
    assert "mend hub under its [[chains]]" in found[f"hub {CHAIN}"].advice
    assert f"account {CHAIN}" not in found


async def test_a_model_that_does_not_answer_fails(config: Path) -> None:
    found = await doctor(config, sending(response(b"{}", status="503 Service Unavailable")))
    assert found["model m"].verdict == Verdict.FAIL


async def test_a_halt_is_said_with_its_time_its_reason_and_its_command(config: Path) -> None:
    data = config.parent / "data"
    data.mkdir(mode=0o700)
    async with SqliteJournal(data / "journal.sqlite") as journal:
        await journal.halt(CHAIN, "the final block 7 was replaced by another one")
        # Read beside the node that has it open.
        found = await doctor(config, sending(response(GOOD)))
    halt = found[f"halt {CHAIN}"]
    assert halt.verdict == Verdict.FAIL
    assert "the final block 7 was replaced" in halt.finding
    assert "UTC" in halt.finding
    assert f"vagus resume {CHAIN}" in halt.advice


async def test_a_journal_of_another_vagus_fails_and_is_left_alone(config: Path) -> None:
    data = config.parent / "data"
    data.mkdir(mode=0o700)
    (data / "journal.sqlite").write_bytes(b"no database" * 1000)
    found = await doctor(config, sending(response(GOOD)))
    assert found["halts"].verdict == Verdict.FAIL
    assert (data / "journal.sqlite").read_bytes() == b"no database" * 1000


def resume(config: Path, *options: str, chain: str = CHAIN, answer: str = "") -> Result:
    arguments = ["resume", chain, "--config", str(config), *options]
    return CliRunner().invoke(app, arguments, input=answer)


def halts(config: Path) -> list[str]:
    with read_only(config.parent / "data" / "journal.sqlite") as db:
        return [row[0] for row in db.execute("SELECT chain FROM halts")]


async def halted(config: Path) -> None:
    async with SqliteJournal(config.parent / "data" / "journal.sqlite") as journal:
        await journal.halt(CHAIN, "the final block 7 was replaced by another one")


def test_a_resume_says_what_was_halted_and_asks(config: Path) -> None:
    assert "is not halted" in resume(config).stderr
    assert not (config.parent / "data").exists()
    (config.parent / "data").mkdir(mode=0o700)
    asyncio.run(halted(config))
    assert isinstance(resume(config, chain="eip155:1").exception, ConfigError)
    for answer, left in (("n\n", [CHAIN]), ("y\n", [])):
        result = resume(config, answer=answer)
        assert result.exit_code == (1 if left else 0)
        assert "the final block 7 was replaced" in result.stderr
        assert halts(config) == left
    assert json.loads(resume(config, "--json").stdout) == {"chain": CHAIN, "resumed": False}


async def test_a_resume_without_a_terminal_says_what_to_give(config: Path) -> None:
    (config.parent / "data").mkdir(mode=0o700)
    await halted(config)
    code, _, err = await vagus("resume", CHAIN, "--config", config)
    assert code == 2
    assert err.splitlines()[-1].endswith(
        f"{CHAIN} stays halted: answer y, or give --yes where nobody can"
    )
    assert halts(config) == [CHAIN]
    code, _, err = await vagus("resume", CHAIN, "--config", config, "--yes")
    assert (code, halts(config)) == (0, [])
    assert "Have you looked" not in err


def test_a_backend_is_named_by_its_kind_and_a_region_that_nobody_gave_is_said_so(
    config: Path,
) -> None:
    server = '[[backends]]\nkind = "openai"\nname = "gpu"\nbase_url = "http://127.0.0.1:9/v1"\n'
    server += 'models = [{ name = "m" }]\n'
    config.write_text(config.read_text().replace(LOCAL, server))
    found = by_name(look_at(config).findings)["backend gpu"]
    assert found.finding == "kind openai, region not given"


async def test_a_report_that_nobody_watches_is_plain_lines(config: Path) -> None:
    """No colour, and nothing of a log, on a chain that does not answer and a broken model."""
    config.write_text(config.read_text().replace(LOCAL, f'{LOCAL}model_path = "/dev/null"\n'))
    code, out, err = await vagus("doctor", "--config", config)
    assert code == 1
    assert "\x1b" not in out + err
    starts = ("ok  ", "warn", "fail", "      → ")
    assert all(line.startswith(starts) for line in out.splitlines())
    assert all(line.startswith("… ") for line in err.splitlines()), err


async def test_a_halt_says_the_whole_way_back(config: Path) -> None:
    (config.parent / "data").mkdir(mode=0o700)
    await halted(config)
    halt = by_name(await examine(config, lambda _: None, lambda _: None))[f"halt {CHAIN}"]
    steps = ["stop the node", "correct rpc", f"vagus resume {CHAIN}", "start the node"]
    places = [halt.advice.index(step) for step in steps]
    assert places == sorted(places)
    assert f"POST /v1/chains/{CHAIN}/resume" in halt.advice


def test_who_holds_a_folder_is_known_without_touching_it(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    with data_folder(tmp_path / "data") as folder:
        assert holder(folder) == os.getpid()
        asked = [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path;"
            "from vagus.daemon.journal.lock import holder; print(holder(Path(sys.argv[1])))",
            str(folder),
        ]
        said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
        assert said == f"{os.getpid()}\n"
    assert holder(folder) is None
    assert (folder / "lock").exists()


async def test_a_fault_is_said_once_and_not_logged_as_well(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site", "agents", {"broken": "nowhere:Agent"})
    config.write_text(config.read_text().replace('[agents."choose@1"]', '[agents."broken@1"]'))
    code, out, err = await vagus("check", "--config", config, PYTHONPATH=str(tmp_path / "site"))
    assert (code, err) == (0, "")
    assert "warn  agent broken@1: not served" in out

    make_user = ("keys", "new", config.parent / "keys" / "user.json")
    assert (await vagus(*make_user, "--password-file", config.parent / "keys" / "password"))[0] == 0
    monkeypatch.setattr("vagus.daemon.client.ANSWER_SECONDS", 2.0)
    command = ("intent", "send", "--prompt", "x", "--config", config)
    ended, out, err = await vagus_beside(*command)
    assert (ended, out) == (1, "")
    assert f"{CHAIN} does not answer (http://127.0.0.1:9: " in err
    assert err.count("\n") == 1
