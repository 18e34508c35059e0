"""The node's config: one TOML file, `VAGUS_…` environment on top, every error named and located.

Chains and backends are tables of their plugins' own config models: the `id` of a chain (its CAIP-2
namespace) and the `kind` of a backend pick the plugin. Relative paths start at the file's folder.
Secrets are never in the file: it names keystores and the files that hold their passwords. A path that
names one of systemd's credentials stays as it is written, until what it names is opened.
"""

from __future__ import annotations

import difflib
import re
import stat
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar, get_args

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from vagus.adapters.evm.keystore import load_keystore, read_password
from vagus.adapters.registry import adapter_class
from vagus.agents import AgentRegistry, Policy, agent_class
from vagus.compute.plugins import found
from vagus.compute.registry import backend_class
from vagus.daemon.credentials import is_credential, located
from vagus.daemon.fetch import model_path
from vagus.daemon.roster import Roster
from vagus.protocol import Refuse, VagusError, agent_id, caip2

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from coincurve import PrivateKey
    from pydantic_settings import PydanticBaseSettingsSource

    from vagus.adapters.base import ChainAdapter
    from vagus.compute import Backend

__all__ = [
    "ConfigError",
    "HttpConfig",
    "LogConfig",
    "NoConfigError",
    "Settings",
    "SignerConfig",
    "adapter_of",
    "backend_of",
    "backends_of",
    "load",
]

T = TypeVar("T")

log = structlog.get_logger("vagus.config")

_BRANCH = re.compile(r"[\[\]]|^constrained-|^(str|int|float|bool)$")
_PATHS = {"keystore", "password_file", "api_key_file", "model_path", "tokens_file"}
_KEYS = {"keystore", "password_file"}


class ConfigError(VagusError):
    """The config cannot be used; `lines` say where and what to do, one line a fault."""

    exit_code = 2
    advice = "mend it; docs/config.md has every key"

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class NoConfigError(ConfigError):
    """There is no config at a path that can be read."""

    def __init__(self, fault: str, advice: str) -> None:
        super().__init__([f"{fault}: {advice}"])
        self.fault = fault
        self.advice = advice


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


class SignerConfig(_Section):
    """The committee key: a V3 keystore, and the file with its password."""

    keystore: Path
    password_file: Path

    def open(self) -> PrivateKey:
        """Return the key. Raises WalletError, CredentialError."""
        return load_keystore(located(self.keystore), read_password(located(self.password_file)))


