"""The tests that every agent passes. In a test module of yours:

    class TestChat(AgentConformance):
        payload = b'{"prompt": "Name a colour."}'

        @pytest.fixture
        def agent(self): return Chat()

and the fixture `context`: a function that returns a fresh Context whose route leads to a model. The
one of the pytest plugin `vagus.daemon.testing` leads to the local model. Tests are coroutines, for
pytest with pytest-asyncio. Overriding one needs a written reason.
"""  # noqa: D400 - a title and an example

# ruff: noqa: S101 - a test kit asserts

import json
import random
from collections.abc import Callable
from typing import ClassVar

from vagus.agents.base import Agent
from vagus.agents.context import Context
from vagus.agents.modes import mode_of
from vagus.agents.run import execute
from vagus.protocol import MAX_OUTPUT, MAX_PAYLOAD, Refuse

__all__ = ["MALFORMED", "AgentConformance"]

MALFORMED: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"hello",
    "half an object": b'{"a": ',
    "two values": b"{} {}",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "invalid UTF-8": b'{"a": "\xff\xfe"}',
    "an overlong encoding": b'{"a": "\xc0\xaf"}',
    "an encoded surrogate": b'{"a": "\xed\xa0\x80"}',
    "half a surrogate pair": b'{"a": "\\ud800"}',
    "half a surrogate pair as key": b'{"\\udfff": 1}',
    "a doubled key": b'{"a": 1, "a": 2}',
    "a doubled key by escape": b'{"a": 1, "\\u0061": 2}',
    "deep lists": b"[" * 4000 + b"]" * 4000,
    "deep lists, not closed": b"[" * 8000,
    "deep objects": b'{"a":' * 1300 + b"1" + b"}" * 1300,
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": -Infinity}',
    "a number over every range": b'{"a": 1e999}',
    "an integer of 8,000 digits": b'{"a": ' + b"9" * 8000 + b"}",
    "a control character": b'{"a": "\x00"}',
    "an unknown key": b'{"__class__": "os.system"}',
    "null": b"null",
    "a number": b"1",
    "a list": b"[]",
}


class AgentConformance:
    """Subclass it, give `payload` (one that the agent answers) and the fixtures of the example."""

    payload: ClassVar[bytes]

    async def test_its_manifest_is_whole(self, agent: Agent) -> None:
        """Name, version, mode, schemas and digests are there, and JSON can carry them."""
        manifest = agent.manifest
        json.loads(manifest.model_dump_json())
        assert manifest.agent_id == f"{agent.name}@{agent.version.split('.')[0]}"
        assert len(manifest.digest) == len(manifest.id) == 32
        assert "type" in manifest.input_schema or "$ref" in manifest.input_schema
        assert "type" in manifest.output_schema or "$ref" in manifest.output_schema
        assert type(agent)(agent.config).manifest == manifest

    async def test_its_mode_is_understood(self, agent: Agent) -> None:
        """Every parameter of it is one that the mode knows."""
        assert mode_of(agent.manifest).manifest == agent.manifest

    async def test_its_config_takes_no_unknown_key(self, agent: Agent) -> None:
        """A misspelled key is an error, not a default."""
        assert agent.Config.model_config.get("extra") == "forbid"

    async def test_it_reads_its_own_payload(self, agent: Agent) -> None:
        """The sample payload is understood, twice the same."""
        assert agent.decode(self.payload) == agent.decode(self.payload)

    async def test_it_refuses_an_oversized_payload(self, agent: Agent) -> None:
        """One byte over the limit is refused, though it would parse."""
        padded = self.payload + b" " * (MAX_PAYLOAD + 1 - len(self.payload))
        assert _refusal(agent, padded)

    async def test_it_refuses_malformed_payloads(self, agent: Agent) -> None:
        """Each is a Refuse in one printable line, never another exception."""
        if agent.Input is not bytes:
            for what, payload in MALFORMED.items():
                reason = _refusal(agent, payload)
                assert reason is not None, f"{what} was understood"
                assert reason.isprintable(), what

    async def test_it_withstands_mutated_payloads(self, agent: Agent) -> None:
        """2,000 mutations of the sample are read or refused, nothing else."""
        source = random.Random(0)  # noqa: S311 - the same mutations each time
        for _ in range(2000):
            _refusal(agent, _mutated(self.payload, source))

    async def test_it_answers_in_bounds(self, agent: Agent, context: Callable[[], Context]) -> None:
        """The sample payload has an output, of at most 8,192 bytes."""
        assert len(await execute(agent, context(), self.payload)) <= MAX_OUTPUT

    async def test_it_repeats_itself_if_its_mode_says_so(
        self, agent: Agent, context: Callable[[], Context]
    ) -> None:
        """In the modes that run again to compare, a second run has the same bytes."""
        if agent.mode.name in {"exact", "fields"}:
            first = await execute(agent, context(), self.payload)
            assert await execute(agent, context(), self.payload) == first

    async def test_it_keeps_nothing_between_two_intents(
        self, agent: Agent, context: Callable[[], Context]
    ) -> None:
        """After a run the agent's attributes are what they were before it."""
        before = repr(vars(agent))
        await execute(agent, context(), self.payload)
        assert repr(vars(agent)) == before


def _refusal(agent: Agent, payload: bytes) -> str | None:
    """Return why a payload is refused, None if it is not; anything else raised is the test's."""
    try:
        agent.decode(payload)
    except Refuse as error:
        return error.reason
    return None


def _mutated(payload: bytes, source: random.Random) -> bytes:
    data = bytearray(payload)
    for _ in range(source.randint(1, 4)):
        at = source.randint(0, len(data))
        match source.randint(0, 2):
            case 0:
                data[at:at] = source.randbytes(source.randint(1, 4))
            case 1:
                data[at : at + source.randint(1, 8)] = b""
            case _:
                data[at:at] = source.choice([b"{", b"[", b'"', b"\\u", b"\\ud83d", b"null", b"1e9"])
    return bytes(data)
