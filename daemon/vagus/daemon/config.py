"""The node's config: one TOML file, `VAGUS_…` environment on top, every error named and located.

Chains and backends are tables of their plugins' own config models: the `id` of a chain (its CAIP-2
namespace) and the `kind` of a backend pick the plugin. Relative paths start at the file's folder.
Secrets are never in the file: it names keystores and the files that hold their passwords. A path that
names one of systemd's credentials stays as it is written, until what it names is opened.
"""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeVar

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from vagus.adapters.errors import WalletError
from vagus.adapters.evm.keystore import load_keystore, read_password
from vagus.adapters.registry import adapter_class
from vagus.adapters.signers import KeyConfig, Scheme
from vagus.agents import AgentRegistry, Policy, agent_class
from vagus.compute.plugins import found
from vagus.compute.rates import MoneyConfig
from vagus.compute.registry import backend_class
from vagus.compute.routing.canary import CanaryConfig
from vagus.daemon.backend_checks import name_faults
from vagus.daemon.committee.transport.config import TransportConfig
from vagus.daemon.config_errors import ConfigError, NoConfigError, fault_lines
from vagus.daemon.contracts import ContractCalls
from vagus.daemon.credentials import is_credential, located
from vagus.daemon.fetch import model_path
from vagus.daemon.roster import Roster, read_roster
from vagus.daemon.roster_checks import agent_faults
from vagus.daemon.transport_key import TransportKey
from vagus.protocol import Refuse, VagusError, agent_id, caip2

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from coincurve import PrivateKey

    from vagus.adapters.base import ChainAdapter
    from vagus.adapters.signers import Signer
    from vagus.compute import Backend

__all__ = [
    "ConfigError",
    "HttpConfig",
    "LogConfig",
    "NoConfigError",
    "Settings",
    "SignerConfig",
    "TransportKeyConfig",
    "adapter_of",
    "backend_of",
    "backends_of",
    "check_chain",
    "load",
    "read_roster_file",
]

T = TypeVar("T")

log = structlog.get_logger("vagus.config")

_PATHS = {
    "ca_file",
    "cert_file",
    "key_file",
    "keystore",
    "password_file",
    "api_key_file",
    "quote_file",
    "secret_key_file",
    "model_path",
    "tokens_file",
}
_TOKEN_PATHS = {"module", "pin_file"}
_TOO_DEEP = "lists or tables are in each other deeper than any config needs"
_KEYS = set(KeyConfig.model_fields)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HttpConfig(_Section):
    """Where the node answers over HTTP, and to whom: reading is public, writing needs a token.

    hosts: names under which browsers and scrapers may ask for it, beside addresses and `host`.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 9464
    hosts: tuple[str, ...] = ()
    tokens_file: Path | None = None


class LogConfig(_Section):
    """How the node logs: `auto` is journald where stderr is the journal, console on a terminal, else JSON."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console", "journald"] = "auto"


class SignerConfig(KeyConfig):
    """The committee key: in a keystore, on a PKCS#11 token, or in AWS KMS."""

    @model_validator(mode="after")
    def _any(self) -> Self:
        if not self.where:
            raise ValueError("names no key: give keystore and password_file, pkcs11, or kms")
        return self

    def open(self) -> PrivateKey:
        """Return a keystore's key. Raises WalletError, CredentialError."""
        if self.keystore is None or self.password_file is None:
            raise WalletError("[signer] names a key outside of the node", "name a keystore")
        return load_keystore(located(self.keystore), read_password(located(self.password_file)))

    def open_signer(self) -> Signer:
        """Open the key, wherever it is. Raises WalletError, CredentialError, Retry."""
        opened = KeyConfig.model_validate(_located(self.model_dump()))
        found = opened.open_key(Scheme.SECP256K1)
        assert found is not None  # noqa: S101 - the config has a key
        return found


class TransportKeyConfig(_Section):
    """The key that signs what this member says to the others: a V3 keystore, and its password's file.

    It is always in a keystore: the key that others encrypt to is derived from it.
    """

    keystore: Path
    password_file: Path

    def open(self) -> TransportKey:
        """Return the key. Raises WalletError, CredentialError."""
        password = read_password(located(self.password_file))
        return TransportKey(load_keystore(located(self.keystore), password))