class Settings(BaseSettings):
    """vagus.toml as it is written; `adapters` and `backend_list` read the plugins' tables."""

    model_config = SettingsConfigDict(
        env_prefix="VAGUS_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    profile: Literal["devnet", "testnet", "mainnet"] = "devnet"
    data: Path = Path("data")
    http: HttpConfig = HttpConfig()
    log: LogConfig = LogConfig()
    signer: SignerConfig
    committee: Roster
    policy: Policy = Policy()
    chains: Annotated[tuple[dict[str, Any], ...], Field(min_length=1)]
    backends: Annotated[tuple[dict[str, Any], ...], Field(min_length=1)] = ({"kind": "local"},)
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
        """Return the agents that are served. Raises ConfigError for a wrong table.

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
                model = agent_class(name).Config
            except Refuse as error:
                log.warning("agent not served", agent=name, reason=error.reason)
                continue
            try:
                model.model_validate(table)
            except ValidationError as error:
                raise ConfigError(_lines(error, model, where)) from error
        return AgentRegistry(self.agents)

    def paid_from(self, keystore: Path, password_file: Path) -> Settings:
        """Return the same settings with another account to pay for transactions."""
        keys = {"keystore": keystore, "password_file": password_file}
        return self.model_copy(update={"chains": tuple({**each, **keys} for each in self.chains)})

    def reading(self) -> Settings:
        """Return the same settings without accounts: adapters that read, and open no key."""
        chains = tuple(
            {key: value for key, value in each.items() if key not in _KEYS} for each in self.chains
        )
        return self.model_copy(update={"chains": chains})

    def backend_list(self) -> list[Backend]:
        """Return each backend, not entered yet; fetches the default model where it is missing.

        Raises ConfigError, CredentialError and FetchError.
        """
        return backends_of(self.backends, f"{self.file}: ")


def adapter_of(table: dict[str, Any], where: str) -> ChainAdapter:
    """Return the adapter of a `[[chains]]` table; `where` is its place. Raises as `adapters` does."""
    return _plugin(where, _adapter, table)


def backends_of(tables: Sequence[dict[str, Any]], where: str = "") -> list[Backend]:
    """Return the backends of `[[backends]]` tables; see `Settings.backend_list`."""
    whole = [
        {"model_path": model_path(), **table}
        if table.get("kind") == "local" and "model_path" not in table
        else table
        for table in tables
    ]
    return [backend_of(table, f"{where}backends.{at}") for at, table in enumerate(whole)]


def backend_of(table: dict[str, Any], where: str) -> Backend:
    """Return the backend of a `[[backends]]` table. Raises ConfigError, CredentialError."""
    return _plugin(where, _backend, table)


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
            return env_settings, TomlConfigSettingsSource(settings_cls, toml_file=path)

    _readable(path)
    try:
        settings = FromFile()  # type: ignore[call-arg]  # the sources fill it
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path}: {error}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path} is no text: a config is TOML in UTF-8"]) from error
    except SettingsError as error:
        raise ConfigError([f"environment: {error}; a table in a variable is JSON"]) from error
    except ValidationError as error:
        raise ConfigError(_lines(error, Settings, f"{path}: ")) from error
    base = path.resolve().parent
    return settings.model_copy(
        update={
            "data": base / settings.data.expanduser(),
            "http": HttpConfig.model_validate(_anchor(settings.http.model_dump(), base)),
            "signer": SignerConfig.model_validate(_anchor(settings.signer.model_dump(), base)),
            "chains": tuple(_anchor(table, base) for table in settings.chains),
            "backends": tuple(_anchor(table, base) for table in settings.backends),
        }
    )


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
    return {
        key: _path(str(value), base) if key in _PATHS and value is not None else value
        for key, value in table.items()
    }


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
    opened = {key: located(value) if key in _PATHS else value for key, value in table.items()}
    try:
        return make(model.model_validate(opened))
    except ValidationError as error:
        raise ConfigError(_lines(error, model, where)) from error


def _lines(error: ValidationError, model: type[BaseModel], outer: str) -> list[str]:
    """Return one line a fault: where it is, what is wrong, and what was probably meant.

    `outer` is the place of the model itself: a file and ": ", or a table in it as well.
    """
    lines: dict[str, str] = {}
    for fault in error.errors(include_url=False, include_input=False):
        # pydantic puts the tried branch of a union into the place, as in finality.literal[…].
        place = [part for part in fault["loc"] if not _BRANCH.search(str(part))]
        where = ".".join(str(part) for part in place)
        said = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(place[-1]), _keys(model, place[:-1]), 1, 0.5)
            hint = f'did you mean "{near[0]}"?' if near else "see docs/config.md"
            said = f"unknown key; {hint}"
        lines[where] = f"{lines[where]}, or: {said}" if where in lines else said
    dot = "" if outer.endswith(": ") else "."
    return [f"{outer}{dot * bool(at)}{at}: {said}" for at, said in lines.items()]


def _keys(model: Any, outer: list[int | str]) -> list[str]:
    """Return the keys of the model found at a place in another; none where there is no model."""
    for part in outer:
        if isinstance(part, int):
            continue  # an element of a list of models: the list's annotation names the model
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return []
        field = model.model_fields.get(part)
        if field is None:
            return []
        found = [field.annotation, *get_args(field.annotation)]
        models = [each for each in found if isinstance(each, type) and issubclass(each, BaseModel)]
        model = models[0] if models else None
    return list(model.model_fields) if model is not None else []
