"""`vagus sandbox`: a network's API in a process of its own, for somebody else's client."""

import asyncio
import hashlib
import json
import signal
import socket
import subprocess
import sys
import time
from email.message import Message
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from openai import OpenAI

from support.openai_server import openai_server
from vagus.compute.sandbox import SANDBOXES, Sandbox, sandbox_class

VAGUS = Path(sys.executable).parent / "vagus"


def sandbox(*arguments: object) -> subprocess.Popen[str]:
    command = [str(VAGUS), "sandbox", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )


@pytest.mark.parametrize("name", ["akashml", "ionet-intelligence"])
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_one_line_once_it_listens_and_ends_cleanly(
    name: str, end: signal.Signals
) -> None:
    with sandbox(name, "--json") as process:
        assert process.stdout is not None
        shown = json.loads(process.stdout.readline())
        assert set(shown) == {"base_url", "api_key"}
        with OpenAI(**shown, max_retries=0) as client:
            model = client.models.list().data[0].id
            messages = [{"role": "user", "content": "Hello"}]
            found = client.chat.completions.create(model=model, messages=messages, max_tokens=3)
        assert found.usage.completion_tokens == 3
        process.send_signal(end)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "", "")


def posted(shown: dict[str, str], path: str, body: object) -> tuple[bytes, bytes, Message]:
    """What was sent, what came, and its headers."""
    sent = json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {shown['api_key']}", "Content-Type": "application/json"}
    asked = Request(f"{shown['base_url']}/{path}", sent, headers)
    with urlopen(asked, timeout=30) as answer:
        return sent, answer.read(), answer.headers


async def test_the_confidential_one_signs_what_a_script_or_an_upstream_writes() -> None:
    async with openai_server() as upstream:
        for arguments in ([], ["--upstream", upstream.base_url]):
            await asyncio.to_thread(_signs, arguments)
    assert upstream.bodies[-1]["messages"] == [{"role": "user", "content": "Hello"}]


def _signs(arguments: list[str]) -> None:
    with sandbox("ionet-confidential", "--json", *arguments) as process:
        assert process.stdout is not None
        shown = json.loads(process.stdout.readline())
        model = shown.get("model", "repeater")
        assert set(shown) - {"model"} == {"base_url", "api_key", "signer", "image"}
        asked = {"model_id": model, "nonce": "ab" * 32}
        attested = json.loads(posted(shown, "attestation", asked)[1])
        assert attested["nonce"] == "ab" * 32
        assert attested["signing_address"] == shown["signer"]
        assert attested["image_digest"] == shown["image"]
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
        sent, found, headers = posted(shown, "completions", {**body, "max_tokens": 3})
        answer = json.loads(found)
        assert answer["choices"][0]["message"]["content"]
        assert 0 < answer["usage"]["completion_tokens"] <= 3
        text = f"{hashlib.sha256(sent).hexdigest()}:{hashlib.sha256(found).hexdigest()}"
        assert headers["text"] == text
        signer = Account.recover_message(encode_defunct(text=text), signature=headers["signature"])
        assert signer.lower() == shown["signer"]
        with pytest.raises(HTTPError, match="401"):
            posted({**shown, "api_key": "another"}, "completions", body)
        with pytest.raises(HTTPError, match="404"):
            posted(shown, "completions", {**body, "model": "none"})
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "", "")


def statuses(name: str, path: str, *options: object, calls: int = 4) -> list[int]:
    """What a sandbox with these options answers to so many calls, one after the other."""
    with sandbox(name, "--json", *options) as process:
        assert process.stdout is not None
        shown = json.loads(process.stdout.readline())
        body = json.dumps({"model": "none", "messages": [{"role": "user", "content": "Hello"}]})
        key = shown["api_key"]
        headers = {"Authorization": f"Bearer {key}", "x-api-key": key}
        headers["Content-Type"] = "application/json"
        data = body.encode() if path == "/chat/completions" else None
        found = []
        for _ in range(calls):
            try:
                with urlopen(Request(shown["base_url"] + path, data, headers), timeout=30) as got:
                    found.append(got.status)
            except HTTPError as error:
                found.append(error.code)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    return found


def test_a_share_of_the_calls_fails() -> None:
    assert statuses("akashml", "/models", "--fail", "0.5") == [200, 503, 200, 503]
    assert statuses("akashml", "/models", "--fail", "1", calls=2) == [503, 503]


@pytest.mark.parametrize("options", [(), ("--fail", "1")])
def test_all_calls_are_slow(options: tuple[str, ...]) -> None:
    began = time.monotonic()
    statuses("akashml", "/models", "--slow", "1.5", *options, calls=2)
    assert time.monotonic() - began >= 3


def test_a_network_of_tokens_may_have_no_credit_left() -> None:
    assert statuses("akashml", "/chat/completions", "--credit", "0", calls=1) == [402]
    assert statuses("akashml", "/chat/completions", "--credit", "1", calls=1) == [404]


def test_an_account_has_the_credit_that_was_given() -> None:
    with sandbox("akash", "--json", "--credit", "0.40") as process:
        assert process.stdout is not None
        shown = json.loads(process.stdout.readline())
        asked = Request(f"{shown['base_url']}/v1/balances", headers={"x-api-key": shown["api_key"]})
        with urlopen(asked, timeout=30) as answer:
            assert json.load(answer)["data"]["balance"] == 400_000
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


def test_credit_of_what_keeps_no_account_is_refused() -> None:
    with sandbox("ionet-confidential", "--credit", "5") as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, "")
    assert "keeps no account" in err


@pytest.mark.parametrize(
    ("name", "upstream"), [("ionet-confidential", "ftp://x"), ("akashml", "notaurl")]
)
def test_an_upstream_that_can_be_none_is_said(name: str, upstream: str) -> None:
    with sandbox(name, "--upstream", upstream) as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, "")
    assert err.startswith(f"vagus: {upstream} is no server's URL")


def test_without_json_a_person_is_told_what_to_do() -> None:
    with sandbox("akashml") as process:
        assert process.stdout is not None
        first, second = process.stdout.readline().split(), process.stdout.readline().split()
        assert (first[0], second[0]) == ("base_url", "api_key")
        assert process.stderr is not None
        assert "Ctrl-C" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 0


def test_a_port_that_is_taken_and_an_unknown_name_are_said_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with sandbox("akashml", "--port", port) as process:
            out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (2, "")
        assert err.startswith(f"vagus: 127.0.0.1:{port} can't be listened on")
        assert "port 0 takes a free one" in err
    with sandbox("nosuch") as process:
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, "")
    assert "akashml" in err


def test_without_a_name_all_are_listed() -> None:
    with sandbox("--json") as process:
        out, _ = process.communicate(timeout=30)
    listed = json.loads(out)["sandboxes"]
    assert listed == {name: entry.about for name, entry in SANDBOXES.items()}


@pytest.mark.parametrize("name", sorted(SANDBOXES))
def test_each_that_is_listed_is_there(name: str) -> None:
    assert issubclass(sandbox_class(name), Sandbox)
