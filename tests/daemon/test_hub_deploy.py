"""`vagus hub deploy` refuses what cannot work in words that begin with the option, and asks nobody."""

import contextlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from typer.testing import CliRunner

from support.commands import vagus_beside as vagus
from vagus.daemon.cli import app
from vagus.daemon.config import ConfigError
from vagus.daemon.folder import make_keys
from vagus.protocol.bech32 import encode

ONE, TWO = "0x" + "11" * 20, "0x" + "22" * 20
# An address of EIP-55's own text, and the same with another last digit.
CHECKSUMMED = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
MISTYPED = f"{CHECKSUMMED[:-1]}8"
WASM = encode("wasm", b"\x07" * 20)
# Nobody listens there: whatever got as far as asking the chain would say so.
NOWHERE = "http://127.0.0.1:1"
SOLANA = ("--kind", "solana")
COSMOS = ("--kind", "cosmos", "--denom", "stake")
TOO_MANY = tuple(word for at in range(1, 34) for word in ("--signer", f"0x{at:040x}"))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    node = tmp_path_factory.mktemp("hub") / "node"
    make_keys(node, "devnet")
    folder = node / "keys"
    return (
        *("--keystore", str(folder / "account.json")),
        *("--password-file", str(folder / "password")),
    )


# Each with what is wrong on every kind of chain.
@pytest.mark.parametrize("kind", [(), SOLANA, COSMOS], ids=["eip155", "solana", "cosmos"])
@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--min-fee", "-1"), "--min-fee: -1 is outside what "),
        (("--min-fee", str(2**256)), f"--min-fee: {2**256} is outside what "),
        (("--grace", str(10**20)), f"--grace: {10**20} s is outside 0..31622400"),
        (("--grace", "-1"), "--grace: -1 s is outside"),
        (("--grace", "659"), "--grace: 659 s is too short"),
        (("--max-ttl", "31622401"), "--max-ttl: 31622401 s is outside 0..31622400"),
        (("--max-ttl", "119"), "--max-ttl: 119 s is under min_ttl, 120 s"),
        (("--min-ttl", "59"), "--min-ttl: 59 s is too short"),
        (("--slowest", "nan"), "--slowest: nan is no number of seconds"),
        (("--slowest", "inf"), "--slowest: inf is no number of seconds"),
        (("--slowest", "-5"), "--slowest: -5.0 is no number of seconds"),
        (("--slowest", "3000"), "--grace: 3600 s is too short: the slowest"),
        (("--signer", ONE), f"--signer: {ONE} is given more than once"),
        (("--signer", "0x" + "0" * 40), "--signer: the zero address signs nothing"),
        (("--signer", "0x12"), "--signer: '0x12' is not 0x and 40 hex digits"),
        (TOO_MANY, "--signer: a set has 1 to 32 signers, not 34"),
        (("--threshold", "0"), "--threshold: 0 is outside 1..1"),
        (("--threshold", "2"), "--threshold: 2 is outside 1..1"),
        (("--signer", TWO), "--threshold: 1 of 2 is no majority"),
        (("--roster-hash", "0x12"), "--roster-hash: 0x12 is not 0x and 64 hex digits"),
        (("--guardian", "0x12"), "--guardian: '0x12' is "),
        (("--signer", MISTYPED), f"--signer: '{MISTYPED}' is mistyped"),
        (("--rpc", "foo"), "--rpc: must be a URL that begins with http or https://"),
        (("--rpc", "ws://127.0.0.1:1"), "--rpc: must be a URL that begins with http or https://"),
        (("--rpc", "http://[::1"), "--rpc: must be a URL that begins with http or https://"),
    ],
)
def test_what_no_hub_takes_is_refused_by_its_option(
    keys: tuple[str, ...], kind: tuple[str, ...], given: tuple[str, ...], said: str
) -> None:
    refused(keys, (*kind, *given), said)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((*SOLANA, "--min-fee", str(2**64)), f"--min-fee: {2**64} is outside what 64 bits hold"),
        ((*COSMOS, "--min-fee", str(2**128)), f"--min-fee: {2**128} is outside what 128 bits"),
        *(((*COSMOS, "--gas-price", it), f"--gas-price: '{it}'") for it in ("nan", "-1", "x")),
        (("--kind", "cosmos"), "--denom is missing"),
        (("--denom", "stake"), "--denom belongs to --kind cosmos, and this is --kind eip155"),
        ((*SOLANA, "--denom", "stake"), "--denom belongs to --kind cosmos"),
        (("--gas-price", "0.1"), "--gas-price belongs to --kind cosmos"),
        ((*SOLANA, "--gas-price", "0.1"), "--gas-price belongs to --kind cosmos"),
        (("--keep-authority",), "--keep-authority belongs to --kind solana"),
        ((*COSMOS, "--keep-authority"), "--keep-authority belongs to --kind solana"),
        (("--guardian", WASM), f"--guardian: '{WASM}' is a Cosmos address, and eip155 wants"),
        (("--guardian", MISTYPED), f"--guardian: '{MISTYPED}' is mistyped"),
        ((*SOLANA, "--guardian", ONE), f"--guardian: '{ONE}' is an EVM address, and solana wants"),
        ((*COSMOS, "--guardian", WASM[:-1]), "--guardian: bech32 checksum"),
    ],
)
def test_what_one_kind_of_chain_does_not_take_is_refused_by_its_option(
    keys: tuple[str, ...], given: tuple[str, ...], said: str
) -> None:
    refused(keys, given, said)


