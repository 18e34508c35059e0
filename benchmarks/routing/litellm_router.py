"""LiteLLM's router on the same trace: its own code, around the same simulated backends.

    python litellm_router.py '{"seeds": [11], "backends": 10, "calls": 2000, "rate": 2.0,
                               "strategy": "latency-based-routing", "retries": null, "timeout": 60}'

runs in an environment of its own (requirements/bench.txt) and prints a result for each seed as JSON. The backends are
a custom provider of LiteLLM's; its clock is the simulation's. Prices are those of the moment, in each
deployment's `litellm_params`. What nobody names here is LiteLLM's default.
"""

import asyncio
import dataclasses
import datetime as dt
import json
import logging
import os
import random
import sys
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
import openai
import time_machine
from clock import VirtualLoop
from overhead import microseconds
from policies import Policy, Result, play
from world import DEADLINE, STEP, Call, Failed, World

__all__ = ["main"]

START = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
ERRORS: dict[int, type[Exception]] = {
    429: litellm.RateLimitError,
    500: litellm.InternalServerError,
    502: litellm.BadGatewayError,
}


class Simulated(litellm.CustomLLM):
    """The provider `simulated/<number>`: the call's number is its message."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    async def acompletion(self, model: str, messages: list[Any], *args: Any, **kwargs: Any) -> Any:
        machine = self._world.machines[int(model)]
        call = self._world.by_number[int(messages[0]["content"])]
        limit = kwargs.get("timeout")
        try:
            await machine.complete(call, limit if isinstance(limit, int | float) else DEADLINE)
        except Failed as error:
            said = {"message": "simulated", "llm_provider": "simulated", "model": model}
            raise (litellm.Timeout if error.status == 504 else ERRORS[error.status])(
                **said
            ) from None
        answer: litellm.ModelResponse = kwargs["model_response"]
        answer.usage = litellm.Usage(  # type: ignore[attr-defined]
            prompt_tokens=call.prompt,
            completion_tokens=call.completion,
            total_tokens=call.prompt + call.completion,
        )
        return answer


def router(provider: Simulated, world: World, settings: dict[str, Any]) -> litellm.Router:
    litellm.custom_provider_map = [{"provider": "simulated", "custom_handler": provider}]
    models = [
        {
            "model_name": "model",
            "litellm_params": {"model": f"simulated/{each.number}", **_prices(each.prices(0))},
            "model_info": {"id": str(each.number)},
        }
        for each in world.machines
    ]
    return litellm.Router(
        model_list=models,
        routing_strategy=settings["strategy"],
        num_retries=settings["retries"],
        timeout=settings["timeout"],
    )


def _prices(prices: tuple[float, float]) -> dict[str, float]:
    return {
        "input_cost_per_token": prices[0] / 1e12,
        "output_cost_per_token": prices[1] / 1e12,
    }


def policy(world: World, settings: dict[str, Any]) -> Policy:
    routed = router(Simulated(world), world, settings)
    priced = -1.0

    async def serve(call: Call) -> None:
        nonlocal priced
        now = asyncio.get_running_loop().time()
        if now >= priced + STEP:
            priced = now
            for each in routed.model_list:
                machine = world.machines[int(each["model_info"]["id"])]
                each["litellm_params"].update(_prices(machine.prices(now)))
        messages: Any = [{"role": "user", "content": str(call.number)}]
        try:
            async with asyncio.timeout(DEADLINE):
                await routed.acompletion(
                    model="model", messages=messages, max_tokens=call.max_tokens
                )
        except (TimeoutError, openai.OpenAIError) as error:
            raise Failed(int(getattr(error, "status_code", 504))) from None

    return serve


class Instant(Simulated):
    """Answers at once."""

    async def acompletion(self, model: str, messages: list[Any], *args: Any, **kwargs: Any) -> Any:
        answer: litellm.ModelResponse = kwargs["model_response"]
        answer.usage = litellm.Usage(prompt_tokens=9, completion_tokens=9, total_tokens=18)  # type: ignore[attr-defined]
        return answer


async def overhead(world: World, settings: dict[str, Any]) -> float:
    """The router's µs for a call more than LiteLLM's call without it takes."""
    routed = router(Instant(world), world, settings)
    message: Any = [{"role": "user", "content": "0"}]

    async def through(index: int) -> None:
        await routed.acompletion(model="model", messages=message)

    async def bare(index: int) -> None:
        await litellm.acompletion(model="simulated/0", messages=message)

    return await microseconds(through, bare, len(world.calls))


def main() -> None:
    settings = json.loads(sys.argv[1])
    logging.disable(logging.CRITICAL)
    litellm.suppress_debug_info = True
    sizes = [settings[name] for name in ("backends", "calls", "rate")]
    worlds = {seed: World(seed, *sizes) for seed in settings["seeds"]}
    if settings.get("overhead"):
        print(json.dumps([asyncio.run(overhead(each, settings)) for each in worlds.values()]))
        return
    print(json.dumps([played(seed, world, settings) for seed, world in worlds.items()]))


def played(seed: int, world: World, settings: dict[str, Any]) -> dict[str, Any]:
    random.seed(seed)
    with (
        time_machine.travel(START, tick=False) as traveller,
        asyncio.Runner(loop_factory=VirtualLoop) as runner,
    ):
        loop: Any = runner.get_loop()
        loop.moved = lambda now: traveller.move_to(START + dt.timedelta(seconds=now))

        async def whole() -> Result:
            return await play(world, policy(world, settings))

        return dataclasses.asdict(runner.run(whole()))


if __name__ == "__main__":
    main()
