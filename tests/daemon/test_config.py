"""vagus.toml: what is wrong is said in one line that names the key, and never with a secret."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from coincurve import PrivateKey

from support.committees import address_of as address_of_member
from support.committees import roster
from vagus.adapters.evm.keystore import create_keystore, write_secret
from vagus.daemon.config import ConfigError, Settings, load
from vagus.daemon.credentials import CredentialError
from vagus.protocol import address_of

SIGNER = "0x" + "ab" * 20
HUB = "eip155:31337:0x" + "11" * 20
CANARY = "canary-7f3a"

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VAGUS_DATA", "VAGUS_PROFILE", "VAGUS_HTTP__PORT", "VAGUS_LOG__LEVEL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a config that is right but for what a test changes."""

    def write(
        *,
        top: str = "",
        sections: str = "",
        chain: str = "",
        backend: str = 'kind = "openai"\nname = "stub"\nbase_url = "http://127.0.0.1:1/v1"',
        signer: str = "",
    ) -> Path:
        path = tmp_path / "vagus.toml"
        path.write_text(
            f"""{top}
[signer]
keystore = "keys/signer.json"
password_file = "keys/password"
{signer}
[[committee.members]]
signer = "{SIGNER}"
[committee.gas_allowance]
"eip155:31337" = "1000"
[[chains]]
id = "eip155:31337"
rpc = "http://127.0.0.1:1"
hub = "{HUB}"
{chain}
[[backends]]
{backend}
{sections}
"""
        )
        return path

    return write


def faults(path: Path) -> list[str]:
    """What is said of a config that cannot be used, without the file's name in front."""
    with pytest.raises(ConfigError) as caught:
        _use(load(path))
    for line in caught.value.lines:
        assert line.startswith(f"{path}: ")
        assert "\n" not in line
    return [line.removeprefix(f"{path}: ") for line in caught.value.lines]


def _use(settings: Settings) -> None:
    settings.adapters()
    settings.backend_list()
    settings.agent_registry()


def test_a_whole_config_is_read(write: Write) -> None:
    settings = load(write(top='profile = "testnet"', sections="[http]\nport = 0"))
    _use(settings)
    assert settings.profile == "testnet"
    assert settings.http.port == 0
    assert settings.committee.gas_allowance == {"eip155:31337": 1000}
    [adapter] = settings.adapters()
    assert adapter.hub == HUB
    [backend] = settings.backend_list()
    assert backend.name == "stub"


