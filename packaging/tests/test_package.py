"""The package on a bare Debian, from nothing to the first fee, under its own systemd.

The tests follow docs/operators.md, and go on from each other in their order.
"""

import asyncio
import fcntl
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from machine import Machine

from support.client import Chain, Client, until
from support.node import vagus
from support.node_devnet import Devnet
from vagus.daemon.fetch import cache_dir

pytestmark = pytest.mark.asyncio(loop_scope="session")

CONFIG = "/etc/vagus/vagus.toml"
DROP_IN = "/etc/systemd/system/vagus.service.d/test.conf"


def journal(machine: Machine, *match: str) -> list[dict[str, Any]]:
    """The node's entries in systemd's journal."""
    shown = machine.run("journalctl", "-o", "json", "SYSLOG_IDENTIFIER=vagus", *match)
    return [json.loads(line) for line in shown.splitlines() if line.startswith("{")]


async def start(machine: Machine) -> None:
    code, said = await asyncio.to_thread(machine.ended, "systemctl", "restart", "vagus")
    assert code == 0, said + machine.run("journalctl", "-u", "vagus", "-n", "30", "--no-pager")


async def test_installing_makes_a_user_and_starts_nothing(machine: Machine) -> None:
    assert machine.run("vagus", "--version", user="vagus").startswith("vagus ")
    for path, mode in (("/etc", "750"), ("/var/lib", "700"), ("/var/cache", "750")):
        assert machine.run("stat", "-c", "%a %U %G", f"{path}/vagus") == f"{mode} vagus vagus\n"
    assert machine.unit("ActiveState", "UnitFileState") == ["inactive", "disabled"]
    machine.run("systemctl", "start", "vagus")
    assert machine.unit("ActiveState", "ConditionResult") == ["inactive", "no"]
    assert machine.run("dpkg", "-V", "vagus") == ""
    assert machine.run("systemd-analyze", "verify", "vagus.service") == ""


@pytest.mark.parametrize("unit", ["vagus", "vagus-worker"])
async def test_the_units_are_hardened(machine: Machine, unit: str) -> None:
    said = machine.run("systemd-analyze", "security", "--no-pager", f"{unit}.service")
    found = re.search(rf"Overall exposure level for {unit}\.service: ([0-9.]+)", said)
    assert found
    print(f"exposure {found[1]}")
    assert float(found[1]) <= 1.5


async def test_a_node_is_made_as_its_user_and_passes_its_check(
    machine: Machine, devnet: Devnet, client: Client
) -> None:
    chain = client.chains[0]
    code, said = machine.ended("vagus", "init", "/etc/vagus", "--profile", "devnet", user="vagus")
    assert code == 2, said
    signer, account = re.findall(r"^(?:signer|account) +(0x[0-9a-f]{40})", said, re.MULTILINE)
    keys = devnet.folder / "keys"
    deployed, out, err = await vagus(
        *("hub", "deploy", "--json", "--rpc", chain.rpc, "--signer", signer),
        *("--keystore", keys / "account.json", "--password-file", keys / "password"),
    )
    assert deployed == 0, err
    hub = json.loads(out)["hub"]
    await chain.web3.provider.make_request("anvil_setBalance", [account, hex(10**20)])  # type: ignore[arg-type]
    table = f"id={chain.caip2},hub={hub},rpc={chain.rpc},ws={chain.ws}"
    made = ("vagus", "init", "/etc/vagus", "--data", "/var/lib/vagus", "--profile", "devnet")
    machine.run(*made, "--chain", table, user="vagus")
    machine.run("vagus", "check", "--config", CONFIG, user="vagus")
    shared = ("env", f"VAGUS_CONFIG={CONFIG}", "XDG_CACHE_HOME=/var/cache")
    machine.put(cache_dir() / "models", "/var/cache/vagus")
    machine.run("chown", "-R", "vagus:vagus", "/var/cache/vagus")
    said = machine.run(*shared, "vagus", "doctor", user="vagus")  # before the unit ever ran
    assert "ok    disk: " in said
    assert "ok    model local: " in said
    for path in ("keys/signer.json", "keys/account.json", "keys/password", "vagus.toml"):
        mode = machine.run("stat", "-c", "%a %U", f"/etc/vagus/{path}")
        assert mode == "600 vagus\n", path