class Settings(BaseSettings):
    """vagus.toml as it is written; `adapters` and `backend_list` read the plugins' tables.

    `committee` is read from `roster_file`, `policy` from `policy_file`, where these are given.
    """

    model_config = SettingsConfigDict(
        env_prefix="VAGUS_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    profile: Literal["devnet", "testnet", "mainnet"] = "devnet"
    data: Path = Path("data")
    roster_file: Path | None = None
    policy_file: Path | None = None
    http: HttpConfig = HttpConfig()
    log: LogConfig = LogConfig()
    signer: SignerConfig
    transport_key: TransportKeyConfig | None = None
    transports: tuple[TransportConfig, ...] = ()
    committee: Roster
    policy: Policy = Policy()
    money: MoneyConfig = MoneyConfig()
    canaries: CanaryConfig | None = None
    chains: Annotated[tuple[dict[str, Any], ...], Field(min_length=1)]
    backends: tuple[dict[str, Any], ...] = ({"kind": "local"},)
    agents: dict[str, dict[str, Any]] = {"chat@1": {}}

    file: ClassVar[str] = "vagus.toml"

    def adapters(self) -> list[ChainAdapter]:
        """Return an adapter for each chain, not entered yet.

        That opens the accounts' keys: raises ConfigError, WalletError, CredentialError.
        """
        ids = [str(table.get("id")) for table in self.chains]
        if twice := sorted({each for each in ids if ids.count(each) > 1}):
            raise ConfigError([f"{self.file}: chains: {', '.join(twice)} is there more than once"])
        return [
            adapter_of(table, f"{self.file}: chains.{at}") for at, table in enumerate(self.chains)
        ]

    def adapter(self, chain: str) -> ChainAdapter:
        """Return a new adapter of one of the chains, not entered yet; raises as `adapters` does."""
        at, table = next(each for each in enumerate(self.chains) if each[1].get("id") == chain)
        return adapter_of(table, f"{self.file}: chains.{at}")

    def agent_registry(self) -> AgentRegistry:
        """Return the agents that are served. Raises ConfigError for a wrong table, or not the roster's.

        An installed agent that cannot be imported stops nothing: it is logged, and its intents are
        refused.
        """
        known = {entry.name.split(".")[0] for entry in found("vagus.agents")}
        for name, table in self.agents.items():
            where = f'{self.file}: agents."{name}"'
            try:
                agent_id(name)
            except ValueError as error:
                raise ConfigError([f"{where}: {error}"]) from None
            if name.split("@")[0] not in known:
                raise ConfigError([f"{where}: not installed; there are {', '.join(sorted(known))}"])
            try:
                agent = agent_class(name)
            except Refuse as error:
                log.warning("agent not served", agent=name, reason=error.reason)
                continue
            try:
                agent.Config.model_validate(table)
            except ValidationError as error:
                raise ConfigError(fault_lines(error, agent.Config, where)) from error
            if agent.asks and not self.backends:
                raise ConfigError(
                    [f"{where}: it asks a model, and nobody serves one: add a table [[backends]]"]
                )
        registry = AgentRegistry(self.agents)
        if faults := list(agent_faults(self.committee, registry)):
            raise ConfigError([f"{self.file}: {fault}" for fault in faults])
        return registry

    def member_key(self, signer: bytes) -> TransportKey | None:
        """Return the transport key of the member that signs as `signer`; None where it talks to nobody.

        Raises ConfigError where there is none though others are in the roster, and for another
        one than the roster's; WalletError, CredentialError.
        """
        member = next((each for each in self.committee.members if each.address == signer), None)
        if len(self.committee.members) > 1 and not self.transports:
            todo = 'name a broker or peers under [[transports]]: kind = "mqtt" or "http"'
            raise ConfigError([f"{self.file}: transports: members of a committee talk: {todo}"])
        if self.transport_key is None:
            if len(self.committee.members) == 1:
                return None
            fault = f"a committee of {len(self.committee.members)} talks"
            todo = "name a keystore under [transport_key]; `vagus keys new` makes one"
            raise ConfigError([f"{self.file}: transport_key: {fault}: {todo}"])
        key = self.transport_key.open()
        if member is not None and member.transport is not None:
            try:
                key.require(member)
            except Refuse as error:
                raise ConfigError([f"{self.file}: transport_key: {error.reason}"]) from None
        return key

    def paid_from(self, keystore: Path, password_file: Path) -> Settings:
        """Return the same settings with another account to pay for transactions."""
        keys = {"keystore": keystore, "password_file": password_file}
        chains = tuple({**each, **keys} for each in self.reading().chains)
        return self.model_copy(update={"chains": chains})

    def reading(self) -> Settings:
        """Return the same settings without accounts: adapters that read, and open no key."""
        chains = tuple(
            {key: value for key, value in each.items() if key not in _KEYS} for each in self.chains
        )
        return self.model_copy(update={"chains": chains})

    def backend_list(self) -> list[Backend]:
        """Return each backend, not entered yet; fetches the default model where it is missing.

        Raises ConfigError, CredentialError and FetchError; WalletError where one of them signs with
        the transport key, and that can't be opened.
        """
        trusted = None if self.canaries is None else self.canaries.trusted
        return backends_of(self.backends, f"{self.file}: ", self.transport_key, trusted)


def adapter_of(table: dict[str, Any], where: str) -> ChainAdapter:
    """Return the adapter of a `[[chains]]` table; `where` is its place. Raises as `adapters` does."""
    return _plugin(where, _adapter, table)


def check_chain(table: dict[str, Any], where: str) -> None:
    """Raise ConfigError for what the adapter of a `[[chains]]` table would refuse; opens no key."""

    def find(table: dict[str, Any]) -> tuple[Callable[[Any], None], type[BaseModel]]:
        return lambda _: None, _adapter(table)[1]

    _plugin(where, find, table)


def backends_of(
    tables: Sequence[dict[str, Any]],
    where: str = "",
    key: TransportKeyConfig | None = None,
    trusted: str | None = None,
) -> list[Backend]:
    """Return the backends of `[[backends]]` tables; see `Settings.backend_list`."""
    whole = [
        {"model_path": model_path(), **table}
        if table.get("kind") == "local" and "model_path" not in table
        else table
        for table in tables
    ]
    backends = [backend_of(table, f"{where}backends.{at}") for at, table in enumerate(whole)]
    if faults := list(name_faults([each.name for each in backends], trusted, where)):
        raise ConfigError(faults)
    if key is not None and (signing := [each for each in backends if each.signs]):
        opened = key.open().key
        for backend in signing:
            backend.sign_with(opened)
    return backends


def backend_of(table: dict[str, Any], where: str) -> Backend:
    """Return the backend of a `[[backends]]` table. Raises ConfigError, CredentialError."""
    backend = _plugin(where, _backend, table)
    backend.read_by(ContractCalls)
    return backend


def load(path: Path) -> Settings:
    """Read a config file with the environment on top. Raises ConfigError."""

    class FromFile(Settings):
        file: ClassVar[str] = str(path)

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            toml = TomlConfigSettingsSource(settings_cls, toml_file=path)
            return env_settings, toml, _NamedFiles(settings_cls)

    _readable(path)
    try:
        settings = FromFile()  # type: ignore[call-arg]  # the sources fill it
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path}: {error}"]) from error
    except RecursionError:
        raise ConfigError([f"{path}: {_TOO_DEEP}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path} is no text: a config is TOML in UTF-8"]) from error
    except SettingsError as error:
        raise ConfigError([f"environment: {error}; a table in a variable is JSON"]) from error
    except ValidationError as error:
        raise ConfigError(fault_lines(error, Settings, f"{path}: ")) from error
    base = path.resolve().parent
    own, policy, key = settings.roster_file, settings.policy_file, settings.transport_key
    return settings.model_copy(
        update={
            "data": base / settings.data.expanduser(),
            "roster_file": None if own is None else _path(str(own), base),
            "policy_file": None if policy is None else _path(str(policy), base),
            "transport_key": None
            if key is None
            else TransportKeyConfig.model_validate(_anchor(key.model_dump(), base)),
            "transports": tuple(
                type(each).model_validate(_anchor(each.model_dump(), base))
                for each in settings.transports
            ),
            "http": HttpConfig.model_validate(_anchor(settings.http.model_dump(), base)),
            "signer": SignerConfig.model_validate(_anchor(settings.signer.model_dump(), base)),
            "chains": tuple(_anchor(table, base) for table in settings.chains),
            "backends": tuple(_anchor(table, base) for table in settings.backends),
        }
    )


