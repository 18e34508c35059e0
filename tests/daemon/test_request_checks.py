"""What `vagus intent send` refuses from the command line and the config alone: no chain answers here."""

import sys
from pathlib import Path

import pytest
from eth_utils.address import to_checksum_address

from vagus.daemon.choices import ChainChoice
from vagus.daemon.cli import main
from vagus.daemon.folder import make_keys, write_config

EVM = "eip155:31337"
SOLANA = "solana:9DMG4YkYHzsEmwef3mYvFJfEMzcn4UPW"
COSMOS = "cosmos:vagus-1"
ADDRESS = "0x5fbdb2315678afecb367f032d93f642f64180aa3"
CHECKED = to_checksum_address(ADDRESS)
CASE = CHECKED[:-3] + CHECKED[-3:].swapcase()
DIGIT = CHECKED[:-2] + "b3"
PROGRAM = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
WASM = "wasm14hj2tavq8fpesdwxxcu44rty3hh90vhujrvcmstl4zr3txmfvw9s0phg4d"
OTHER = "cosmos14hj2tavq8fpesdwxxcu44rty3hh90vhujrvcmstl4zr3txmfvw9s4hmalr"
# Nobody listens there: a command that gets as far as asking a chain says so.
NOWHERE = ("http://127.0.0.1:1",)
MISTYPED = "is mistyped: its checksum (EIP-55) does not fit"
GAS = "a hub takes 0 to 18446744073709551615"
TO_EVM = ("--to", EVM, "--callback", CHECKED)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config with a chain of each kind; the requester has no key."""
    folder = tmp_path_factory.mktemp("node")
    chains = [
        ChainChoice(EVM, f"{EVM}:{ADDRESS}", NOWHERE),
        ChainChoice(SOLANA, f"{SOLANA}:{PROGRAM}", NOWHERE),
        ChainChoice(COSMOS, f"{COSMOS}:{WASM}", NOWHERE, more={"fee_denom": "stake"}),
    ]
    return write_config(make_keys(folder, "devnet"), "devnet", chains, 1)


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[object, str]:
    """The exit code of a command, and its stderr, where it has nothing to print."""
    monkeypatch.setattr(sys, "argv", ["vagus", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    assert out == ""
    return ended.value.code, err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--from", EVM, "--fee", 1 << 256), "is more than there is: on eip155:31337 it is 2^256"),
        (("--from", SOLANA, "--fee", 1 << 64), f"is more than there is: on {SOLANA} it is 2^64"),
        (("--from", SOLANA, "--fee", 1 << 128), "--fee 340282366920938463463374607431768211456 is"),
        (("--from", COSMOS, "--fee", 1 << 128), "is more than there is: on cosmos:vagus-1 it is 2^"),
        (("--from", EVM, "--fee", -1), "--fee -1 is under the hub's minimum of 0"),
        *(
            (("--from", origin, *TO_EVM, "--callback-gas", gas), f"--callback-gas {gas}: {GAS}")
            for origin in (EVM, SOLANA, COSMOS)
            for gas in (-1, 1 << 64, 10**20)
        ),
        (("--callback-gas", "5"), "--callback-gas is for a callback: give --callback too"),
        (("--to", f"{EVM}:{CASE}"), f"'{CASE}' {MISTYPED}"),
        (("--to", f"{EVM}:{DIGIT}"), f"'{DIGIT}' {MISTYPED}"),
        (("--callback", DIGIT), f"--callback {DIGIT}: '{DIGIT}' {MISTYPED}"),
        (("--to", f"{COSMOS}:{OTHER}"), "addresses of cosmos:vagus-1 begin with wasm1"),
        (("--to", COSMOS, "--callback", OTHER), "addresses of cosmos:vagus-1 begin with wasm1"),
        (("--to", f"cosmos:other-1:{OTHER}", "--callback", WASM), "begin with cosmos1"),
        (("--to", COSMOS, "--callback", CHECKED), "is an EVM address, and cosmos:vagus-1 wants"),
        (("--callback", PROGRAM), f"'{PROGRAM}' is a Solana address, and eip155:31337 wants 0x"),
        (("--callback", ""), "--callback is empty: leave it out for no callback"),
        (("--callback", "0x" + "0" * 40), "is nobody: leave --callback out for no callback"),
        (("--to", SOLANA, "--callback", "1" * 32), "is nobody: leave --callback out"),
        (("--model", "0x" + "0" * 64), "is no model's: leave --model out for any"),
        (("--model", ""), "--model '': a digest is 0x and 64 hex digits"),
        (("--model", "0x" + "1 " * 32 + "1" * 32), "a digest is 0x and 64 hex digits"),
        (("--from", ""), "--from '' is not in the config, which has eip155:31337, solana:"),
        (("--to", ""), "--to '' is not in the config, which has eip155:31337, solana:"),
        (("--to", f"{EVM}:{ADDRESS}:x"), f"--to '{EVM}:{ADDRESS}:x' is not in the config"),
    ],
    ids=lambda value: " ".join(str(each)[:24] for each in value) if isinstance(value, tuple) else "",
)  # fmt: skip
def test_what_cannot_be_is_refused_before_any_chain_or_key_is_looked_at(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[object, ...],
    said: str,
) -> None:
    command = ("intent", "send", "--config", config, "--prompt", "x")
    code, err = run(monkeypatch, capsys, *command, *options)
    assert code == 2, err
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [
        ("--to", f"{EVM}:{CHECKED}", "--callback", CHECKED),
        ("--callback", ADDRESS),
        ("--callback", "0x" + ADDRESS[2:].upper(), "--callback-gas", 0),
        ("--to", f"{COSMOS}:{WASM}", "--callback", WASM, "--callback-gas", (1 << 64) - 1),
        ("--to", f"cosmos:other-1:{OTHER}", "--callback", OTHER),
        ("--to", SOLANA, "--callback", PROGRAM),
        ("--from", EVM, "--fee", (1 << 256) - 1),
        ("--from", SOLANA, "--fee", (1 << 64) - 1),
        ("--from", COSMOS, "--fee", (1 << 128) - 1),
        ("--model", "11" * 32),
    ],
)
def test_what_can_be_gets_as_far_as_the_key_to_ask_with(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[object, ...],
) -> None:
    command = ("intent", "send", "--config", config, "--prompt", "x")
    code, err = run(monkeypatch, capsys, *command, *options)
    assert code == 2
    assert "user.json: no such key to ask with" in err


@pytest.mark.parametrize(("flag", "given"), [("--from", ""), ("--to", f"{EVM}:{DIGIT}")])
def test_a_quote_refuses_the_same(
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flag: str,
    given: str,
) -> None:
    code, err = run(monkeypatch, capsys, "intent", "quote", "--config", config, flag, given)
    assert code == 2
    assert err.startswith(f"vagus: {flag} ")


def test_an_id_that_is_empty_is_quoted(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, err = run(monkeypatch, capsys, "intent", "show", "", "--config", config)
    assert (code, err) == (
        2,
        "vagus: '' is no intent's id, 0x and 64 hex digits, and no transaction of a chain\n",
    )