async def test_the_service_answers_and_earns_its_first_fee(
    machine: Machine, devnet: Devnet
) -> None:
    await start(machine)
    assert machine.unit("ActiveState", "Result") == ["active", "success"]
    await machine.is_unit("StatusText", "ready")
    keys = "/etc/vagus/keys"
    user = devnet.chains[0]["private_key"]
    secret = f"umask 077; head -c 24 /dev/urandom | base64 >{keys}/user.password"
    machine.run("sh", "-c", secret, user="vagus")
    password = ("--password-file", f"{keys}/user.password")
    imported = ("keys", "import", f"{keys}/user.json", *password)
    machine.run("vagus", *imported, user="vagus", stdin=f"{user}\n")
    asked = (
        "intent",
        "send",
        "--json",
        "--config",
        CONFIG,
        *password,
        "--prompt",
        "Name a colour.",
    )
    said = await asyncio.to_thread(machine.run, "vagus", *asked, user="vagus")
    answer = json.loads(said.splitlines()[-1])
    assert answer["status"] == "fulfilled"
    ended = await until(
        lambda: asyncio.to_thread(shown, machine, answer["id"]),
        lambda found: found["stage"] == "settled",
    )
    table = tomllib.loads(machine.run("cat", CONFIG))
    account = table["committee"]["members"][0]["addresses"][devnet.chains[0]["caip2"]]
    chain = Chain({**devnet.chains[0], "hub": table["chains"][0]["hub"]})
    assert await chain.credit(account) == int(ended["fee"]) > 0
    print(f"the first fee: {ended['fee']} wei")


def shown(machine: Machine, intent: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        machine.run("vagus", "intent", "show", intent, "--json", "--config", CONFIG, user="vagus")
    )
    return found


async def test_events_are_entries_with_the_intent_and_the_chain(machine: Machine) -> None:
    ended = journal(machine, "VAGUS_EVENT=ended")
    assert len(ended) == 1
    assert re.fullmatch("0x[0-9a-f]{64}", ended[0]["VAGUS_INTENT"])
    assert ended[0]["VAGUS_CHAIN"].startswith("eip155:")
    assert (ended[0]["PRIORITY"], ended[0]["_SYSTEMD_UNIT"]) == ("6", "vagus.service")
    assert [each for each in journal(machine) if int(each["PRIORITY"]) <= 3] == []


async def test_a_killed_node_is_started_again(machine: Machine) -> None:
    machine.run("systemctl", "kill", "--kill-whom=main", "-s", "KILL", "vagus")
    await machine.is_unit("NRestarts", "1")
    await machine.is_unit("ActiveState", "active")
    await machine.is_unit("StatusText", "ready")


async def test_a_node_that_hangs_is_started_again_by_the_watchdog(machine: Machine) -> None:
    machine.run("mkdir", "-p", DROP_IN.rpartition("/")[0])
    machine.run("tee", DROP_IN, stdin="[Service]\nWatchdogSec=6\nWatchdogSignal=KILL\n")
    machine.run("systemctl", "daemon-reload")
    await start(machine)
    await machine.is_unit("StatusText", "ready")
    [before] = machine.unit("NRestarts")
    machine.run("systemctl", "kill", "--kill-whom=main", "-s", "STOP", "vagus")
    await machine.is_unit("NRestarts", str(int(before) + 1))
    await machine.is_unit("ActiveState", "active")
    assert "Watchdog timeout" in machine.run("journalctl", "-u", "vagus", "-o", "cat")
    machine.run("rm", DROP_IN)
    machine.run("systemctl", "daemon-reload")


async def ends_for_good(machine: Machine, code: str) -> None:
    """Starting fails with an exit code, and systemd does not try again."""
    assert machine.ended("systemctl", "restart", "vagus")[0] != 0
    await machine.is_unit("ActiveState", "failed")
    assert machine.unit("ExecMainStatus", "NRestarts") == [code, "0"]
    machine.run("systemctl", "reset-failed", "vagus")


async def test_what_only_a_person_can_mend_is_not_tried_again(machine: Machine) -> None:
    machine.run("systemctl", "stop", "vagus")
    machine.run("sed", "-i", "1i unknown = 1", CONFIG)
    await ends_for_good(machine, "2")
    machine.run("sed", "-i", "1d", CONFIG)

    machine.run("mv", "/var/lib/vagus/journal.sqlite", "/var/lib/vagus/kept")
    machine.run("sh", "-c", "head -c 8192 /dev/urandom >/var/lib/vagus/journal.sqlite")
    await ends_for_good(machine, "3")
    machine.run("mv", "/var/lib/vagus/kept", "/var/lib/vagus/journal.sqlite")

    lock = Path(f"/proc/{machine.pid}/root/var/lib/vagus/lock")
    with lock.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        await ends_for_good(machine, "4")


