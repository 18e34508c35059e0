"""Checking answers without a committee: results of real runs, and contexts to check them in."""

import asyncio
from dataclasses import replace
from typing import Any

from vagus.agents import Agent, Context, Mode, Route, evidence, execute
from vagus.agents.modes import CheckContext, Result, Verifier, mode_of
from vagus.agents.zk import Proving
from vagus.protocol import ZERO32, Intent, keccak256, models_digest

__all__ = ["Said", "check_context", "intent_of", "members", "result_of", "said", "verifier_of"]


class Said(Agent):
    """Answers its payload: what a member's run gave is the test's to write."""

    name = "said"
    version = "1.0.0"
    Input = bytes
    Output: Any = bytes
    mode = Mode(name="exact")

    async def run(self, ctx: Context, value: bytes, /) -> Any:
        return value

    def encode(self, output: Any) -> bytes:
        return bytes(output)


def said(output: Any = bytes, mode: str = "exact", **parameters: Any) -> Agent:
    """An agent whose class declares these outputs and this mode."""
    kinds = {"Output": output, "mode": Mode(name=mode, parameters=parameters)}  # type: ignore[arg-type]
    return type("Made", (Said,), kinds)()


def verifier_of(output: Any, mode: str, **parameters: Any) -> Verifier:
    return mode_of(said(output, mode, **parameters).manifest)


def members(count: int) -> list[bytes]:
    """Signers, ascending."""
    return [bytes([at + 1]) * 20 for at in range(count)]


def intent_of(agent: Agent, payload: bytes = b"", **changes: Any) -> Intent:
    intent = Intent(
        origin_hub=b"\x0a" * 32,
        seq=7,
        requester=b"\x0b" * 32,
        agent_id=agent.manifest.id,
        payload_hash=keccak256(payload),
        model_digest=ZERO32,
        terms_hash=ZERO32,
        min_signers=0,
        dest_hub=b"\x0c" * 32,
        callback=ZERO32,
        callback_gas=0,
        fee_asset=ZERO32,
        max_fee=10**18,
        deadline=2_000_000_000,
    )
    return replace(intent, **changes)


def check_context(agent: Agent, payload: bytes = b"", **changes: Any) -> CheckContext:
    defaults: dict[str, Any] = {
        "agent": agent,
        "intent": intent_of(agent, payload),
        "payload": payload,
        "route": None,
        "deadline": asyncio.get_running_loop().time() + 60,
        "member": members(1)[0],
    }
    return CheckContext(**{**defaults, **changes})


async def result_of(
    agent: Agent,
    payload: bytes = b"",
    *,
    output: bytes | None = None,
    executor: bytes = members(1)[0],
    route: Route | None = None,
    intent: Intent | None = None,
    record: bool = False,
    circuit: Proving | None = None,
) -> Result:
    """Run the agent as a node does; `output` is what its run gives where the test says so."""
    intent = intent_of(agent, payload) if intent is None else intent
    ctx = Context(
        intent_id=intent.id,
        agent_id=agent.manifest.agent_id,
        route=route,
        deadline=asyncio.get_running_loop().time() + 60,
        budget=check_context(agent).budget,
        record=record,
        circuit=circuit,
    )
    made = await execute(agent, ctx, payload) if output is None else output
    proof = evidence.build(
        intent,
        agent.manifest,
        ctx.calls,
        made,
        executor=executor,
        started=1_700_000_000_000,
        finished=1_700_000_001_000,
        proofs=ctx.proofs,
    )
    models = models_digest(call.route.model.digest for call in ctx.calls)
    return Result(made, agent.manifest.digest, models, proof.data)