def test_the_environment_is_on_top(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAGUS_HTTP__PORT", "1234")
    monkeypatch.setenv("VAGUS_LOG__LEVEL", "debug")
    settings = load(write(sections='[http]\nport = 9\nhost = "::1"'))
    assert settings.http.port == 1234
    assert settings.http.host == "::1"
    assert settings.log.level == "debug"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"top": "profil = 1"}, 'profil: unknown key; did you mean "profile"?'),
        ({"signer": "keystor = 1"}, 'signer.keystor: unknown key; did you mean "keystore"?'),
        ({"sections": "[http]\nprot = 1"}, 'http.prot: unknown key; did you mean "port"?'),
        ({"chain": "poll_intervall = 1"}, "chains.0.poll_intervall: unknown key; did you mean"),
        ({"chain": "finalty = 1"}, 'chains.0.finalty: unknown key; did you mean "finality"?'),
        (
            {"sections": '[agents."chat@1"]\nmargn = 1'},
            'agents."chat@1".margn: unknown key; did you mean "margin"?',
        ),
        ({"top": "zzzzzzzz = 1"}, "zzzzzzzz: unknown key; see docs/config.md"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(
    write: Write, changes: dict[str, str], fault: str
) -> None:
    [line] = faults(write(**changes))
    assert line.startswith(fault)


def test_an_unknown_key_of_a_member_is_named(write: Write) -> None:
    path = write()
    path.write_text(path.read_text().replace(f'"{SIGNER}"', f'"{SIGNER}"\nadresses = {{}}'))
    [line] = faults(path)
    assert line == 'committee.members.0.adresses: unknown key; did you mean "addresses"?'


def test_canaries_that_trust_no_backend_of_the_node_are_an_error(write: Write) -> None:
    settings = load(write(sections='[canaries]\ntrusted = "gpu"'))
    with pytest.raises(ConfigError) as raised:
        settings.backend_list()
    [line] = raised.value.lines
    assert line.endswith("canaries.trusted: no backend is named gpu; there are: stub")


def test_an_unknown_key_of_a_backend_is_named(write: Write) -> None:
    backend = 'kind = "openai"\nname = "s"\nbase_url = "http://h/v1"\nregoin = "eu"'
    [line] = faults(write(backend=backend))
    assert line == 'backends.0.regoin: unknown key; did you mean "region"?'


def test_every_fault_of_a_file_is_said_at_once(write: Write) -> None:
    lines = faults(write(top='profil = 1\nprofile = "paper"', sections="[http]\nport = 70000"))
    assert len(lines) == 3
    assert any(line.startswith("http.port: ") for line in lines)
    assert any(line.startswith("profile: ") for line in lines)


def test_relative_paths_start_at_the_files_folder(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(top='data = "d"')
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    settings = load(path)
    assert settings.data == tmp_path / "d"
    assert settings.signer.keystore == tmp_path / "keys" / "signer.json"
    assert settings.signer.password_file == tmp_path / "keys" / "password"


def test_absolute_paths_and_those_from_home_are_kept(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert load(write(top='data = "/var/lib/vagus"')).data == Path("/var/lib/vagus")
    assert load(write(top='data = "~/d"')).data == Path("/home/somebody/d")


def test_a_systemd_credential_is_named_by_its_folder(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(chain='keystore = "keys/signer.json"\npassword_file = "keys/password"')
    path.write_text(path.read_text().replace("keys/password", "${CREDENTIALS_DIRECTORY}/secret"))
    (tmp_path / "given").mkdir(mode=0o700)
    write_secret(tmp_path / "given" / "secret", b"opens it")
    address = create_keystore(tmp_path / "keys" / "signer.json", "opens it", cost=2)

    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    settings = load(path)
    assert str(settings.signer.password_file) == "${CREDENTIALS_DIRECTORY}/secret"
    [reader] = settings.reading().adapters()
    assert (reader.hub, any(reader.account)) == (HUB, False)
    for opening in (settings.signer.open, settings.adapters):
        with pytest.raises(
            CredentialError, match="CREDENTIALS_DIRECTORY is not set here"
        ) as caught:
            opening()
        assert "-p LoadCredentialEncrypted=secret vagus" in caught.value.advice
        assert caught.value.exit_code == 2

    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "given"))
    assert address_of(settings.signer.open()) == address
    [adapter] = settings.adapters()
    assert adapter.account[12:] == address


def test_paths_in_plugins_tables_start_at_the_files_folder(write: Write, tmp_path: Path) -> None:
    settings = load(
        write(
            chain='keystore = "pay.json"\npassword_file = "pay.txt"',
            backend='kind = "openai"\nname = "s"\nbase_url = "http://h/v1"\napi_key_file = "key"',
        )
    )
    assert settings.chains[0]["keystore"] == tmp_path / "pay.json"
    assert settings.chains[0]["password_file"] == tmp_path / "pay.txt"
    assert settings.backends[0]["api_key_file"] == tmp_path / "key"


def test_a_fault_in_a_plugins_table_is_located(write: Write) -> None:
    [line] = faults(write(chain="timeout = -1"))
    assert line.startswith("chains.0.timeout: ")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('id = "eip155:31337"', 'id = "near:1"', "chains.0: no adapter for 'near'"),
        ('id = "eip155:31337"', 'id = "Ethereum"', "chains.0: 'Ethereum' is not a CAIP-2 chain id"),
        ('kind = "openai"', 'kind = "opnai"', "backends.0: "),
        ('id = "eip155:31337"\n', "", "chains.0: "),
    ],
)
def test_a_plugin_that_is_not_there_is_located(
    write: Write, old: str, new: str, fault: str
) -> None:
    path = write()
    path.write_text(path.read_text().replace(old, new))
    [line] = faults(path)
    assert line.startswith(fault)


def test_a_chain_is_there_once(write: Write) -> None:
    path = write()
    again = f'[[chains]]\nid = "eip155:31337"\nrpc = "http://h"\nhub = "{HUB}"\n'
    path.write_text(path.read_text() + again)
    assert faults(path) == ["chains: eip155:31337 is there more than once"]


def test_an_agent_that_is_not_installed_is_named(write: Write) -> None:
    [line] = faults(write(sections='[agents."chta@1"]'))
    assert line.startswith('agents."chta@1": not installed; there are ')


