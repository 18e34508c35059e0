"""What can be said of a config without any network: `vagus check`, and the first part of `doctor`."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vagus.agents import agent_class
from vagus.daemon.config import ConfigError, NoConfigError, Settings, load
from vagus.daemon.credentials import CredentialError
from vagus.daemon.doctor.backends import look_at_backends, make_backends
from vagus.daemon.doctor.finding import Finding, fail, ok, warn
from vagus.daemon.doctor.keys import KeyFiles
from vagus.daemon.profiles import CONFIG_RULES, PROFILES, Made, refusals
from vagus.daemon.tokens import TokenFileError, read_tokens
from vagus.protocol import Account, Refuse, VagusError, address_prefix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vagus.agents import Policy
    from vagus.compute import Backend

__all__ = ["Looked", "look_at"]


@dataclass(frozen=True)
class Looked:
    """What a config turned out to be; `made` is None where it can't be used at all."""

    findings: tuple[Finding, ...]
    settings: Settings | None
    made: Made | None


def look_at(path: Path) -> Looked:
    """Look at a config file and at the files that it names; opens the keys, asks nobody."""
    try:
        settings = load(path)
    except NoConfigError as error:
        return Looked((fail("config", error.fault, error.advice),), None, None)
    except ConfigError as error:
        return Looked(tuple(_faults("config", error)), None, None)
    findings = [ok("config", f"{path} is understood"), *_readable(path, settings)]
    keys = KeyFiles(settings)
    made_of = make_backends(settings)
    findings += [*keys.findings, *_tokens(settings), *look_at_backends(settings, made_of)]
    findings += [*_agents(settings), *_policy(settings, made_of)]
    if keys.signer is None or keys.adapters is None:
        return Looked(tuple(findings), settings, None)
    made = Made(settings, keys.adapters, keys.signer)
    findings += [*_profile(made), *_roster(made)]
    return Looked(tuple(findings), settings, made)


def _faults(name: str, error: ConfigError) -> Iterator[Finding]:
    for line in error.lines:
        yield fail(name, line, error.advice)


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


def _policy(settings: Settings, made_of: list[Backend | VagusError]) -> Iterator[Finding]:
    """Say which rules hold, and which are about what is not here: agents, networks, regions."""
    policy, where = settings.policy, settings.policy_file or f"[policy] of {settings.file}"
    for name in dict.fromkeys((*policy.agents, *policy.per_agent)):
        if name not in settings.agents:
            advice = f'add [agents."{name}"], or take it out of the policy'
            yield warn("policy", f"{where} names {name}, which is not served here", advice)
    backends = [each for each in made_of if not isinstance(each, VagusError)]
    if len(backends) == len(made_of):  # what can't be made may be of any network
        for place, label in _labels(policy):
            part = place.rpartition(".")[2].removesuffix("s")
            if backends and label not in (known := {getattr(each, part) for each in backends}):
                said = f"{where}: {place}: no backend is of {part} {label}; there are: "
                advice = f"mend it, or give a backend that {part}: nothing goes there"
                yield warn("policy", said + ", ".join(sorted(known)), advice)
    rules = [each for limits in (policy, *policy.per_agent.values()) for each in limits.rules]
    named = ": " + ", ".join(rule.name for rule in rules) if rules else ""
    yield ok("policy", f"{where}, {len(rules)} rule{'s' * (len(rules) != 1)} about content{named}")


def _labels(policy: Policy) -> Iterator[tuple[str, str]]:
    """Yield the networks and regions that a policy names, each with its place."""
    own = {f'per_agent."{name}".': limits for name, limits in policy.per_agent.items()}
    for place, limits in {"": policy, **own}.items():
        yield from ((f"{place}networks", each) for each in limits.networks)
        yield from ((f"{place}regions", each) for each in limits.regions)
        for at, rule in enumerate(limits.before):
            yield from ((f"{place}before.{at}.networks", each) for each in rule.networks)


def _each(table: dict[str, Any], key: str) -> list[str]:
    value = table.get(key, ())
    return [str(each) for each in (value if isinstance(value, list | tuple) else (value,))]


def _tokens(settings: Settings) -> Iterator[Finding]:
    path = settings.http.tokens_file
    if path is None:
        return
    try:
        found = read_tokens(path)
    except CredentialError as error:
        yield warn("tokens", error.fault, error.advice)
    except TokenFileError as error:
        yield fail("tokens", error.fault, error.advice)
    else:
        count = f"{len(found)} token{'s' * (len(found) != 1)}"
        yield ok("tokens", f"{count} in {path}" if path.exists() else f"none yet in {path}")


def _agents(settings: Settings) -> Iterator[Finding]:
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
    roster, file = made.settings.committee, made.settings.roster_file
    # What a file says, its hash is on the hubs: it changes by a proposal, and not by an editor.
    entry = (
        "[[committee.members]]"
        if file is None
        else f"{file}, by a proposal (docs/committee.md#joining)"
    )
    try:
        own = roster.member(made.signer)
    except Refuse as error:
        advice = f"name this node's signer in {entry}, or run with the signer that is there"
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
            f"enter the other operators' signers in {entry}",
        )
    for adapter, table in zip(made.adapters, made.settings.chains, strict=True):
        yield from _prefix(Account.parse(adapter.hub), own.addresses.get(adapter.chain), entry)
        if adapter.chain not in own.addresses:
            yield fail(
                f"payee {adapter.chain}",
                "the roster does not say where this node is paid: intents asked here are refused",
                f'addresses."{adapter.chain}" of this member in {entry}',
            )
        elif any(adapter.account) and adapter.account != own.payee(adapter.chain):
            yield warn(
                f"payee {adapter.chain}",
                f"{own.addresses[adapter.chain]} is not the account "
                f"{adapter.address} that delivers: it is paid no gas",
                "give the account's address in the roster, or pay from another key",
            )
        if not any(table.get(each) for each in ("keystore", "pkcs11", "kms")):
            yield fail(
                f"account {adapter.chain}",
                "no key: nothing can be delivered or settled here",
                "keystore and password_file under its [[chains]], or pkcs11, or kms",
            )
        if adapter.chain not in roster.gas_allowance:
            yield fail(
                f"allowance {adapter.chain}",
                "no gas_allowance: intents that go there are refused",
                f'"{adapter.chain}" under [committee.gas_allowance]'
                if file is None
                else f'gas_allowance."{adapter.chain}" in {entry}',
            )


def _prefix(hub: Account, own: str | None, entry: str) -> Iterator[Finding]:
    """Compare what the CAIP-2 id of a Cosmos chain does not hold, and both addresses there do."""
    if own is None:
        return
    theirs, ours = address_prefix(hub.chain, hub.address), address_prefix(hub.chain, own)
    if theirs != ours:
        yield fail(
            f"hub {hub.chain}",
            f"its address begins with {theirs}1, and this node's own there with {ours}1",
            "one of them is another chain's: see hub under its [[chains]], and "
            f'addresses."{hub.chain}" of this member in {entry}',
        )
