"""What can be said of a config without any network: `vagus check`, and the first part of `doctor`.

A finding is one line: a verdict, what was looked at, what was found, and for all but "ok" what to
do about it. None holds a secret or a URL's path.
"""

from __future__ import annotations

import enum
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vagus.adapters.evm.keystore import load_keystore, read_password
from vagus.agents import agent_class
from vagus.daemon.config import ConfigError, Settings, backends_of, load
from vagus.daemon.profiles import CONFIG_RULES, PROFILES, Made, open_folder, refusals
from vagus.protocol import Refuse, VagusError, address_of, unpack_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vagus.adapters.base import ChainAdapter

__all__ = ["Finding", "Looked", "Verdict", "look_at", "worst"]


class Verdict(enum.StrEnum):
    """What a finding means: `fail` is what a node does not run with, or not as it should."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a report; `advice` says what to do, and is empty where nothing is to be done."""

    name: str
    verdict: Verdict
    finding: str
    advice: str = ""

    def show(self) -> dict[str, str]:
        """Return it as JSON shows it."""
        return {
            "name": self.name,
            "verdict": str(self.verdict),
            "finding": self.finding,
            "advice": self.advice,
        }


@dataclass(frozen=True)
class Looked:
    """What a config turned out to be; `made` is None where it can't be used at all."""

    findings: tuple[Finding, ...]
    settings: Settings | None
    made: Made | None


def worst(findings: Iterable[Finding]) -> Verdict:
    """Return the verdict of a whole report."""
    found = {each.verdict for each in findings}
    return next((each for each in (Verdict.FAIL, Verdict.WARN) if each in found), Verdict.OK)


def look_at(path: Path) -> Looked:
    """Look at a config file and at the files that it names; opens the keys, asks nobody."""
    try:
        settings = load(path)
    except ConfigError as error:
        return Looked(tuple(_faults("config", error)), None, None)
    findings = [ok("config", f"{path} is understood"), *_readable(path, settings)]
    adapters, chains = _chains(settings)
    signer, keys = _keys(settings)
    findings += [*chains, *keys, *_plugins(settings)]
    if signer is None or adapters is None:
        return Looked(tuple(findings), settings, None)
    made = Made(settings, adapters, signer)
    findings += [*_profile(made), *_roster(made), *_data(settings)]
    return Looked(tuple(findings), settings, made)


def ok(name: str, finding: str) -> Finding:
    """Return a finding that asks for nothing."""
    return Finding(name, Verdict.OK, finding)


def warn(name: str, finding: str, advice: str) -> Finding:
    """Return a finding that somebody should look at."""
    return Finding(name, Verdict.WARN, finding, advice)


def fail(name: str, finding: str, advice: str) -> Finding:
    """Return a finding that keeps a node from its work."""
    return Finding(name, Verdict.FAIL, finding, advice)


def _faults(name: str, error: ConfigError) -> Iterator[Finding]:
    for line in error.lines:
        yield fail(name, line, "mend it; docs/config.md has every key")


def _readable(path: Path, settings: Settings) -> Iterator[Finding]:
    """Warn where an endpoint's URL, which may hold an API key, can be read by others."""
    urls = [url for table in settings.chains for key in ("rpc", "ws") for url in _each(table, key)]
    bare = all(str(url).partition("://")[2].rstrip("/").count("/") == 0 for url in urls)
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o044 and not (bare and not any("@" in url or "?" in url for url in urls)):
        yield warn(
            "config file",
            f"{path} has mode {mode:04o}, and an endpoint's URL in it may hold an API key",
            f"chmod 600 {path}",
        )


def _each(table: dict[str, Any], key: str) -> list[str]:
    value = table.get(key, ())
    return [str(each) for each in (value if isinstance(value, list | tuple) else (value,))]


def _chains(settings: Settings) -> tuple[list[ChainAdapter] | None, list[Finding]]:
    """Make the adapters, which opens the accounts' keys."""
    try:
        adapters = settings.adapters()
    except ConfigError as error:
        return None, list(_faults("chains", error))
    except VagusError as error:
        return None, [fail("chains", str(error), "the line says what mends it")]
    return adapters, [
        ok(
            f"chain {each.chain}",
            f"{each.hub}; {each.quorum[0]} of {each.quorum[1]} endpoints agree",
        )
        for each in adapters
    ]


