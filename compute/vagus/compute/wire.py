"""OpenAI's chat completions as JSON: requests out, answers in, nothing of HTTP.

Source: the OpenAI API reference, "Chat", as llama.cpp and vLLM serve it. What comes in was written
by a stranger: types and lengths are checked, and the counted tokens against what is possible.
"""

from typing import Annotated

import msgspec

from vagus.compute.base import Alternative, Answer, Completion, Delta, Times, Token
from vagus.compute.bounds import one_line, prompt_tokens_bound
from vagus.compute.decoding import decode
from vagus.compute.price import Usage
from vagus.protocol import Retry

__all__ = [
    "UNSEEN",
    "StreamedAnswer",
    "decode_answer",
    "encode_request",
    "error_text",
    "longest_answer",
]

BROKEN = "the server's answer is no chat completion"
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 31)]
Name = Annotated[str, msgspec.Meta(max_length=256)]

# Bytes of an answer beside its tokens; of a token as a stream has it, some 300 with what servers add;
# of a token with its probability, some 100.
_FRAME = 64 << 10
_TOKEN = 1024
_SCORED = 256
# Tokens that may have been written without a byte to show for it: marks of turns, a stop text.
UNSEEN = 64
_NOTHING = msgspec.Raw(b"null")


class _Alternative(msgspec.Struct):
    token: str
    logprob: float


class _Token(msgspec.Struct):
    token: str
    logprob: float
    id: int | None = None
    top_logprobs: list[_Alternative] = []


class _Logprobs(msgspec.Struct):
    content: list[_Token] | None = None


class _Message(msgspec.Struct):
    """What a model says; vLLM and llama.cpp have what it thinks beside it, under either name."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None

    def size(self) -> int:
        said = (self.content, self.reasoning_content, self.reasoning)
        return sum(len(text.encode()) for text in said if text)


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: Name
    logprobs: msgspec.Raw = _NOTHING
    token_ids: msgspec.Raw = _NOTHING


class _Verbose(msgspec.Struct):
    tokens: msgspec.Raw = _NOTHING


class _Usage(msgspec.Struct):
    prompt_tokens: Count
    completion_tokens: Count


class _Body(msgspec.Struct):
    choices: Annotated[list[_Choice], msgspec.Meta(min_length=1, max_length=1)]
    usage: _Usage
    model: Name = ""
    verbose: _Verbose | None = msgspec.field(name="__verbose", default=None)


class _Piece(msgspec.Struct):
    delta: _Message
    finish_reason: Name | None = None
    logprobs: msgspec.Raw = _NOTHING


class _Event(msgspec.Struct):
    choices: Annotated[list[_Piece], msgspec.Meta(max_length=1)]
    usage: _Usage | None = None
    model: Name = ""


class _Error(msgspec.Struct):
    message: str = ""


class _ErrorBody(msgspec.Struct):
    """OpenAI's, and what FastAPI's servers and others say instead."""

    error: _Error | str = ""
    detail: object = ""
    message: object = ""


_logprobs: msgspec.json.Decoder[_Logprobs | None] = msgspec.json.Decoder(_Logprobs | None)
_ids: msgspec.json.Decoder[list[Count] | None] = msgspec.json.Decoder(list[Count] | None)
_body = msgspec.json.Decoder(_Body)
_event = msgspec.json.Decoder(_Event)
_error_body = msgspec.json.Decoder(_ErrorBody)
_encode = msgspec.json.Encoder().encode


def encode_request(request: Completion, served_as: str, *, stream: bool = False) -> bytes:
    """Return the body of a POST to chat/completions."""
    body: dict[str, object] = {
        "model": served_as,
        "messages": request.messages,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "seed": request.seed,
    }
    if request.stop:
        body["stop"] = request.stop
    if request.schema is not None:
        named = {"name": "answer", "strict": True, "schema": request.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    if request.logprobs is not None:
        body["logprobs"] = True
        body["top_logprobs"] = request.logprobs
    if request.ids:
        # vLLM's name for it, and llama.cpp's.
        body |= {"return_token_ids": True, "return_tokens": True, "verbose": True}
    if stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return _encode(body)


def longest_answer(request: Completion, sent: int) -> int:
    """Return the most bytes that an answer can need, where the request's body has `sent`.

    An event for each token; some servers repeat what they were sent.
    """
    scored = 0 if request.logprobs is None else (1 + request.logprobs) * _SCORED
    return _FRAME + sent + request.max_tokens * (_TOKEN + scored)


def decode_answer(data: bytes, request: Completion, times: Times) -> Answer:
    """Return the answer in a response's body; Retry for anything that is none."""
    body = decode(_body, data, BROKEN)
    choice = body.choices[0]
    return Answer(
        text=choice.message.content or "",
        tokens=_tokens(choice.logprobs, request),
        usage=_usage(body.usage, request, choice.message.size()),
        finish_reason=choice.finish_reason,
        model=body.model,
        times=times,
        ids=_token_ids(body, request),
    )