async def test_the_password_may_be_an_encrypted_credential(machine: Machine) -> None:
    password = machine.run("cat", "/etc/vagus/keys/password")
    machine.run("mkdir", "-p", "/etc/credstore.encrypted")
    stored = "/etc/credstore.encrypted/vagus.password"
    machine.run(
        "systemd-creds",
        "encrypt",
        "--with-key=host",
        "--name=vagus.password",
        "-",
        stored,
        stdin=password,
    )
    assert password.strip() not in machine.run("cat", stored)
    named = 's|password_file = .*|password_file = "${CREDENTIALS_DIRECTORY}/vagus.password"|'
    machine.run("sed", "-i", named, CONFIG)
    machine.run("mv", "/etc/vagus/keys/password", "/root/password")
    await start(machine)
    await machine.is_unit("StatusText", "ready")


async def test_by_hand_the_credential_is_missed_in_one_line_and_all_else_works(
    machine: Machine,
) -> None:
    environment = ("env", f"VAGUS_CONFIG={CONFIG}", "XDG_CACHE_HOME=/var/cache")

    def by_hand(*command: str) -> str:
        return machine.run(*environment, "vagus", *command, user="vagus")

    for command in ("check", "doctor"):
        said = by_hand(command)
        assert said.count("CREDENTIALS_DIRECTORY is not set here: keys are not opened") == 1
    (intent,) = json.loads(by_hand("intent", "list", "--json"))["intents"]
    assert by_hand("intent", "show", intent["id"]).count("settled") > 0
    assert by_hand("intent", "quote").strip().isdigit()
    assert by_hand("hub", "show").startswith("hub ")
    assert "${CREDENTIALS_DIRECTORY}/vagus.password" in by_hand("backup", "/var/lib/vagus/b")
    sent = ("intent", "send", "--no-wait", "--prompt", "Name another colour.")
    asked = by_hand(*sent, "--password-file", "/etc/vagus/keys/user.password").splitlines()[-1]
    await until(
        lambda: asyncio.to_thread(shown, machine, asked), lambda found: found["stage"] == "settled"
    )

    # As docs/operators.md has it: systemd hands the password over, to a command as to the unit.
    handed = ("-p", "User=vagus", "-p", "LoadCredentialEncrypted=vagus.password")
    inherited = ("-E", "VAGUS_CONFIG", "-E", "XDG_CACHE_HOME")
    run = (*environment, "systemd-run", "-q", "--pipe", *handed, *inherited, "vagus")
    said = machine.run(*run, "doctor")
    assert "keys are not opened" not in said
    assert "ok    account " in said
    # Or in a folder that is named where systemd would name its own.
    machine.run("install", "-d", "-o", "vagus", "-m", "700", "/run/by-hand")
    given = "/run/by-hand/vagus.password"
    machine.run("install", "-o", "vagus", "-m", "600", "/root/password", given)
    named = ("env", "CREDENTIALS_DIRECTORY=/run/by-hand", "vagus", "check", "--config", CONFIG)
    assert "keys are not opened" not in machine.run(*named, user="vagus")


async def test_a_node_that_ran_before_an_upgrade_runs_after_it(
    machine: Machine, package: Path
) -> None:
    [before] = machine.unit("MainPID")
    await asyncio.to_thread(machine.run, "dpkg", "-i", f"/root/{package.name}")
    await machine.is_unit("ActiveState", "active")
    assert machine.unit("MainPID") != [before]


async def test_stopping_drains_and_ends_well(machine: Machine) -> None:
    await machine.is_unit("StatusText", "ready")
    await asyncio.to_thread(machine.run, "systemctl", "stop", "vagus")
    assert machine.unit("ActiveState", "Result") == ["inactive", "success"]
    assert journal(machine)[-1]["VAGUS_EVENT"] == "stopped"


async def test_removing_and_purging_keep_keys_and_journal(machine: Machine) -> None:
    machine.run("dpkg", "-r", "vagus")
    said = machine.run("dpkg", "-P", "vagus")
    assert "vagus: kept /etc/vagus, which may hold keys" in said
    assert "vagus: kept /var/lib/vagus" in said
    for path in ("/etc/vagus/keys/signer.json", "/var/lib/vagus/journal.sqlite"):
        machine.run("test", "-f", path)
    for path in (
        "/opt/vagus",
        "/usr/bin/vagus",
        "/lib/systemd/system/vagus.service",
        "/var/cache/vagus",
    ):
        assert machine.ended("test", "-e", path)[0] == 1, path
