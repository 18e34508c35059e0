"""A confidential backend sends nothing of a question before what answers has proven its key."""

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from coincurve import PrivateKey
from pydantic import ValidationError

from support.agents import Written
from support.scripted import GOOD, Request, Scripted, response, scripted
from vagus.compute import Barred, Completion, Message, Model
from vagus.compute.backends.ionet_confidential import ConfidentialBackend, ConfidentialConfig
from vagus.compute.sandbox.ionet_confidential import ConfidentialSandbox
from vagus.protocol import Refuse, Retry, VagusError

VECTORS = Path(__file__).parents[1] / "vectors" / "tdx"
QUOTE = (VECTORS / "quote.bin").read_bytes().hex()
COLLATERAL = json.loads((VECTORS / "collateral.json").read_text())
# A day after the collateral's TCB info was issued, and what the quote says, by dcap-qvl's own example.
AT = 1_750_414_563
DAY = 86_400
MEASUREMENT = (
    "91eb2b44d141d4ece09f0c75c2c53d247a3c68edd7fafe8a3520c942a604a407"
    "de03ae6dc5f87f27428b2538873118b7"
)
VOUCHED = "0x9a9d48e7f6799642d3d1b34e1e5e1742d4bb02dd"
OTHER = "0x" + "11" * 20
SECRET = "the patient is Alice"
ASKED = Completion(model=Model("written"), messages=(Message("user", SECRET),), max_tokens=4)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_text("sk-test")
    return path


@pytest.fixture
def quote(tmp_path: Path) -> Path:
    path = tmp_path / "quote.json"
    path.write_text(json.dumps({"quote": QUOTE, "collateral": COLLATERAL, "time": AT}))
    return path


def config(base_url: str, key: Path, **more: Any) -> ConfidentialConfig:
    own = {"name": "c", "base_url": base_url, "models": ("written",), "api_key_file": key}
    return ConfidentialConfig(**{**own, **more})


