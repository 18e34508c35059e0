"""How near two answers' embeddings are: the second table in docs/modes.md.

    python benchmarks/semantic.py [--prompts 20] [--tokens 48]

The local model answers each prompt twice, at temperature 0.8 and two seeds. Two answers to one
prompt are what honest members compare; answers to two prompts stand for a lie about the topic, and
sentences with their negation for one that embeddings don't see. Needs the extra semantic.
"""

import argparse
import asyncio
import itertools
import sys

import structlog

from rescoring import PATIENCE, PROMPTS, request, served
from vagus.compute.embeddings import embedder
from vagus.daemon.fetch import embedder_path, model_path

NEGATED = (
    ("The proposal is safe and should be accepted.", "The proposal is unsafe and should be rejected."),
    ("The shipment arrived on time.", "The shipment did not arrive on time."),
    ("The borrower has repaid the loan.", "The borrower has not repaid the loan."),
    ("Water boils at 100 degrees Celsius.", "Water boils at 50 degrees Celsius."),
    ("The vote passed with 60 percent in favour.", "The vote failed with 40 percent in favour."),
)  # fmt: skip


async def answers(count: int, tokens: int) -> list[tuple[str, str]]:
    found = []
    async with served(model_path()) as backend:
        for prompt in PROMPTS[:count]:
            said = []
            for seed in (1, 2):
                asked = await request(backend, prompt, tokens, seed=seed, temperature=0.8)
                said.append((await backend.complete(asked, timeout=PATIENCE)).text)
            found.append((said[0], said[1]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=20, help=f"at most {len(PROMPTS)}")
    parser.add_argument("--tokens", type=int, default=48, help="the longest answer")
    options = parser.parse_args()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    embedder_path()
    similarity = embedder().similarity
    print("the local model answers each prompt twice", file=sys.stderr, flush=True)
    pairs = asyncio.run(answers(options.prompts, options.tokens))
    rows = {
        "two answers to one prompt": [similarity(*pair) for pair in pairs],
        "answers to two prompts": [
            similarity(one[0], other[1]) for one, other in itertools.pairwise(pairs)
        ],
        "a sentence and its opposite": [similarity(*pair) for pair in NEGATED],
    }
    limits = (0.5, 0.6, 0.7, 0.8)
    heads = " | ".join(f"taken at {limit}" for limit in limits)
    print(f"| pairs | least | median | most | {heads} |\n|---|" + "---:|" * (3 + len(limits)))
    for name, each in rows.items():
        each.sort()
        counts = " | ".join(f"{sum(x >= limit for x in each)} of {len(each)}" for limit in limits)
        middle = each[(len(each) - 1) // 2]
        print(f"| {name} | {each[0]:.2f} | {middle:.2f} | {each[-1]:.2f} | {counts} |")


if __name__ == "__main__":
    main()
