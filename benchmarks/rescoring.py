"""How well rescoring tells the local model from others: the table in docs/modes.md.

    python benchmarks/rescoring.py [--prompts 16] [--tokens 32] [--json FILE]

The reference is the local model as vagus runs it. It reads answers at temperature 0 that it wrote
itself, in other settings, and answers of others: copies of it whose tensors were disturbed, other
quantizations of it, itself at a temperature, and texts that no model wrote for the prompt. A row
says how many of its answers a pair of thresholds takes for the reference's own. Needs the wheel
gguf. Takes a quarter of an hour on two cores.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import structlog

from vagus.agents.modes.rescoring import MEAN, WORST
from vagus.compute import Answer, Completion, Message
from vagus.compute.backends.local import LocalBackend, LocalConfig
from vagus.daemon.fetch import model_path
from vagus.protocol import Refuse

PROMPTS = (
    "What is a bee?", "Why is the sky blue?", "Name three rivers.", "How do I boil an egg?",
    "What is a blockchain?", "Tell me about the moon.", "What does a court do?",
    "Explain photosynthesis.", "Give me advice on saving money.", "Who was Marie Curie?",
    "What is inflation?", "How does a bicycle work?", "Write a line about autumn.",
    "Should a village build a bridge?", "What is a vote?", "Describe a lighthouse.",
    "What is a hash function?", "How are clouds made?", "Why do cats purr?",
    "What is a good breakfast?", "Summarize: The council met and raised the fee by two percent.",
    "Translate to French: good morning.", "What is seven times eight?", "Is glass a liquid?",
    "What is a smart contract?", "How do vaccines work?", "What is jazz?", "Name a prime number.",
    "Why do leaves fall?", "What is a peninsula?", "Who invented the telephone?",
    "What makes bread rise?",
)  # fmt: skip
CANNED = (
    "I am sorry, but I can't help with that request.",
    "Yes.",
    "The answer depends on many things, and more research is needed to be sure.",
    "Approved: the proposal is safe and should be accepted by everyone.",
)
PATIENCE = 1200.0


@asynccontextmanager
async def served(path: Path, **settings: Any) -> AsyncIterator[LocalBackend]:
    async with LocalBackend(LocalConfig(model_path=path, timeout=PATIENCE, **settings)) as backend:
        yield backend


async def request(backend: LocalBackend, prompt: str, tokens: int, **more: Any) -> Completion:
    (model,) = await backend.models()
    messages = (Message("user", prompt),)
    return Completion(model=model, messages=messages, max_tokens=tokens, ids=True, **more)


def ids(answer: Answer) -> list[int]:
    assert len(answer.ids) == answer.usage.completion
    return list(answer.ids)


async def answers(
    path: Path, prompts: Sequence[str], tokens: int, at_once: int = 1, **more: Any
) -> list[list[int]]:
    """The tokens that a model writes for each prompt."""
    settings = {key: more.pop(key) for key in ("threads", "parallel") if key in more}
    async with served(path, **settings) as backend:
        limit = asyncio.Semaphore(at_once)

        async def one(at: int, prompt: str) -> list[int]:
            async with limit:
                asked = await request(backend, prompt, tokens, seed=at, **more)
                return ids(await backend.complete(asked, timeout=PATIENCE))

        return await asyncio.gather(*(one(at, prompt) for at, prompt in enumerate(prompts)))


async def tokenized(backend: LocalBackend, text: str) -> list[int]:
    client = backend._up()  # noqa: SLF001 - a benchmark
    body = msgspec.json.encode({"content": text})
    return json.loads(await client.ask("POST", "/tokenize", body, PATIENCE, 1 << 20))["tokens"]


async def scored(
    reference: LocalBackend,
    prompt: str,
    tokens: int,
    said: Sequence[int],
    slots: asyncio.Semaphore,
) -> tuple[float, float] | None:
    """The mean and the worst gap; None for an answer that is refused without them."""
    asked = await request(reference, prompt, tokens)
    try:
        # A slot for each, or they would take each other's prefix from the cache.
        async with slots:
            found = await reference.rescore(asked, said, timeout=PATIENCE)
    except Refuse:
        return None
    return sum(found.gaps) / len(found.gaps), max(found.gaps)


def rewritten(path: Path, change: Any = None, without: Sequence[int] = ()) -> Path:
    """A copy of the local model: its tensors changed, some of its layers left out."""
    try:
        import gguf
    except ImportError:
        sys.exit("this benchmark needs gguf: pip install gguf")
    reader = gguf.GGUFReader(model_path())
    writer = gguf.GGUFWriter(path, "llama")
    for key, part in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        value = part.contents()
        if key == "llama.block_count":
            value -= len(without)
        array = part.types[-1] if len(part.types) > 1 else None
        writer.add_key_value(key, value, part.types[0], array)
    for at, tensor in enumerate(reader.tensors):
        name = tensor.name
        if name.startswith("blk."):
            _, layer, rest = name.split(".", 2)
            if int(layer) in without:
                continue
            name = f"blk.{int(layer) - sum(each < int(layer) for each in without)}.{rest}"
        data, kind = change(at, tensor) if change else (tensor.data, tensor.tensor_type)
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def copies(folder: Path) -> dict[str, Path]:
    """Other models made of the local one: disturbed, and quantized again."""
    try:
        import gguf
        import numpy as np
    except ImportError:
        sys.exit("this benchmark needs gguf: pip install gguf")
    kinds = gguf.GGMLQuantizationType

    def noise(share: float) -> Any:
        def change(at: int, tensor: Any) -> Any:
            if tensor.tensor_type != kinds.Q4_1 or "ffn_down" not in tensor.name:
                return tensor.data, tensor.tensor_type
            weights = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            source = np.random.default_rng(at)
            weights += source.normal(0, share * weights.std(), weights.shape).astype(np.float32)
            return gguf.quants.quantize(weights, kinds.Q4_1), kinds.Q4_1

        return change

    def quantized(kind: Any) -> Any:
        def change(_: int, tensor: Any) -> Any:
            if tensor.tensor_type != kinds.Q4_1:
                return tensor.data, tensor.tensor_type
            weights = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            return gguf.quants.quantize(weights, kind), kind

        return change

    return {
        "disturbed by 10 %": rewritten(folder / "noise-10.gguf", noise(0.1)),
        "disturbed by 50 %": rewritten(folder / "noise-50.gguf", noise(0.5)),
        "quantized again, Q8_0": rewritten(folder / "q8_0.gguf", quantized(kinds.Q8_0)),
        "quantized again, Q4_0": rewritten(folder / "q4_0.gguf", quantized(kinds.Q4_0)),
    }


async def measured(count: int, tokens: int, folder: Path) -> dict[str, list[Any]]:
    prompts, own = PROMPTS[:count], model_path()
    said: dict[str, list[list[int]]] = {}
    progress("the reference, one at a time")
    said["itself"] = await answers(own, prompts, tokens)
    progress("the reference, four at once")
    said["itself, four at once"] = await answers(own, prompts, tokens, 4)
    progress("the reference at temperature 0.8")
    said["itself at temperature 0.8"] = await answers(own, prompts, tokens, 4, temperature=0.8)
    for name, path in copies(folder).items():
        progress(name)
        said[name] = await answers(path, prompts, tokens, 4)
    found: dict[str, list[Any]] = {}
    async with served(own) as reference:
        # What it wrote for another prompt, cut to what was asked for, and texts of nobody.
        said["its answer to another prompt"] = [*said["itself"][1:], said["itself"][0]]
        canned = [await tokenized(reference, text) for text in CANNED]
        said["a canned answer"] = [canned[at % len(canned)] for at in range(count)]
        slots = asyncio.Semaphore(3)
        for name, each in said.items():
            progress(f"rescoring {name}")
            pairs = zip(prompts, each, strict=True)
            found[name] = await asyncio.gather(
                *(scored(reference, prompt, tokens, answer, slots) for prompt, answer in pairs)
            )
    return found


def progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def taken(found: Sequence[Any], mean: float, worst: float) -> int:
    return sum(each is not None and each[0] <= mean and each[1] <= worst for each in found)


def table(found: dict[str, list[Any]]) -> str:
    pairs = [(0.001, 0.05), (float(MEAN), float(WORST)), (0.05, 2.0)]
    heads = " | ".join(f"taken at {mean:g}, {worst:g}" for mean, worst in pairs)
    rows = [f"| answers of | median of means | largest worst | {heads} |", "|---|" + "---:|" * 5]
    for name, each in found.items():
        scores = sorted(score for score in each if score is not None)
        middle = f"{scores[(len(scores) - 1) // 2][0]:.4f}" if scores else "-"
        largest = f"{max(worst for _, worst in scores):.3f}" if scores else "-"
        counts = " | ".join(f"{taken(each, *pair)} of {len(each)}" for pair in pairs)
        rows.append(f"| {name} | {middle} | {largest} | {counts} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=16, help=f"at most {len(PROMPTS)}")
    parser.add_argument("--tokens", type=int, default=32, help="the longest answer")
    parser.add_argument("--json", type=Path, help="where the scores are written, each answer's")
    options = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measured(options.prompts, options.tokens, Path(folder)))
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))
    print(table(found))


if __name__ == "__main__":
    main()