def at(seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(time=lambda: seconds)
    monkeypatch.setattr("vagus.compute.backends.confidential_config.time", clock)


@contextlib.asynccontextmanager
async def impostor(names: object, nonce: str | None = None) -> AsyncIterator[Scripted]:
    """Says what an enclave's API says, of whatever key, and can sign nothing."""

    async def say(request: Request) -> None:
        if "attestation" in request.line:
            asked = json.loads(request.body)["nonce"] if nonce is None else nonce
            found = {"nonce": asked.ljust(64, "0"), "signing_address": names, "image_digest": ""}
            await request.send(response(found))
            return
        signed = f"text: {'0' * 64}:{'0' * 64}\r\nsignature: 0x{'22' * 65}\r\n"
        await request.send(response(GOOD, headers=f"{signed}signing_address: {names}\r\n"))

    async with scripted(say) as server:
        yield server


def bodies(server: Scripted) -> list[bytes]:
    """What was sent to be completed."""
    return [each.body for each in server.requests if "completions" in each.line]


@pytest.mark.parametrize(
    ("names", "pins", "days", "why"),
    [
        (OTHER, {"signers": (VOUCHED,)}, 0, f"its key {OTHER} is none of the signers"),
        (OTHER, {"measurements": (MEASUREMENT,)}, 0, "vouches for another key"),
        (VOUCHED, {"measurements": ("00" * 48,)}, 0, "a domain that is not trusted"),
        (VOUCHED, {"measurements": (MEASUREMENT,)}, 400, "the quote does not hold"),
        (VOUCHED, {"measurements": (MEASUREMENT,)}, -400, "the quote does not hold"),
        (OTHER, {"signers": (VOUCHED,), "measurements": (MEASUREMENT,)}, 0, "another key"),
    ],
    ids=["other key", "unvouched key", "other domain", "expired quote", "early quote", "both"],
)
async def test_a_key_that_is_not_to_be_trusted_is_sent_nothing(
    names: str,
    pins: dict[str, Any],
    days: int,
    why: str,
    key: Path,
    quote: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at(AT + days * DAY, monkeypatch)
    async with impostor(names) as server:
        settings = config(server.base_url, key, quote_file=quote, **pins)
        async with ConfidentialBackend(settings) as backend:
            assert backend.attests
            for _ in range(2):
                with pytest.raises(Barred, match=f"nothing is sent to backend c: .*{why}"):
                    await backend.complete(ASKED, timeout=10)
        assert bodies(server) == []


@pytest.mark.parametrize(
    ("names", "nonce"),
    [(VOUCHED, "ab" * 16), ("", None), ("0x", None), (VOUCHED[:-2], None), (f"{VOUCHED}\n", None), (None, None)],
)  # fmt: skip
async def test_an_attestation_that_is_none_or_of_another_time_is_sent_nothing(
    names: object, nonce: str | None, key: Path
) -> None:
    async with impostor(names, nonce) as server:
        settings = config(server.base_url, key, signers=(VOUCHED,))
        async with ConfidentialBackend(settings) as backend:
            with pytest.raises(Retry, match=r"not understood|not of now"):
                await backend.complete(ASKED, timeout=10)
        assert bodies(server) == []


@pytest.mark.parametrize("by", ["signers", "measurements"])
async def test_who_names_a_trusted_key_and_does_not_hold_it_is_sent_nothing_of_the_question(
    by: str, key: Path, quote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Addresses are public, and so are quotes: the real one's key is in its report data."""
    at(AT, monkeypatch)
    pins: dict[str, Any] = {
        "signers": {"signers": (VOUCHED,)},
        "measurements": {"measurements": (MEASUREMENT,), "quote_file": quote},
    }[by]
    async with impostor(VOUCHED) as server:
        async with ConfidentialBackend(config(server.base_url, key, **pins)) as backend:
            for _ in range(2):
                with pytest.raises(Retry, match="the answer is not the enclave's"):
                    await backend.complete(ASKED, timeout=10)
        sent = bodies(server)
    assert len(sent) == len(set(sent)) == 2
    assert all(b"Say this number" in each and SECRET.encode() not in each for each in sent)


async def test_a_quote_is_read_anew_for_each_attestation(
    key: Path, quote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(AT, monkeypatch)
    whole = quote.read_text()
    quote.write_text(whole.replace(QUOTE[600:604], "ffff", 1))
    async with impostor(VOUCHED) as server:
        settings = config(server.base_url, key, measurements=(MEASUREMENT,), quote_file=quote)
        async with ConfidentialBackend(settings) as backend:
            with pytest.raises(Barred, match="the quote does not hold"):
                await backend.complete(ASKED, timeout=10)
            quote.write_text(whole)
            with pytest.raises(Retry, match="the answer is not the enclave's"):
                await backend.complete(ASKED, timeout=10)
            quote.unlink()
            with pytest.raises(Barred, match="can't be read"):
                await backend.complete(ASKED, timeout=10)


@contextlib.asynccontextmanager
async def honest(
    key: Path, written: Written, **more: Any
) -> AsyncIterator[tuple[ConfidentialSandbox, ConfidentialBackend]]:
    async with ConfidentialSandbox(written) as sandbox:
        key.write_text(sandbox.api_key)
        settings = config(sandbox.base_url, key, **{"signers": (sandbox.address,), **more})
        async with ConfidentialBackend(settings) as backend:
            yield sandbox, backend


def questions(written: Written) -> list[str]:
    return [each.messages[-1].content for each in written.asked]


async def test_a_key_is_proven_once_for_all_who_ask_and_anew_after_a_while(key: Path) -> None:
    written = Written(lambda _: "yes")
    async with honest(key, written) as (sandbox, backend):
        answers = await asyncio.gather(*(backend.complete(ASKED, timeout=20) for _ in range(5)))
        assert {each.text for each in answers} == {"yes"}
        assert all(each.proof and each.proof.signing_address == sandbox.address for each in answers)
        first, *rest = questions(written)
        assert first.startswith("Say this number")
        assert rest == [SECRET] * 5

        (attested,) = backend._attested.values()
        now = asyncio.get_running_loop().time()
        assert 0 < attested.until - now <= backend.config.attest_every
        backend._attested["written"] = dataclasses.replace(attested, until=now)
        await backend.complete(ASKED, timeout=20)
        *_, again, asked = questions(written)
        assert again.startswith("Say this number")
        assert again != first
        assert asked == SECRET


async def test_a_model_that_moved_to_an_unknown_key_is_sent_no_more(key: Path) -> None:
    written = Written(lambda _: "yes")
    async with honest(key, written) as (sandbox, backend):
        await backend.complete(ASKED, timeout=20)
        (attested,) = backend._attested.values()
        backend._attested["written"] = dataclasses.replace(attested, until=0.0)
        known = len(written.asked)
        sandbox._key, sandbox.address = PrivateKey(), OTHER
        with pytest.raises(Barred, match="none of the signers"):
            await backend.complete(ASKED, timeout=20)
        assert len(written.asked) == known


async def test_an_answer_by_another_key_than_was_attested_is_no_answer_and_has_it_attested_anew(
    key: Path,
) -> None:
    written = Written(lambda _: "yes")
    async with honest(key, written, signers=()) as (sandbox, backend):
        await backend.complete(ASKED, timeout=20)
        sandbox.address = OTHER
        with pytest.raises(Retry, match="another key than was attested"):
            await backend.complete(ASKED, timeout=20)
        assert backend._attested == {}


async def test_without_pins_it_attests_nothing_and_its_answers_are_checked_all_the_same(
    key: Path,
) -> None:
    written = Written(lambda _: "yes")
    async with honest(key, written, signers=()) as (_, backend):
        assert not backend.attests
        assert (await backend.complete(ASKED, timeout=20)).proof is not None
    assert questions(written) == [SECRET]


async def test_an_api_that_refuses_to_attest_says_nothing_about_the_question(key: Path) -> None:
    async def refuse(request: Request) -> None:
        await request.send(response({"detail": "no"}, status="400 Bad Request"))

    async with scripted(refuse) as server:
        settings = config(server.base_url, key, signers=(VOUCHED,))
        async with ConfidentialBackend(settings) as backend:
            with pytest.raises(Barred, match="HTTP 400"):
                await backend.complete(ASKED, timeout=10)
        assert bodies(server) == []


async def test_who_waits_for_another_calls_attestation_waits_no_longer_than_its_own_time(
    key: Path,
) -> None:
    came, on = asyncio.Event(), asyncio.Event()

    async def hang(request: Request) -> None:
        came.set()
        await on.wait()

    async with scripted(hang) as server:
        settings = config(server.base_url, key, signers=(VOUCHED,))
        async with ConfidentialBackend(settings) as backend:
            first = asyncio.create_task(backend.complete(ASKED, timeout=60))
            await came.wait()
            with pytest.raises(Retry, match="not attested in time"):
                await backend.complete(ASKED, timeout=0.2)
            on.set()
            with pytest.raises(Retry):
                await first
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"measurements": (MEASUREMENT,)}, "quote_file is missing"),
        ({"signers": ("0xAB",)}, "signers"),
        ({"signers": (VOUCHED.upper(),)}, "signers"),
        ({"signers": (f"{VOUCHED}\n",)}, "signers"),
        ({"measurements": ("00",)}, "measurements"),
        ({"attest_every": 0}, "attest_every"),
        ({"attest_every": 86_400}, "attest_every"),
    ],
)
def test_pins_that_are_none_are_refused(more: dict[str, Any], why: str, key: Path) -> None:
    with pytest.raises(ValidationError, match=why):
        config("http://127.0.0.1:1/v1", key, **more)


async def test_measurements_without_the_extra_that_verifies_quotes_are_refused_at_start(
    key: Path, quote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "dcap_qvl", None)
    pins: dict[str, Any] = {"measurements": (MEASUREMENT,), "quote_file": quote}
    backend = ConfidentialBackend(config("http://127.0.0.1:1/v1", key, **pins))
    with pytest.raises(Refuse, match=r"vagus\[tee\]"):
        async with backend:
            pass


async def test_a_quote_file_that_is_none_stops_the_start(key: Path, quote: Path) -> None:
    quote.write_text("[" * 100_000)
    backend = ConfidentialBackend(config("http://127.0.0.1:1/v1", key, quote_file=quote))
    with pytest.raises(VagusError, match="can't be read"):
        async with backend:
            pass
