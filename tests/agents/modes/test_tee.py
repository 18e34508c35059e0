"""tee: signed responses through the sandbox of io.net's API, and a real TDX quote."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from eth_account import Account
from eth_account.messages import encode_defunct

from support.agents import Written
from support.modes import check_context, intent_of, result_of, verifier_of
from vagus.agents import Agent, Mode, Route
from vagus.agents.builtin.chat import Chat
from vagus.agents.modes import Result, Verdict, mode_of
from vagus.compute import Completion, Message, Proof
from vagus.compute.backends.ionet_confidential import ConfidentialBackend, ConfidentialConfig
from vagus.compute.confidential import check_quote
from vagus.compute.sandbox.ionet_confidential import IMAGE, ConfidentialSandbox
from vagus.protocol import Refuse, Retry

PAYLOAD = b'{"prompt":"Name a colour."}'
VECTORS = Path(__file__).parents[2] / "vectors" / "tdx"
QUOTE = (VECTORS / "quote.bin").read_bytes().hex()
COLLATERAL = (VECTORS / "collateral.json").read_text()
# A day after the collateral's TCB info was issued, 2025-06-19.
AT = 1_750_414_563
MEASUREMENT = (
    "91eb2b44d141d4ece09f0c75c2c53d247a3c68edd7fafe8a3520c942a604a407"
    "de03ae6dc5f87f27428b2538873118b7"
)


@pytest.fixture
async def sandbox() -> AsyncIterator[ConfidentialSandbox]:
    async with ConfidentialSandbox(Written(lambda _: "Blue.")) as found:
        yield found


@pytest.fixture
async def backend(
    sandbox: ConfidentialSandbox, tmp_path: Path
) -> AsyncIterator[ConfidentialBackend]:
    async with ConfidentialBackend(config(sandbox, tmp_path)) as found:
        yield found


def config(sandbox: ConfidentialSandbox, folder: Path, **more: Any) -> ConfidentialConfig:
    key = folder / "key"
    key.write_text(sandbox.api_key)
    key.chmod(0o600)
    return ConfidentialConfig(
        **{
            "name": "confidential",
            "base_url": sandbox.base_url,
            "models": ("written",),
            "api_key_file": key,
            **more,
        }
    )


def agent_of(**parameters: Any) -> Agent:
    mode = Mode(name="tee", parameters=parameters)
    return type("Confidential", (Chat,), {"mode": mode})()  # type: ignore[no-any-return]


async def leads(agent: Agent, backend: ConfidentialBackend, **more: Any) -> Result:
    (model,) = await backend.models()
    return await result_of(agent, PAYLOAD, route=Route(backend, model), record=True, **more)


async def follows(agent: Agent, proposed: Result, **more: Any) -> Verdict:
    """A member that has no model at all."""
    return await mode_of(agent.manifest).check(
        check_context(agent, PAYLOAD, **more), None, proposed
    )


async def test_a_response_that_a_trusted_key_signed_passes(
    sandbox: ConfidentialSandbox, backend: ConfidentialBackend
) -> None:
    agent = agent_of(signers=(sandbox.address,), images=(IMAGE,))
    proposed = await leads(agent, backend)
    assert proposed.output == b"Blue."
    found = await follows(agent, proposed)
    assert (found.right, found.measured) == (True, {"signed": 1, "keys": 1})


async def test_the_sandbox_signs_as_an_ethereum_account_does(
    sandbox: ConfidentialSandbox, backend: ConfidentialBackend
) -> None:
    proposed = await leads(agent_of(signers=(sandbox.address,)), backend)
    proof = json.loads(proposed.evidence)["calls"][0]["record"]["proof"]
    text = proof["text"]
    signer = Account.recover_message(encode_defunct(text=text), signature=proof["signature"])
    assert signer.lower() == sandbox.address
    assert text.split(":")[1] == hashlib.sha256(proof["response"].encode()).hexdigest()


def claimed(result: Result, change: Callable[[dict[str, Any]], Any]) -> Result:
    document = json.loads(result.evidence)
    change(document["calls"][0])
    return replace(result, evidence=rfc8785.dumps(document))


def signed_anew(proof: dict[str, Any], **changes: Any) -> None:
    """Sign what the proof then says by a key that no agent trusts."""
    stranger = Account.create()
    proof.update(changes)
    request = proof["text"].split(":")[0]
    proof["text"] = f"{request}:{hashlib.sha256(proof['response'].encode()).hexdigest()}"
    signature = stranger.sign_message(encode_defunct(text=proof["text"])).signature.hex()
    proof.update(signature="0x" + signature, signing_address=stranger.address.lower())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda p: p.update(response=p["response"].replace("Blue", "Red")), "signed text is not"),
        (lambda p: p.update(text=p["text"][::-1]), "signed text is not"),
        (lambda p: p.update(text="0" * 64 + p["text"][64:]), "signed text is not"),
        (lambda p: p.update(signature="0x" + "11" * 65), "signature"),
        (lambda p: p.update(signature=""), "signature"),
        (lambda p: p.update(signature=p["signature"][:-2] + "00"), "signature"),
        (lambda p: p.update(signing_address="0x" + "11" * 20), "another key than it names"),
        (lambda p: p.update(image_digest="sha256:other"), "an image that the agent"),
        (lambda p: p.update(served_as="other"), "asked for another model"),
        (signed_anew, "a key that the agent does not trust"),
        (lambda p: signed_anew(p, response="no JSON"), "a key that the agent does not trust"),
        (lambda p: p.update(signing_address="me"), "not understood"),
    ],
)
async def test_what_no_trusted_key_signed_does_not(
    sandbox: ConfidentialSandbox,
    backend: ConfidentialBackend,
    change: Callable[[dict[str, Any]], Any],
    why: str,
) -> None:
    agent = agent_of(signers=(sandbox.address,), images=(IMAGE,))
    lied = claimed(await leads(agent, backend), lambda call: change(call["record"]["proof"]))
    found = await follows(agent, lied)
    assert (found.right, why in found.reason) == (False, True), found.reason


async def test_a_response_to_another_question_does_not_pass(
    sandbox: ConfidentialSandbox, backend: ConfidentialBackend
) -> None:
    """The seed follows from the intent, so an answer is of one intent alone."""
    agent = agent_of(signers=(sandbox.address,))
    other = intent_of(agent, PAYLOAD, seq=8)
    document = json.loads((await leads(agent, backend)).evidence)
    replayed = json.loads((await leads(agent, backend, intent=other)).evidence)
    document["calls"] = replayed["calls"]
    result = replace(await leads(agent, backend), evidence=rfc8785.dumps(document))
    assert "signed text is not of this request" in (await follows(agent, result)).reason


async def test_what_is_counted_is_what_was_signed(
    sandbox: ConfidentialSandbox, backend: ConfidentialBackend
) -> None:
    agent = agent_of(signers=(sandbox.address,))
    lied = claimed(await leads(agent, backend), lambda call: call["usage"].update(prompt=99))
    assert "counts other tokens" in (await follows(agent, lied)).reason


async def test_evidence_without_a_proof_proves_nothing() -> None:
    agent = agent_of(signers=("0x" + "11" * 20,))
    written = Written(lambda _: "Blue.")
    (model,) = await written.models()
    route = Route(written, model)
    plain = await result_of(agent, PAYLOAD, route=route, record=True)
    assert "no signed response" in (await follows(agent, plain)).reason


# The backend


def asked(model: Any) -> Completion:
    return Completion(model=model, messages=(Message("user", "Hello"),), max_tokens=4)


async def test_a_signature_of_another_key_than_was_attested_is_a_retry(
    sandbox: ConfidentialSandbox, backend: ConfidentialBackend
) -> None:
    from coincurve import PrivateKey

    (model,) = await backend.models()
    proof = (await backend.complete(asked(model), timeout=20)).proof
    assert isinstance(proof, Proof)
    sandbox._key = PrivateKey()
    with pytest.raises(Retry, match="another key than it names"):
        await backend.complete(asked(model), timeout=20)


async def test_a_wrong_key_of_the_api_is_refused(
    sandbox: ConfidentialSandbox, tmp_path: Path
) -> None:
    settings = config(sandbox, tmp_path)
    settings.api_key_file.write_text("another")
    async with ConfidentialBackend(settings) as backend:
        (model,) = await backend.models()
        with pytest.raises(Refuse, match="HTTP 401"):
            await backend.complete(asked(model), timeout=20)


# Quotes


def test_a_real_quote_holds_at_the_time_of_its_collateral() -> None:
    found = check_quote(QUOTE, COLLATERAL, AT)
    assert found.measurement == MEASUREMENT
    assert found.report_data.startswith("9a9d48e7f6799642")


@pytest.mark.parametrize(
    ("quote", "collateral", "at", "why"),
    [
        (QUOTE, COLLATERAL, AT + 400 * 86_400, "does not hold"),
        (QUOTE, COLLATERAL, AT - 400 * 86_400, "does not hold"),
        (QUOTE[:1000], COLLATERAL, AT, "does not hold"),
        (QUOTE[:600] + "ff" + QUOTE[602:], COLLATERAL, AT, "does not hold"),
        (QUOTE, "{}", AT, "does not hold"),
        (QUOTE, COLLATERAL.replace("UpToDate", "Revoked", 1), AT, "does not hold"),
        ("", COLLATERAL, AT, "not hex"),
        ("zz", COLLATERAL, AT, "not hex"),
        ("00" * 20_000, COLLATERAL, AT, "not hex of at most"),
    ],
)
def test_a_quote_that_was_changed_or_is_of_another_time_is_refused(
    quote: str, collateral: str, at: int, why: str
) -> None:
    with pytest.raises(Refuse, match=why):
        check_quote(quote, collateral, at)


async def test_a_quote_vouches_for_the_key_in_its_report_data_alone(
    sandbox: ConfidentialSandbox, tmp_path: Path
) -> None:
    file = tmp_path / "quote.json"
    file.write_text(json.dumps({"quote": QUOTE, "collateral": json.loads(COLLATERAL), "time": AT}))
    for measurement, deadline, why in (
        (MEASUREMENT, AT + 86_400, "vouches for another key"),
        ("00" * 48, AT + 86_400, "a domain that is not trusted"),
        (MEASUREMENT, AT + 46 * 86_400, "a time that is not the intent's"),
        (MEASUREMENT, AT - 1, "a time that is not the intent's"),
    ):
        agent = agent_of(measurements=(measurement,))
        intent = intent_of(agent, PAYLOAD, deadline=deadline)
        async with ConfidentialBackend(config(sandbox, tmp_path, quote_file=file)) as backend:
            proposed = await leads(agent, backend, intent=intent)
        found = await follows(agent, proposed, intent=intent)
        assert (found.right, why in found.reason) == (False, True), found.reason


async def test_a_quote_whose_report_data_has_the_key_is_trusted() -> None:
    """The quote is real and its key is nobody's here: only the verifier's own step is tried."""
    from vagus.agents.modes.tee import Tee

    verifier = verifier_of(str, "tee", measurements=(MEASUREMENT,))
    assert isinstance(verifier, Tee)
    report_data = check_quote(QUOTE, COLLATERAL, AT).report_data
    proof = Proof("m", "", "", "", "0x" + report_data[:40], "", QUOTE, COLLATERAL, AT)
    intent = intent_of(agent_of(measurements=(MEASUREMENT,)), deadline=AT + 86_400)
    verifier.trust(proof, intent)


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({}, "measurements are needed"),
        ({"signers": ("0xAB",)}, "'signers': each must be"),
        ({"signers": "0x" + "11" * 20}, "'signers': it must be of type tuple"),
        ({"measurements": ("00",)}, "'measurements': each must be"),
        ({"signers": ("0x" + "11" * 20,), "days": 0}, "'days': it must be 1 to 366"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(parameters: dict[str, Any], why: str) -> None:
    with pytest.raises(Refuse, match=why):
        verifier_of(str, "tee", **parameters)


def test_a_node_without_the_extra_says_so_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "dcap_qvl", None)
    with pytest.raises(Refuse, match=r"vagus\[tee\]"):
        verifier_of(str, "tee", measurements=(MEASUREMENT,)).require([])
    verifier_of(str, "tee", signers=("0x" + "11" * 20,)).require([])
