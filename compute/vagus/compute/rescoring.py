"""Teacher forcing on llama.cpp's server: how likely each token of an answer was to its model.

The server tells no probabilities of a prompt, so each token is asked for alone, with all before it
as the prompt. The prefix stays in the slot's cache: a token costs what it costs to write it.
Source: llama.cpp, tools/server/README.md, "POST /completion".
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated, TypeVar

import msgspec

from vagus.compute.base import Completion, Rescored
from vagus.compute.bounds import one_line
from vagus.compute.client import ChatClient
from vagus.protocol import Refuse, Retry

__all__ = ["LIKELIEST", "rescore"]

T = TypeVar("T")

# A token that is not among so many of the likeliest is no model's choice at temperature 0.
LIKELIEST = 64
# What is forced, and by how much: no model's logits are as far apart.
WHOLE, FORCE = "a", 1000.0
# Bytes of an answer that names as many tokens, and of one that repeats a prompt's template.
ANSWER = 64 << 10
TEMPLATE = 16 << 10

TokenId = Annotated[int, msgspec.Meta(ge=0, le=1 << 31)]


class _Prompt(msgspec.Struct):
    prompt: str


class _Tokens(msgspec.Struct):
    tokens: list[TokenId]


class _Text(msgspec.Struct):
    content: str


class _Props(msgspec.Struct):
    eos_token: str


class _Likely(msgspec.Struct):
    id: TokenId
    logprob: float


class _Step(msgspec.Struct):
    top_logprobs: Annotated[list[_Likely], msgspec.Meta(min_length=1, max_length=LIKELIEST)]


class _Next(msgspec.Struct):
    completion_probabilities: Annotated[list[_Step], msgspec.Meta(min_length=1, max_length=1)]


async def rescore(
    client: ChatClient, request: Completion, tokens: Sequence[int], *, timeout: float
) -> Rescored:
    """Read tokens as the answer to a request; raises Retry and Refuse as `Backend.rescore`."""
    if request.temperature or request.schema is not None or request.stop:
        raise Refuse("only answers at temperature 0, without a schema or stop texts, are rescored")
    if not 1 <= len(tokens) <= request.max_tokens:
        raise Refuse(f"an answer of {len(tokens)} tokens was not asked for")
    deadline = asyncio.get_running_loop().time() + timeout
    server = _Server(client, deadline)
    messages = [{"role": each.role, "content": each.content} for each in request.messages]
    sent = sum(len(each.content.encode()) for each in request.messages)
    templated = await server.post("/apply-template", {"messages": messages}, _Prompt, 8 * sent)
    text = {"content": templated.prompt, "add_special": True, "parse_special": True}
    prompt = (await server.post("/tokenize", text, _Tokens, 16 * sent)).tokens
    ending, forced = await server.ending(), await server.forced()
    gaps = [
        await server.gap([*prompt, *tokens[:at]], token, forced) for at, token in enumerate(tokens)
    ]
    ended = tokens[-1] in ending
    said = tokens[:-1] if ended else tokens
    if any(token in ending for token in said):
        raise Refuse("the answer goes on after its end")
    # An answer that was cut within a character ends before it.
    written = (await server.post("/detokenize", {"tokens": list(said)}, _Text, ANSWER)).content
    written = written if ended else written.removesuffix("\ufffd")
    return Rescored(text=written, gaps=tuple(gaps), prompt=len(prompt), ended=ended)


class _Server:
    """The calls, within one deadline."""

    def __init__(self, client: ChatClient, deadline: float) -> None:
        self._client = client
        self._deadline = deadline

    async def gap(self, before: Sequence[int], token: int, forced: int) -> float:
        """Return how much likelier the likeliest token was, in nats.

        The server says nothing of a token that is a part of a character. So another one is forced:
        the probabilities that it tells are those before anything was forced.
        """
        asked = {
            "prompt": before,
            "n_predict": 1,
            "n_probs": LIKELIEST,
            "temperature": 0,
            "cache_prompt": True,
            "logit_bias": [[forced, FORCE]],
        }
        found = await self.post("/completion", asked, _Next, 16 * len(before))
        likely = found.completion_probabilities[0].top_logprobs
        most = max(each.logprob for each in likely)
        for each in likely:
            if each.id == token:
                return most - each.logprob
        raise Refuse(f"a token of the answer is none of the {LIKELIEST} likeliest")

    async def ending(self) -> list[int]:
        """Return the tokens that end an answer."""
        props = _decode(await self._client.ask("GET", "/props", None, self._left(), ANSWER), _Props)
        text = {"content": props.eos_token, "add_special": False, "parse_special": True}
        return (await self.post("/tokenize", text, _Tokens, 0)).tokens

    async def forced(self) -> int:
        """Return a token that is a whole character."""
        text = {"content": WHOLE, "add_special": False, "parse_special": False}
        found = (await self.post("/tokenize", text, _Tokens, 0)).tokens
        if not found:
            raise Retry(f"the server knows no token for {WHOLE!r}")
        return found[-1]

    async def post(self, path: str, body: object, kind: type[T], more: int) -> T:
        """Return what the server answers; `more` bytes than usual may come."""
        data = msgspec.json.encode(body)
        most = ANSWER + TEMPLATE + more
        return _decode(await self._client.ask("POST", path, data, self._left(), most), kind)

    def _left(self) -> float:
        left = self._deadline - asyncio.get_running_loop().time()
        if left <= 0:
            raise Retry("the server took too long rescoring")
        return left


def _decode(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Retry(f"the server's answer is not understood: {one_line(str(error))}") from None