def _plugins(settings: Settings) -> Iterator[Finding]:
    # Only what `vagus run` would fetch is missing: a path in its place keeps this offline.
    tables = [
        {"model_path": Path("fetched"), **table} if table.get("kind") == "local" else table
        for table in settings.backends
    ]
    try:
        for backend in backends_of(tables, f"{settings.file}: "):
            yield ok(f"backend {backend.name}", f"a {type(backend).__name__} in {backend.region}")
    except ConfigError as error:
        yield from _faults("backends", error)
    except VagusError as error:
        yield fail("backends", str(error), "the line says what mends it")
    try:
        settings.agent_registry()
    except ConfigError as error:
        yield from _faults("agents", error)
        return
    for name in settings.agents:
        try:
            found = agent_class(name)
        except Refuse as error:
            yield warn(f"agent {name}", f"not served: {error.reason}", "install it again")
        else:
            yield ok(f"agent {name}", f"version {found.version}")


def _keys(settings: Settings) -> tuple[bytes | None, list[Finding]]:
    """Open the signer's key; the accounts' were opened with their chains."""
    config, findings, signer = settings.signer, [], None
    try:
        signer = address_of(load_keystore(config.keystore, read_password(config.password_file)))
        findings.append(ok("signer", f"0x{signer.hex()}, {config.keystore} opens"))
    except VagusError as error:
        findings.append(fail("signer", str(error), "the line says what mends it"))
    folders = {config.keystore.parent, config.password_file.parent}
    for folder in sorted(each for each in folders if each.is_dir()):
        if (fault := open_folder(folder)) is not None:
            advice = fault.rpartition("run ")[2]
            findings.append(warn("key folder", fault.rpartition(":")[0], advice))
    if settings.profile != "devnet" and config.keystore.parent == config.password_file.parent:
        findings.append(
            warn(
                "password",
                f"{config.password_file.name} lies beside the keystore that it opens",
                "keep it elsewhere, as a systemd credential (password_file): see SECURITY.md",
            )
        )
    return signer, findings


def _profile(made: Made) -> Iterator[Finding]:
    profile = made.settings.profile
    found = refusals(made)
    for rule, words in found:
        finding, _, advice = words.partition(": ")
        yield fail(f"profile {profile}: {rule}", finding, advice)
    if not found:
        held = sum(profile in rule.profiles for rule in CONFIG_RULES)
        yield ok(f"profile {profile}", f"{PROFILES[profile]} ({held} rules hold)")


def _roster(made: Made) -> Iterator[Finding]:
    roster = made.settings.committee
    try:
        own = roster.member(made.signer)
    except Refuse as error:
        advice = "name this node's signer in [[committee.members]], as every member's roster does"
        yield fail("roster", error.reason, advice)
        return
    yield ok(
        "roster",
        f"{len(roster.members)} member{'s' * (len(roster.members) > 1)}, this node among them",
    )
    if made.settings.profile == "mainnet" and len(roster.members) < 2:
        yield warn(
            "roster size",
            "one member, and a mainnet hub's threshold is two or more",
            "enter the other operators' signers in [[committee.members]]",
        )
    for adapter in made.adapters:
        if adapter.chain not in own.addresses:
            yield fail(
                f"payee {adapter.chain}",
                "the roster does not say where this node is paid: intents asked here are refused",
                f'addresses."{adapter.chain}" in its [[committee.members]]',
            )
        elif any(adapter.account) and adapter.account != own.payee(adapter.chain):
            yield warn(
                f"payee {adapter.chain}",
                f"{own.addresses[adapter.chain]} is not the account "
                f"{unpack_address(adapter.chain, adapter.account)} that delivers: it is paid no gas",
                "give the account's address in the roster, or pay from another keystore",
            )
        if not any(adapter.account):
            yield fail(
                f"account {adapter.chain}",
                "no keystore: nothing can be delivered or settled here",
                "keystore and password_file under its [[chains]]",
            )
        if adapter.chain not in roster.gas_allowance:
            yield fail(
                f"allowance {adapter.chain}",
                "no gas_allowance: intents that go there are refused",
                f'"{adapter.chain}" under [committee.gas_allowance]',
            )


def _data(settings: Settings) -> Iterator[Finding]:
    folder = settings.data
    if folder.is_dir() and stat.S_IMODE(folder.stat().st_mode) & 0o077:
        mode = stat.S_IMODE(folder.stat().st_mode)
        yield warn("data folder", f"{folder} has mode {mode:04o}", f"chmod 700 {folder}")