def refused(keys: tuple[str, ...], given: tuple[str, ...], said: str) -> None:
    """Refuse with exit code 2 and nothing else: not even that it deploys."""
    command = ["hub", "deploy", "--rpc", NOWHERE, *keys, "--signer", ONE, *given]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, ConfigError), result.exception
    assert result.exception.exit_code == 2
    assert str(result.exception).startswith(said)
    assert result.output == ""


KINDS = {"eip155": (), "solana": SOLANA, "cosmos": COSMOS}


@pytest.mark.parametrize("kind", KINDS)
async def test_an_endpoint_of_another_kind_of_chain_is_said_to_be_one(
    keys: tuple[str, ...], kind: str
) -> None:
    unknown = b'{"jsonrpc":"2.0","id":%d,"error":{"code":-32601,"message":"Method not found"}}'
    async with answering(unknown) as rpc:
        command = ("hub", "deploy", "--rpc", f"{rpc}/canary-key", *keys, "--signer", ONE)
        code, out, err = await vagus(*command, *KINDS[kind])
    others = " or ".join(f"--kind {each}" for each in KINDS if each != kind)
    said = f"--kind {kind}: {rpc} does not speak {kind}'s methods: {others}?"
    assert (code, out, err) == (2, "", f"vagus: {said}\n")


@pytest.mark.parametrize("kind", KINDS)
async def test_only_what_answers_otherwise_than_a_node_is_doubted(
    keys: tuple[str, ...], kind: str
) -> None:
    busy = b'{"jsonrpc":"2.0","id":%d,"error":{"code":-32005,"message":"limit exceeded"}}'
    for body, doubted in ((busy, False), (b"<html>%d</html>", True)):
        async with answering(body) as rpc:
            command = ("hub", "deploy", "--rpc", rpc, *keys, "--signer", ONE, *KINDS[kind])
            code, out, err = await vagus(*command)
        assert (code, out) == (1, "")
        assert err.startswith(f"vagus: {rpc}: ")
        assert err.count("\n") == 1
        assert err.endswith("; is that a node's JSON-RPC endpoint?\n") == doubted
        assert ("limit exceeded (-32005)" in err) != doubted


async def test_addresses_with_their_checksum_are_taken(keys: tuple[str, ...]) -> None:
    who = ("--signer", CHECKSUMMED, "--guardian", CHECKSUMMED)
    code, _, err = await vagus("hub", "deploy", "--rpc", NOWHERE, *keys, *who)
    assert code == 1
    assert err.startswith(f"vagus: {NOWHERE}: ")


async def test_an_endpoint_that_is_not_there_is_said_in_one_line(keys: tuple[str, ...]) -> None:
    rpc = f"{NOWHERE}/canary-key"
    code, out, err = await vagus("hub", "deploy", "--rpc", rpc, *keys, "--signer", ONE)
    assert (code, out) == (1, "")
    assert err == (f"vagus: {NOWHERE}: ClientConnectorError; is that a node's JSON-RPC endpoint?\n")


@contextlib.asynccontextmanager
async def answering(body: bytes) -> AsyncIterator[str]:
    """An endpoint that gives one answer to all, with the request's id in it."""

    async def answer(request: web.Request) -> web.Response:
        number = (await request.json())["id"]
        return web.Response(body=body % number, content_type="application/json")

    served = web.Application()
    served.router.add_post("/{rest:.*}", answer)
    runner = web.AppRunner(served)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