def test_a_missing_file_and_a_folder_are_said(tmp_path: Path) -> None:
    for missing in (tmp_path / "vagus.toml", Path("/dev/null/vagus.toml")):
        with pytest.raises(ConfigError, match="no such file: `vagus init` writes one"):
            load(missing)
    with pytest.raises(ConfigError, match="is a folder: name the file in it"):
        load(tmp_path)
    with pytest.raises(ConfigError, match="/dev/null is no regular file: name the node's"):
        load(Path("/dev/null"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user who may not read")
def test_a_file_of_somebody_else_is_said(write: Write, tmp_path: Path) -> None:
    path = write()
    tmp_path.chmod(0o700)
    os.seteuid(65_534)
    try:
        with pytest.raises(ConfigError, match=r"\(Permission denied\): run as the user whose node"):
            load(path)
    finally:
        os.seteuid(0)


def test_what_is_no_toml_is_said_with_its_place(write: Write) -> None:
    [line] = faults(write(top="data = "))
    assert "line 1" in line


def test_a_missing_section_is_named(tmp_path: Path) -> None:
    path = tmp_path / "vagus.toml"
    path.write_text("")
    assert {line.split(":")[0] for line in faults(path)} == {"signer", "committee", "chains"}


@pytest.mark.parametrize(
    "changes",
    [
        {"chain": f'rpc_url = "http://user:{CANARY}@h"'},
        {"chain": f'ws = "not a url {CANARY}"'},
        {"chain": f'password = "{CANARY}"'},
        {"backend": f'kind = "openai"\nname = "s"\nbase_url = "{CANARY}"'},
        {"backend": f'kind = "openai"\nname = "s"\nbase_url = "http://h/v1"\napi_key = "{CANARY}"'},
        {"signer": f'password = "{CANARY}"'},
        {"sections": f'[http]\nport = "{CANARY}"'},
        {"top": f'profile = "{CANARY}"'},
    ],
)
def test_no_value_is_ever_quoted_in_an_error(write: Write, changes: dict[str, str]) -> None:
    assert CANARY not in "\n".join(faults(write(**changes)))


def test_a_secret_in_the_environment_is_not_quoted(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAGUS_HTTP__PORT", CANARY)
    assert CANARY not in "\n".join(faults(write()))


def test_settings_show_no_secret_of_a_plugins_table(write: Write) -> None:
    settings = load(write(chain=f'ws = "ws://user:{CANARY}@127.0.0.1:1"'))
    assert CANARY not in repr(settings.adapters()[0])


# The committee: its roster, and this member's transport key


def committee_file(path: Path, tmp_path: Path, *numbers: int, **changes: object) -> Path:
    """Take the roster out of a config and put one of these members into a file beside it."""
    text = path.read_text()
    start, end = text.index("[[committee.members]]"), text.index("[[chains]]")
    path.write_text(text[:start] + text[end:])
    document = roster(*numbers, **changes).document()
    (tmp_path / "roster.json").write_bytes(document)
    return path


def test_the_roster_may_be_a_file_of_its_own(write: Write, tmp_path: Path) -> None:
    path = committee_file(write(top='roster_file = "roster.json"'), tmp_path, 1, 2, 3)
    settings = load(path)
    assert settings.committee == roster(1, 2, 3)
    assert settings.roster_file == tmp_path / "roster.json"


def test_the_environment_may_name_the_rosters_file(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = committee_file(write(), tmp_path, 1, 2)
    monkeypatch.setenv("VAGUS_ROSTER_FILE", str(tmp_path / "roster.json"))
    assert load(path).committee == roster(1, 2)


def test_a_policy_may_begin_with_the_mark_that_some_editors_write(
    write: Write, tmp_path: Path
) -> None:
    (tmp_path / "policy.toml").write_bytes(b"\xef\xbb\xbfmin_fee = 7\n")
    assert load(write(top='policy_file = "policy.toml"')).policy.min_fee == 7


def test_the_policy_may_be_a_file_of_its_own(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "policy.toml").write_text(
        'regions = ["eu"]\n[[before]]\nname = "no cards"\ndata = ["card"]\n'
        '[per_agent."chat@1"]\nnetworks = ["akash"]\n'
    )
    settings = load(write(top='policy_file = "policy.toml"'))
    assert settings.policy.regions == ("eu",)
    assert settings.policy.before[0].name == "no cards"
    assert settings.policy.per_agent["chat@1"].networks == ("akash",)
    assert settings.policy_file == tmp_path / "policy.toml"
    monkeypatch.setenv("VAGUS_POLICY_FILE", str(tmp_path / "policy.toml"))
    assert load(write()).policy == settings.policy


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            None,
            "policy.toml cannot be read (No such file or directory): name this operator's policy",
        ),
        ("regions = 5", "policy.toml: regions: "),
        ("region = []", 'policy.toml: region: unknown key; did you mean "regions"?'),
        ("regions = [", "policy.toml: "),
        ('[[before]]\nname = "x"', "policy.toml: before.0: rule 'x' has no condition"),
        ('[[after]]\nname = "x"\nlonger = "nine"', "policy.toml: after.0.longer: "),
        ('[per_agent.chat]\nregions = ["eu"]', "policy.toml: per_agent"),
    ],
)
def test_a_policy_that_is_misspelt_is_told_with_its_place(
    write: Write, tmp_path: Path, written: str | None, said: str
) -> None:
    if written is not None:
        (tmp_path / "policy.toml").write_text(written)
    with pytest.raises(ConfigError) as caught:
        load(write(top='policy_file = "policy.toml"'))
    assert said in caught.value.lines[0]


def test_two_policies_are_one_too_many(write: Write, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text("")
    path = write(top='policy_file = "policy.toml"', sections="[policy]\nmin_fee = 1")
    assert faults(path) == ["policy_file and [policy] both give the policy: leave one out"]


def test_two_rosters_are_one_too_many(write: Write, tmp_path: Path) -> None:
    (tmp_path / "roster.json").write_bytes(roster(1).document())
    assert faults(write(top='roster_file = "roster.json"')) == [
        "roster_file and [committee] both give the roster: leave one out"
    ]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "cannot be read (No such file or directory)"),
        (b"{", "is no JSON"),
        (b'{"members": []}', "a committee has 1 to 32 members"),
        (b'{"members": [{"signer": "0x12"}]}', "members.0.signer: is 0x and 40 lower-case"),
        (b'{"membres": []}', 'membres: unknown key; did you mean "members"?'),
    ],
)
def test_a_rosters_file_that_is_none_is_named(
    write: Write, tmp_path: Path, data: bytes | None, said: str
) -> None:
    path = committee_file(write(top='roster_file = "roster.json"'), tmp_path, 1)
    file = tmp_path / "roster.json"
    file.unlink()
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(ConfigError) as raised:
        load(path)
    assert all(line.startswith(str(file)) for line in raised.value.lines)
    assert said in str(raised.value)


