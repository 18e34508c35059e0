"""Which line of a verification says what, where one thing at a time is wrong."""

from typing import Any

import pytest
from eth_utils.crypto import keccak

from support.committees import address_of, roster
from support.results import Result, canonical, check_of, evidence_of
from vagus.daemon.verify.checks import recovered, verified, verify
from vagus.protocol import SignerSet


def told(result: Result, intent_id: bytes | None = None) -> tuple[bool, dict[str, Any]]:
    """Whether it is verified, and by what was checked what holds and what was found."""
    bundle = result.bundle()
    lines = verify(bundle, intent_id or bundle.delivered.intent.id)
    return verified(lines), {each.what: (each.holds, each.found) for each in lines}


def denied(result: Result, what: str) -> str:
    """A result that is not verified, for one reason alone; its words."""
    done, lines = told(result)
    assert not done
    assert [name for name, (holds, _) in lines.items() if holds is False] == [what]
    return str(lines[what][1])


def test_a_right_result_is_verified_line_by_line() -> None:
    done, lines = told(Result())
    assert done
    assert {name for name, (holds, _) in lines.items() if holds} == {
        *("intent", "payload", "terms", "output", "attestation", "signatures", "hub"),
        *("evidence", "document", "agent", "model", "executor", "roster"),
        *(f"check of 0x{address_of(each).hex()}" for each in (2, 3)),
    }
    for member in (1, 2):
        assert f"0x{address_of(member).hex()}" in lines["signatures"][1]
    assert "2 of 3 are needed" in lines["signatures"][1]
    assert set(recovered(Result().bundle())) == {address_of(1), address_of(2)}


def test_another_intent_than_was_named_is_told() -> None:
    done, lines = told(Result(), keccak(b"another"))
    assert not done
    assert lines["intent"][1].startswith("its struct hashes to 0x")


def test_what_is_not_at_hand_is_said_and_does_not_count_as_wrong() -> None:
    nothing = dict.fromkeys(("payload", "terms", "record", "roster_hash", "roster"))
    done, lines = told(Result(bundled={**nothing, "checks": ()}))
    assert done
    assert [name for name, (holds, _) in lines.items() if holds is None] == [
        *("payload", "terms", "hub"),
    ]


@pytest.mark.parametrize("missing", ["signers", "evidence"])
def test_without_the_set_or_the_evidence_nothing_is_verified(missing: str) -> None:
    done, lines = told(Result(bundled={missing: None}))
    assert not done
    assert not [name for name, (holds, _) in lines.items() if holds is False]


def test_a_result_that_too_few_signed_is_denied() -> None:
    assert denied(Result(signers=(1,)), "signatures").endswith("1 are too few, 2 are needed")


def test_the_requester_may_ask_for_more_signatures_than_the_threshold() -> None:
    result = Result(intent={"min_signers": 3})
    assert denied(result, "signatures").endswith("2 are too few, 3 are needed")
    assert told(Result(intent={"min_signers": 3}, signers=(1, 2, 3)))[0]


def test_a_stranger_among_the_signers_is_named() -> None:
    words = denied(Result(signers=(1, 2, 4)), "signatures")
    assert words.endswith(f"0x{address_of(4).hex()} is no member")


def test_a_set_of_another_epoch_does_not_count() -> None:
    members = tuple(sorted(address_of(each) for each in (1, 2, 3)))
    result = Result(bundled={"signers": SignerSet(8, members, 2)})
    assert denied(result, "signatures").endswith("the set is of epoch 8, not 7")


def test_signatures_for_another_hub_are_nobodys() -> None:
    other = "eip155:1:0x" + "22" * 20
    done, lines = told(Result(bundled={"hub": other}))
    assert not done
    assert lines["intent"] == (False, f"its answer does not belong to {other}")
    assert lines["signatures"][0] is False


@pytest.mark.parametrize(
    ("attestation", "words"),
    [
        ({"intent_id": keccak(b"x")}, "it is of another intent"),
        ({"origin_hub": keccak(b"x")}, "it names another origin"),
        ({"status": 3}, "its status is 3"),
    ],
)
def test_an_attestation_of_something_else_is_denied(
    attestation: dict[str, Any], words: str
) -> None:
    _, lines = told(Result(attestation=attestation))
    assert lines["attestation"] == (False, words)


def test_another_model_than_was_asked_for_is_denied() -> None:
    asked = keccak(b"a model")
    _, lines = told(Result(intent={"model_digest": asked}))
    assert lines["attestation"][0] is False
    assert f"0x{asked.hex()} was asked for" in lines["attestation"][1]


def test_another_output_than_was_signed_is_denied() -> None:
    result = Result(attestation={"output_hash": keccak(b"Goodbye")})
    _, lines = told(result)
    assert lines["output"][0] is False
    assert lines["document"] == (False, "of another output_hash")


@pytest.mark.parametrize("what", ["payload", "terms"])
def test_another_question_than_was_asked_is_denied(what: str) -> None:
    words = denied(Result(bundled={what: b"{}"}), what)
    assert words.endswith("is another than was asked")


def test_a_hub_that_has_another_outcome_or_other_signers_is_heard() -> None:
    other = Result(output=b"Goodbye").bundle().record
    assert denied(Result(bundled={"record": other}), "hub") == (
        "it has another outcome of this intent"
    )
    whole = Result(signers=(1, 2, 3)).bundle().record
    assert denied(Result(bundled={"record": whole}), "hub") == "it has other members as signers"


