"""A network that echoes what it was sent: the echo reaches no log, no ledger and nobody who asks."""

from __future__ import annotations

import asyncio
import html
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote, unquote

import pytest
from structlog.testing import capture_logs

from support.leases import MAKERS, MODEL, Clock, Network, lessor, network, steps
from support.served import serving
from vagus.compute import Completion, Message, Model
from vagus.compute.backends.openai import ModelConfig
from vagus.compute.bounds import one_line
from vagus.compute.hiding import Hider
from vagus.compute.leases.base import Provisioner
from vagus.compute.leases.leased import LeasedBackend, LeasedConfig
from vagus.protocol import Retry

PLAIN = "hf_Zq8XwT4kLm2NvB7cR9sD"
ODD = 'pa/ss+W9k "x7Yq&3\\Hn%41 und\n8bVt6Mz'
ENV = {"HF_TOKEN": PLAIN, "OTHER_TOKEN": ODD}
FORMS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "as JSON": json.dumps,
    "as JSON within JSON": lambda text: json.dumps(json.dumps({"input": {"env": text}})),
    "by its code points": lambda text: "".join(f"\\u{ord(each):04x}" for each in text),
    "as a URL has it": lambda text: quote(text, safe=""),
    "each byte as a URL may have it": lambda text: "".join(f"%{b:02x}" for b in text.encode()),
    "as a URL in a URL has it": lambda text: quote(quote(text, safe=""), safe=""),
    "as HTML": html.escape,
    "in capitals": str.upper,
    "cut in the middle": lambda text: text[: len(text) // 2],
    "at the end of the line that is kept": lambda text: "x" * 185 + text,
}


def readable(text: str) -> str:
    """Undo what a reader of a log could undo, and keep letters and digits."""
    for _ in range(4):
        text = html.unescape(unquote(text))
        text = re.sub(r"\\+(?:u00|x)([0-9a-f]{2})", lambda code: chr(int(code[1], 16)), text)
        text = re.sub(r"\\+n", "\n", text)
    return re.sub("[^a-z0-9]", "", text.lower())


def leaked(text: str, secret: str) -> list[str]:
    """Return each run of eight letters and digits that a text has of a secret."""
    known = re.sub("[^a-z0-9]", "", secret.lower())
    said = readable(text)
    return [known[at : at + 8] for at in range(len(known) - 7) if known[at : at + 8] in said]


@pytest.fixture(params=sorted(MAKERS))
async def rental(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Network]:
    async with network(request.param, tmp_path) as found:
        container = found.want.container
        env = MappingProxyType({**container.env, **ENV})
        yield replace(found, want=replace(found.want, container=replace(container, env=env)))


@pytest.mark.parametrize("status", [422, 500])
@pytest.mark.parametrize(
    "form", ["as it is", "as JSON within JSON", "each byte as a URL may have it"]
)
async def test_what_a_network_echoes_is_in_no_log_no_ledger_and_no_reason(
    rental: Network, clock: Clock, tmp_path: Path, form: str, status: int
) -> None:
    folder = tmp_path / "ledger"
    folder.mkdir()
    with capture_logs() as logs:
        async with lessor(rental, folder, clock) as (each, ledger, _):
            secrets = [PLAIN, ODD, ledger.key(f"{ledger.prefix}1")]
            for secret in secrets:
                rental.sandbox.faults.add(
                    method="POST", status=status, message=FORMS[form](secret), times=1
                )
            said = []
            for _ in range(8):
                await steps(each, clock, 120)
                said.append(each.why)
            said += [row.reason for row in await ledger.recent()]
    said += [json.dumps(entry, default=str) for entry in logs]
    assert any(f"HTTP {status}" in each for each in said), "the network never failed"
    said += [path.read_bytes().decode("latin-1") for path in folder.iterdir()]
    assert [found for secret in secrets for each in said for found in leaked(each, secret)] == []


class Ours(LeasedBackend):
    """The backend of a network, as its sandbox has it."""

    rental: Network

    def provisioner(self) -> Provisioner:
        return self.rental.make()


async def test_whoever_asked_learns_nothing_that_a_network_said(
    rental: Network, tmp_path: Path
) -> None:
    """Not in the reason of the intent's waiting, and so not by the public API."""
    config = LeasedConfig.model_validate(
        {
            "kind": "ours",
            "name": "gpu",
            "models": (ModelConfig(name=MODEL),),
            "image": rental.want.container.image,
            "args": rental.want.container.args,
            "env": dict(rental.want.container.env),
            "key_env": rental.want.container.key_env,
            "gpus": rental.want.gpus,
            "max_hourly": rental.want.max_hourly,
            "spend_hour": 2 * rental.want.max_hourly,
            "spend_day": 20 * rental.want.max_hourly,
        }
    )
    backend = Ours(config)
    backend.rental = rental
    backend.keep_in(tmp_path)
    word = "a-word-of-the-networks"
    rental.sandbox.faults.add(method="POST", status=422, message=f"{word} {PLAIN}")
    asked = Completion(model=Model(MODEL), messages=(Message("user", "Hello"),), max_tokens=4)
    async with backend, asyncio.timeout(30):
        while True:
            with pytest.raises(Retry):
                await backend.complete(asked, timeout=5)
            assert backend._lessor is not None
            if word in backend._lessor.why:
                break
            await asyncio.sleep(0)
        with pytest.raises(Retry) as raised:
            await backend.complete(asked, timeout=5)
    reason = raised.value.reason
    assert reason == "backend gpu has no machine that serves: the log says why"
    (tmp_path / "node").mkdir()
    async with serving(tmp_path / "node") as node, asyncio.TaskGroup() as group:
        (record,) = await node.observe(1)
        pause = group.create_task(node.pauses.sleep(record.id, 3600, reason), name="pause")
        await asyncio.sleep(0)
        _, shown = await node.get(f"/v1/intents/0x{record.id.hex()}")
        pause.cancel()
    assert reason in shown
    assert word not in shown
    assert leaked(shown, PLAIN) == []


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("secret", [PLAIN, ODD, "Grüße-an-alle-Schlüssel"])
def test_no_spelling_of_a_secret_is_left_in_a_line(form: Callable[[str], str], secret: str) -> None:
    hider = Hider([secret])
    line = one_line(hider(f"not valid: {form(secret)}, says the network"))
    assert leaked(line, secret) == []
    assert line.startswith("not valid: ")


def test_words_that_are_no_secret_are_kept() -> None:
    hider = Hider(["sk_1234", "a", "8000", ""])
    assert hider("the key sk_1234 is bad, port 8000") == "the key … is bad, port …"
    assert hider("a plain sentence of 12 words") == "a plain sentence of 12 words"
    assert Hider()("nothing to hide") == "nothing to hide"