class _NamedFiles(PydanticBaseSettingsSource):
    """The roster and the policy, from the files that the config names: below all other sources."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Return nothing: the files fill `committee` and `policy`, and that at once."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Read them. Raises ConfigError."""
        config = Path(self.settings_cls.file)  # type: ignore[attr-defined]  # of Settings alone
        found: dict[str, Any] = {}
        for key, table, read in (
            ("roster_file", "committee", read_roster_file),
            ("policy_file", "policy", read_policy_file),
        ):
            named = self.current_state.get(key)
            if isinstance(named, str):
                if table in self.current_state:
                    fault = f"{key} and [{table}] both give the {key.partition('_')[0]}"
                    raise ConfigError([f"{config}: {fault}: leave one out"])
                found[table] = read(_path(named, config.resolve().parent))
        return found


def read_policy_file(path: Path) -> Policy:
    """Read a policy's TOML file. Raises ConfigError."""
    try:
        return Policy.model_validate(tomllib.loads(path.read_text("utf-8-sig")))
    except RecursionError:
        raise ConfigError([f"{path}: {_TOO_DEEP}"]) from None
    except OSError as error:
        fault = f"{path} cannot be read ({error.strerror})"
        raise ConfigError([f"{fault}: name this operator's policy, a TOML file"]) from None
    except ValidationError as error:
        raise ConfigError(fault_lines(error, Policy, f"{path}: ")) from error
    except ValueError as error:
        raise ConfigError([f"{path}: {error}"]) from None


