"""Keys outside of the node in its config: named, opened, looked at, and shown to people."""

import json
import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from support.journals import HUB
from support.softhsm import PIN, SoftHsm
from vagus.adapters.errors import WalletError
from vagus.adapters.signers import KeyConfig, Scheme
from vagus.daemon.choices import ChainChoice
from vagus.daemon.cli import app
from vagus.daemon.config import ConfigError, load
from vagus.daemon.doctor.config import look_at
from vagus.daemon.doctor.finding import Finding, Verdict, worst
from vagus.daemon.folder import make_keys, write_config
from vagus.protocol import keccak256

CHAIN = HUB.rpartition(":")[0]
KMS = 'kms = { key = "alias/vagus", region = "eu-central-1" }'
KEYSTORE = re.compile(r'keystore = ".*"\npassword_file = ".*"')


@pytest.fixture
def config(tmp_path: Path) -> Path:
    chosen = ChainChoice(CHAIN, HUB, ("http://127.0.0.1:9",))
    return write_config(make_keys(tmp_path, "devnet"), "devnet", [chosen], 9464)


def with_keys(config: Path, signer: str | None = None, account: str | None = None) -> Path:
    """Put other keys in the place of both keystores, or of one."""
    text = config.read_text()
    for header, keys in (("[signer]", signer), ("[[chains]]", account)):
        before, at, after = text.partition(header)
        if keys is not None:
            after = KEYSTORE.sub(lambda _, keys=keys: keys, after, count=1)  # type: ignore[misc]
        text = before + at + after
    config.write_text(text)
    return config


def on_token(hsm: SoftHsm, key: str, pin_file: str = "keys/pin") -> str:
    return (
        f'pkcs11 = {{ module = "{hsm.module}", token = "vagus", key = "{key}", '
        f'pin_file = "{pin_file}" }}'
    )


@pytest.fixture
def kept(config: Path, hsm: SoftHsm) -> tuple[Path, str, str]:
    """A config whose keys are on a token, and both addresses."""
    labels = [f"{config.parent.name} {name}" for name in ("signer", "account")]
    points = [hsm.pair("vagus", label) for label in labels]
    addresses = [f"0x{keccak256(point[3:])[12:].hex()}" for point in points]
    (config.parent / "keys" / "pin").write_text(PIN)
    (config.parent / "keys" / "pin").chmod(0o600)
    old = by_name(config)["signer"].finding.partition(",")[0]
    with_keys(config, *(on_token(hsm, label) for label in labels))
    config.write_text(config.read_text().replace(old, addresses[0]))
    return config, addresses[0], addresses[1]


def by_name(config: Path) -> dict[str, Finding]:
    return {each.name: each for each in look_at(config).findings}


def test_a_config_with_both_keys_on_a_token_is_well_but_for_where_it_is_paid(
    kept: tuple[Path, str, str],
) -> None:
    config, signer, account = kept
    found = by_name(config)
    assert found["signer"].finding.startswith(f"{signer}, key '")
    assert "of PKCS#11 token 'vagus' opens" in found["signer"].finding
    assert found["roster"].verdict == Verdict.OK
    made = look_at(config).made
    assert made is not None
    assert made.adapters[0].address == account
    assert [where for where, _ in made.keystores()] == ["transport_key"]
    assert made.pin_files() == [config.parent / "keys" / "pin"] * 2
    # The roster still names the keystore's account.
    assert worst(look_at(config).findings) == Verdict.WARN
    assert "is not the account" in found[f"payee {CHAIN}"].finding


def test_keys_show_prints_whose_keys_a_config_names_and_where_they_are(
    kept: tuple[Path, str, str],
) -> None:
    config, signer, account = kept
    ran = CliRunner().invoke(app, ["keys", "show", "--config", str(config), "--json"])
    shown = json.loads(ran.stdout)["keys"]
    assert [each["name"] for each in shown] == ["signer", "transport_key", CHAIN]
    assert (shown[0]["address"], shown[2]["address"]) == (signer, account)
    assert all("PKCS#11 token 'vagus'" in shown[at]["where"] for at in (0, 2))
    assert shown[1]["where"].endswith("keys/transport.json")
    ran = CliRunner().invoke(app, ["keys", "show", "--config", str(config)])
    assert ran.stdout.count("\n") == 3
    assert account in ran.stdout
    assert PIN not in ran.output


def test_keys_show_of_a_keystore_needs_no_config(config: Path) -> None:
    keystore = config.parent / "keys" / "signer.json"
    signer = by_name(config)["signer"].finding.partition(",")[0]
    assert CliRunner().invoke(app, ["keys", "show", str(keystore)]).stdout.strip() == signer