def error_text(data: bytes) -> str:
    """Return what an error's body says, one printable line of at most 200 characters."""
    try:
        body = decode(_error_body, data, "")
    except Retry:
        return ""
    error = body.error
    texts = (error if isinstance(error, str) else error.message, body.detail, body.message)
    return one_line(next((text for text in texts if isinstance(text, str) and text), ""))


class StreamedAnswer:
    """An answer as its server-sent events arrive (WHATWG HTML, section 9.2)."""

    def __init__(self, request: Completion) -> None:
        self.done = False
        self._request = request
        self._rest = b""
        self._text: list[str] = []
        self._tokens: list[Token] = []
        self._usage: _Usage | None = None
        self._finish: str | None = None
        self._model = ""
        self._size = 0

    def feed(self, data: bytes) -> list[Delta]:
        """Take the next bytes and return the pieces they complete; Retry for broken events."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        deltas = []
        for line in lines:
            if not self.done and line.startswith(b"data:"):
                value = line[5:].strip()
                if value == b"[DONE]":
                    self.done = True
                elif (delta := self._take(value)) is not None:
                    deltas.append(delta)
        return deltas

    def answer(self, times: Times) -> Answer:
        """Return the whole answer after the last event; Retry if the stream was cut."""
        if self._usage is None or self._finish is None:
            raise Retry("the stream ended before its answer did")
        return Answer(
            text="".join(self._text),
            tokens=tuple(self._tokens),
            usage=_usage(self._usage, self._request, self._size),
            finish_reason=self._finish,
            model=self._model,
            times=times,
        )

    def _take(self, value: bytes) -> Delta | None:
        event = decode(_event, value, BROKEN)
        self._usage = event.usage or self._usage
        self._model = event.model or self._model
        if not event.choices:
            return None
        piece = event.choices[0]
        self._size += piece.delta.size()
        self._finish = piece.finish_reason or self._finish
        text, tokens = piece.delta.content or "", _tokens(piece.logprobs, self._request)
        if not text and not tokens:
            return None
        self._text.append(text)
        self._tokens.extend(tokens)
        return Delta(text, tokens)


def _tokens(raw: msgspec.Raw, request: Completion) -> tuple[Token, ...]:
    # What was not asked for is not even decoded: probabilities take many times their bytes.
    if request.logprobs is None:
        return ()
    logprobs = decode(_logprobs, raw, BROKEN)
    if logprobs is None or logprobs.content is None:
        return ()
    most = request.logprobs
    return tuple(
        Token(
            text=token.token,
            logprob=token.logprob,
            id=token.id,
            top=tuple(Alternative(a.token, a.logprob) for a in token.top_logprobs[:most]),
        )
        for token in logprobs.content
    )


def _token_ids(body: _Body, request: Completion) -> tuple[int, ...]:
    if not request.ids:
        return ()
    told = body.choices[0].token_ids
    if told == _NOTHING and body.verbose is not None:
        told = body.verbose.tokens
    ids = decode(_ids, told, BROKEN)
    return () if ids is None else tuple(ids)


def _usage(usage: _Usage, request: Completion, size: int) -> Usage:
    """Check the count that money follows from, where `size` bytes were written.

    No more tokens written than asked for or than bytes came, nor read than were sent.
    """
    sent = prompt_tokens_bound(message.content for message in request.messages)
    most = min(request.max_tokens, size + UNSEEN)
    if usage.completion_tokens > most or usage.prompt_tokens > sent:
        raise Retry(
            f"the server counts {usage.prompt_tokens} + {usage.completion_tokens} tokens, "
            f"which is more than {sent} + {most}"
        )
    return Usage(usage.prompt_tokens, usage.completion_tokens)