def test_a_document_with_another_hash_is_not_the_evidence() -> None:
    words = denied(Result(bundled={"evidence": b"{}"}), "evidence")
    assert words.endswith("and another was signed")


@pytest.mark.parametrize(
    ("evidence", "what", "words"),
    [
        ({"executor": f"0x{address_of(9).hex()}"}, "executor", "is no member"),
        ({"output_hash": "0x" + "00" * 32}, "document", "of another output_hash"),
        ({"version": 2}, "document", "the evidence is not understood"),
        ({"cost": "01"}, "document", "the evidence is not understood"),
        ({"extra": 1}, "document", "the evidence is not understood"),
        (
            {"agent": {"name": "chat", "version": "1.2.0", "digest": "0x" + "11" * 32}},
            "agent",
            "chat 1.2.0, digest 0x11",
        ),
    ],
)
def test_evidence_that_tells_another_story_is_denied(
    evidence: dict[str, Any], what: str, words: str
) -> None:
    assert words in denied(Result(evidence=evidence), what)


def test_what_the_executor_read_is_told_as_its_word_and_contradicts_nothing() -> None:
    source: dict[str, Any] = {
        "url": "https://api.example.org/v1?a=b",
        "method": "GET",
        "sha256": "ab" * 32,
        "size": 14,
        "media_type": "application/json",
        "address": "93.184.215.14",
        "read_at": 1_795_446_600_123,
    }
    certificate = {"sha256": "cd" * 32, "issuer": "CN=x", "names": ["api.example.org"]}
    done, lines = told(Result(evidence={"sources": [{**source, "certificate": certificate}]}))
    assert done
    holds, found = lines["source"]
    assert holds is None
    assert found.startswith("https://api.example.org/v1?a=b: 14 bytes, sha256 " + "ab" * 32)
    assert "certificate " + "cd" * 32 in found
    plain = {**source, "url": "http://a\x1b[2J"}
    assert told(Result(evidence={"sources": [plain]}))[1]["source"][1].startswith(
        "http://a\\x1b[2J: 14 bytes"
    )


def test_the_evidence_of_another_intent_is_denied() -> None:
    other = Result(intent={"seq": 6}).asked()
    assert denied(Result(document=evidence_of(other, b"Hello")), "document") == "of another id"


def test_an_agent_that_the_roster_has_otherwise_is_told() -> None:
    entry = {"chat@1": {"version": "1.2.0", "config": {}}}
    known = roster(1, 2, 3, agents=entry)
    words = denied(
        Result(bundled={"roster": known.document(), "roster_hash": known.digest(), "checks": ()}),
        "roster's agent",
    )
    assert words == "chat@1 is not the committee's"


def refusal(result: Result, **changes: Any) -> bytes:
    document = {"version": 1, "intent": f"0x{result.asked().id.hex()}", "status": 1}
    return canonical({**document, "reason": "policy: too long", **changes})


def test_a_refusal_is_verified_with_its_reason() -> None:
    result = Result(output=b"", status=1)
    done, lines = told(Result(output=b"", status=1, document=refusal(result)))
    assert done
    assert lines["document"] == (True, "there is no answer: policy: too long")
    for changes in ({"status": 2}, {"intent": "0x" + "00" * 32}):
        wrong = Result(output=b"", status=1, document=refusal(result, **changes))
        assert denied(wrong, "document") == "it is of another intent, or of another status"


def test_a_check_counts_by_the_key_that_the_roster_has_of_its_member() -> None:
    attestation, name = Result().attested(), f"check of 0x{address_of(2).hex()}"
    forged = Result(bundled={"checks": (check_of(2, attestation, key=103),)})
    assert denied(forged, name).endswith("not by its transport key")
    for about in ({"epoch": 8}, {"intent": bytes(32)}, {"hub": bytes(32)}, {"roster": bytes(32)}):
        other = Result(bundled={"checks": (check_of(2, attestation, **about),)})
        assert denied(other, name) == "it is about something else"
    empty = Result(bundled={"checks": (check_of(2, attestation, body=b"[]"),)})
    assert denied(empty, name).startswith("it is not understood")
    assert denied(Result(bundled={"checks": (b"noise",)}), "check") == "too short for an envelope"


def test_a_member_that_found_it_wrong_is_heard_and_outvoted() -> None:
    attestation, name = Result().attested(), f"check of 0x{address_of(3).hex()}"
    checks = (check_of(3, attestation, right=False, reason="similarity 0.4"),)
    done, lines = told(Result(bundled={"checks": checks}))
    assert done
    assert lines[name] == (None, "it found this outcome wrong: similarity 0.4")
    checks = (check_of(3, attestation, value="0x" + "00" * 32),)
    _, lines = told(Result(bundled={"checks": checks}))
    assert lines[name] == (None, "it is of a proposal that was not decided")


def test_checks_by_an_older_roster_than_the_hubs_are_told_as_such() -> None:
    done, lines = told(Result(bundled={"roster_hash": keccak(b"a newer one")}))
    assert done
    assert lines["roster"][0] is None
    assert lines["roster"][1].endswith("the hub has a newer one by now")


def test_a_roster_that_is_none_and_a_missing_one_are_told() -> None:
    assert denied(Result(bundled={"roster": b"{}"}), "roster") == "it is not understood"
    _, lines = told(Result(bundled={"roster": None}))
    assert lines["roster"] == (None, "not at hand: 2 checks have no keys")