def test_a_node_whose_agents_are_not_the_rosters_does_not_start(
    write: Write, tmp_path: Path
) -> None:
    agents = {"choose@1": {"version": "1.0.0"}}
    path = committee_file(write(top='roster_file = "roster.json"'), tmp_path, 1, 2, agents=agents)
    with pytest.raises(ConfigError) as raised:
        load(path).agent_registry()
    missing, extra = raised.value.lines
    assert 'agents."choose@1": the roster has it and this node does not' in missing
    assert 'agents."chat@1": the roster does not have it' in extra


TRANSPORT = '[transport_key]\nkeystore = "keys/transport.json"\npassword_file = "keys/password"'
BROKER = '[[transports]]\nkind = "mqtt"\nurl = "mqtt://127.0.0.1:1"\n'


def test_a_member_among_others_wants_the_transport_key_that_the_roster_has(
    write: Write, tmp_path: Path
) -> None:
    write_secret(tmp_path / "keys" / "password", b"opens it")
    keystore = tmp_path / "keys" / "transport.json"
    address = create_keystore(keystore, "opens it", PrivateKey(bytes([101]) * 32), cost=2)
    top = 'roster_file = "roster.json"'
    alone = load(committee_file(write(top=top), tmp_path, 1))
    assert alone.member_key(address_of_member(1)) is None
    mute = load(committee_file(write(top=top, sections=TRANSPORT), tmp_path, 1, 2))
    with pytest.raises(ConfigError, match="transports: members of a committee talk: name a broker"):
        mute.member_key(address_of_member(1))
    several = load(committee_file(write(top=top, sections=BROKER), tmp_path, 1, 2))
    with pytest.raises(ConfigError, match="transport_key: a committee of 2 talks"):
        several.member_key(address_of_member(1))
    own = load(committee_file(write(top=top, sections=BROKER + TRANSPORT), tmp_path, 1, 2))
    key = own.member_key(address_of_member(1))
    assert key is not None
    assert key.address == address
    with pytest.raises(ConfigError, match="and this node has"):
        own.member_key(address_of_member(2))