def read_roster_file(path: Path) -> Roster:
    """Read a roster's JSON file. Raises ConfigError."""
    try:
        return read_roster(path.read_bytes())
    except OSError as error:
        fault = f"{path} cannot be read ({error.strerror})"
        raise ConfigError(
            [f"{fault}: name the committee's roster, as its members have it"]
        ) from None
    except ValidationError as error:
        raise ConfigError(fault_lines(error, Roster, f"{path}: ")) from error
    except ValueError as error:
        raise ConfigError([f"{path}: {error}"]) from None


def _readable(path: Path) -> None:
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode):
            path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError):
        advice = "`vagus init` writes one, and --config names one that is elsewhere"
        raise NoConfigError(f"{path}: no such file", advice) from None
    except OSError as error:
        fault = f"{path} cannot be read ({error.strerror})"
        advice = "run as the user whose node it is, or name another by --config"
        raise NoConfigError(fault, advice) from None
    if stat.S_ISDIR(mode):
        raise NoConfigError(f"{path} is a folder", f"name the file in it, {path / 'vagus.toml'}")
    if not stat.S_ISREG(mode):
        raise NoConfigError(f"{path} is no regular file", "name the node's vagus.toml")


def _anchor(table: dict[str, Any], base: Path) -> dict[str, Any]:
    return _with_paths(table, lambda path: _path(str(path), base))


def _located(table: dict[str, Any]) -> dict[str, Any]:
    return _with_paths(table, located)


def _with_paths(table: dict[str, Any], change: Callable[[Any], Path]) -> dict[str, Any]:
    """Return a table with each of its paths changed, also those of a PKCS#11 key in it."""

    def changed(part: dict[str, Any], paths: set[str]) -> dict[str, Any]:
        return {
            key: change(value) if key in paths and value is not None else value
            for key, value in part.items()
        }

    outer = changed(table, _PATHS)
    if isinstance(token := outer.get("pkcs11"), dict):
        outer["pkcs11"] = changed(token, _TOKEN_PATHS)
    return outer


def _path(text: str, base: Path) -> Path:
    """Return a path of the config: from its folder, from home, or as it is, a credential's."""
    return Path(text) if is_credential(text) else base / Path(text).expanduser()


def _adapter(table: dict[str, Any]) -> tuple[type[ChainAdapter], type[BaseModel]]:
    kind = adapter_class(caip2(str(table.get("id", ""))).split(":")[0])
    return kind, kind.Config


def _backend(table: dict[str, Any]) -> tuple[type[Backend], type[BaseModel]]:
    kind = backend_class(str(table.get("kind", "")))
    return kind, kind.Config


def _plugin(
    where: str,
    find: Callable[[dict[str, Any]], tuple[Callable[[Any], T], type[BaseModel]]],
    table: dict[str, Any],
) -> T:
    """Return the plugin that a table asks for, made of its own config."""
    try:
        make, model = find(table)
    except (VagusError, ValueError) as error:
        raise ConfigError([f"{where}: {error}"]) from error
    try:
        return make(model.model_validate(_located(table)))
    except ValidationError as error:
        raise ConfigError(fault_lines(error, model, where)) from error
