"""Frames, against ones that are put together by hand and signed by eth_keys."""

import secrets
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.edge import frame, new_key
from vagus.compute.edge.bodies import (
    AnswerBody,
    Ask,
    BodyError,
    Offer,
    Offered,
    Piece,
    Sorry,
    decode,
    encode,
)
from vagus.compute.edge.frames import MAX_FRAME, Frame, FrameError, Kind, open_frame
from vagus.compute.edge.topics import ask, is_reply, offer, replies, reply
from vagus.compute.edge.windows import Windows
from vagus.protocol import Refuse, address_of

KEY, OTHER = new_key(), new_key()
ME, RECEIVER = address_of(KEY), address_of(OTHER)
ABOUT = bytes(range(32))


@pytest.mark.parametrize("kind", list(Kind))
def test_a_frame_is_what_the_page_says(kind: Kind) -> None:
    made = Frame(kind, ME, RECEIVER, ABOUT, 7, b'{"text":""}')
    by_hand, digest = frame(kind, KEY, RECEIVER, ABOUT, 7, b'{"text":""}')
    data, own = made.seal(KEY)
    assert (data[:-65], own) == (by_hand[:-65], digest)
    assert open_frame(by_hand, {ME}) == (made, digest)
    assert open_frame(data, {ME}) == (made, digest)


def test_another_signer_than_the_one_who_is_named_is_a_forger() -> None:
    data, _ = frame(Kind.OFFER, OTHER, sender=ME)
    with pytest.raises(FrameError, match="forged"):
        open_frame(data, {ME, RECEIVER})


@given(st.integers(0, 86 + 11 + 64), st.integers(1, 255))
def test_no_byte_of_a_frame_can_be_changed(at: int, by: int) -> None:
    data, _ = frame(Kind.ANSWER, KEY, RECEIVER, ABOUT, 1, b'{"text":""}')
    broken = bytearray(data)
    broken[at] ^= by
    with pytest.raises(FrameError):
        open_frame(bytes(broken), {ME})


@given(st.binary(max_size=400))
def test_noise_is_no_frame(data: bytes) -> None:
    with pytest.raises(FrameError):
        open_frame(data, {ME})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (frame(Kind.ANSWER, KEY, body=b"{}")[0][:-1], "malformed"),
        (frame(Kind.OFFER, KEY)[0] + b"\0", "malformed"),
        (b"\2" + frame(Kind.OFFER, KEY)[0][1:], "another version"),
        (frame(8, KEY)[0], "malformed"),
        (frame(Kind.OFFER, KEY, body=bytes(MAX_FRAME))[0], "wrong size"),
        (b"", "wrong size"),
        (frame(Kind.OFFER, OTHER)[0], "stranger"),
    ],
    ids=["short", "long", "version", "kind", "huge", "empty", "stranger"],
)
def test_each_fault_has_a_word_to_count_by(data: bytes, words: str) -> None:
    with pytest.raises(FrameError, match=words):
        open_frame(data, {ME})


RAISED = """
import sys
from vagus.compute.edge import bodies
sys.setrecursionlimit(1 << 30)
try:
    bodies.decode(b'{"request":{"schema":{"a":' + b"[" * 1_000_000, bodies.Ask)
except bodies.BodyError as error:
    print(error)
"""


def test_a_body_nested_without_end_ends_no_process_with_a_raised_limit() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RAISED], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "the body: nested too deep\n"), done.stderr


ASKED = {
    "window": "ab" * 16,
    "within": 5.0,
    "stream": False,
    "request": {
        "model": {"name": "m"},
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 8,
    },
}


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (Piece, b'{"text":' + b"[" * 200_000),
        (Piece, b'{"text":"\xff"}'),
        (Piece, b'{"text":"a","more":1}'),
        (Piece, b"[]"),
        (Sorry, b'{"reason":"no","after":1e400}'),
        (Sorry, b'{"reason":"no","after":-1}'),
        (AnswerBody, b'{"text":"a","prompt":-1,"completion":1,"finish_reason":"stop"}'),
        (AnswerBody, b'{"text":"a","prompt":1,"completion":1e99,"finish_reason":"stop"}'),
        (Ask, encode(ASKED | {"within": 0})),
        (Ask, encode(ASKED | {"window": "ab"})),
        (Ask, encode(ASKED).replace(b'"Hi"', b'{"a":' * 10_000 + b"1" + b"}" * 10_000)),
        (Offer, encode({"session": "5e" * 16, "window": "ab" * 16, "slots": 0, "free": 0})),
        (Offered, encode({"name": "m\x1b[2J"})),
        (Offered, encode({"name": "m", "input": "1e3"})),
        (Offered, encode({"name": "m", "output": "-1"})),
        (Offered, encode({"name": "m", "output": "1000001"})),
        (Offered, encode({"name": "m", "weights": "00"})),
        (Offered, encode({"name": "m" * 257})),
    ],
    ids=lambda each: each.__name__ if isinstance(each, type) else repr(each[:60]),
)
def test_what_is_no_body_is_an_error_in_words(kind: type, data: bytes) -> None:
    target = Offer if kind is Offered else kind
    if kind is Offered:
        whole = {"session": "5e" * 16, "window": "ab" * 16, "models": [], "slots": 1, "free": 1}
        data = encode(whole).replace(b"[]", b"[" + data + b"]")
    with pytest.raises(BodyError):
        decode(data, target)


def test_a_request_out_of_its_bounds_is_refused() -> None:
    deep = encode(ASKED).replace(
        b'"max_tokens"', b'"schema":' + b'{"a":' * 40 + b"1" + b"}" * 40 + b',"max_tokens"'
    )
    with pytest.raises(Refuse, match="nested over 32 levels"):
        decode(deep, Ask)


def test_a_worker_answers_to_the_node_that_asked_and_to_nobody_else() -> None:
    worker, node, session = secrets.token_bytes(20), secrets.token_bytes(20), "0123456789abcdef"
    right = f"vagus-edge/1/{worker.hex()}/reply/{node.hex()}/{session}"
    assert reply(worker, node, session) == right
    assert is_reply(right, worker, node)
    assert replies(node, session) == f"vagus-edge/1/+/reply/{node.hex()}/{session}"
    wrong = [
        "",
        right[:-1],
        right + "/more",
        right.replace(session, "+"),
        right.replace(session, "0123456789ABCDEF"),
        right.replace(node.hex(), worker.hex()),
        offer(worker),
        ask(worker, node),
        "vagus/1/" + right,
    ]
    assert not any(is_reply(each, worker, node) for each in wrong)


def test_a_request_is_entered_once_in_this_window_and_the_next() -> None:
    windows = Windows()
    first = windows.now
    assert windows.enter(first, ME, ABOUT) == ""
    assert windows.enter(first, ME, ABOUT) == "repeated"
    windows.turn()
    assert windows.now != first
    assert windows.enter(windows.now, ME, ABOUT) == "repeated"
    assert windows.enter(first, ME, bytes(32)) == ""
    windows.turn()
    assert windows.enter(first, ME, bytes(31) + b"\1") == "stale"
    assert windows.enter("", ME, bytes(31) + b"\1") == "stale"


def test_what_one_node_sends_does_not_take_another_ones_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vagus.compute.edge.windows.MAX_REMEMBERED", 2)
    windows = Windows()
    for number in range(2):
        assert windows.enter(windows.now, ME, bytes([number])) == ""
    assert windows.enter(windows.now, ME, b"\2") == "too many to remember"
    assert windows.enter(windows.now, RECEIVER, b"\2") == ""