def test_a_key_that_is_not_there_fails_in_words(config: Path, hsm: SoftHsm) -> None:
    with_keys(config, on_token(hsm, "nobody's", str(hsm.folder / "pin")))
    found = by_name(config)["signer"]
    assert found.verdict == Verdict.FAIL
    assert found.finding == ("key \"nobody's\" of PKCS#11 token 'vagus': there is no such key pair")
    assert found.advice.startswith("store a key pair of secp256k1")


def test_a_token_that_is_not_there_fails_for_now(config: Path, hsm: SoftHsm) -> None:
    away = on_token(hsm, "any", str(hsm.folder / "pin")).replace('"vagus"', '"unplugged"')
    with_keys(config, account=away)
    found = by_name(config)[f"account {CHAIN}"]
    assert found.verdict == Verdict.FAIL
    assert "of PKCS#11 token 'unplugged' cannot be used" in found.finding


def test_a_folder_of_a_pin_that_others_can_reach_into_is_warned_of(
    kept: tuple[Path, str, str],
) -> None:
    config, _, _ = kept
    (config.parent / "keys").chmod(0o755)
    assert "others can reach into it" in by_name(config)["key folder"].finding


@pytest.mark.parametrize(
    ("signer", "words"),
    [
        (f'keystore = "a"\npassword_file = "b"\n{KMS}', "keystore and kms name a key each"),
        ('keystore = "a"', "keystore and password_file go together"),
        ('kms = { key = "k" }', "signer.kms.region: Field required"),
        ('kms = { key = "k", region = "r", regoin = "r" }', 'did you mean "region"?'),
        ('pkcs11 = { token = "vagus", key = "k", pin_file = "p" }', "signer.pkcs11.module"),
        ("", "names no key: give keystore and password_file, pkcs11, or kms"),
    ],
)
def test_one_key_and_no_more_is_named(config: Path, signer: str, words: str) -> None:
    with_keys(config, signer or "# none")
    with pytest.raises(ConfigError, match=re.escape(words)):
        load(config)


def test_an_account_has_one_key_too_and_solana_none_in_kms(config: Path) -> None:
    with_keys(config, account=f'keystore = "a"\npassword_file = "b"\n{KMS}')
    with pytest.raises(ConfigError, match="keystore and kms name a key each"):
        load(config).adapters()
    text = config.read_text().replace(f'keystore = "a"\npassword_file = "b"\n{KMS}', KMS)
    solana = "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp"
    text = text.replace(f'id = "{CHAIN}"', f'id = "{solana}"')
    text = text.replace(f'hub = "{HUB}"', f'hub = "{solana}:{"1" * 32}"')
    config.write_text(re.sub("finality = .*", "", text))
    with pytest.raises(ConfigError, match="keys there are secp256k1, and a Solana account's"):
        load(config).adapters()


def test_paths_of_a_token_start_at_the_configs_folder_and_may_be_credentials(
    config: Path, hsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with_keys(config, on_token(hsm, "k", "secret/pin"))
    signer = load(config).signer
    assert signer.pkcs11 is not None
    assert signer.pkcs11.pin_file == config.parent / "secret" / "pin"
    assert signer.pkcs11.module == hsm.module
    config.write_text(config.read_text().replace("secret/pin", "${CREDENTIALS_DIRECTORY}/pin"))
    found = by_name(config)["credential"]
    assert found.verdict == Verdict.WARN
    assert "systemd-run" in found.advice


def test_an_adapter_that_only_reads_and_one_that_another_pays_open_no_key_elsewhere(
    config: Path,
) -> None:
    with_keys(config, account=KMS)
    settings = load(config)
    [reader] = settings.reading().adapters()
    assert not any(reader.account)
    keys = config.parent / "keys"
    [payer] = settings.paid_from(keys / "account.json", keys / "password").adapters()
    assert any(payer.account)


@pytest.mark.parametrize(
    ("extra", "package", "keys"),
    [
        ("kms", "botocore", {"key": "k", "region": "r"}),
        ("pkcs11", "python-pkcs11", {"module": "/m", "token": "t", "key": "k", "pin_file": "/p"}),
    ],
)
def test_an_extra_that_is_missing_is_named(
    extra: str, package: str, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, f"vagus.adapters.signers.{extra}", None)
    with pytest.raises(WalletError, match=f"{package} is not installed: .* 'vagus.{extra}.'"):
        KeyConfig.model_validate({extra: keys}).open_key(Scheme.SECP256K1)
