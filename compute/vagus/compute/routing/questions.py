"""Questions of nobody, for backends that no traffic reached yet: made from seeds, each asked once.

They are put together at random from parts, in the length and the manner of what people ask. Who reads
this file can know the manner of them; so where there is traffic, canaries are copies of it
(`vagus.compute.routing.canary`), and these are for the time before.
"""

import random

from vagus.compute.base import Completion, Message, Model

__all__ = ["question"]

_THINGS = (
    "a bee", "a blockchain", "a bridge", "a court", "a glacier", "a hash function", "a lighthouse",
    "a market", "a mortgage", "a peninsula", "a prime number", "a river delta", "a solar panel",
    "a treaty", "a vaccine", "a vote", "an auction", "an index fund", "bread", "copper", "democracy",
    "erosion", "glass", "inflation", "insurance", "jazz", "limestone", "photosynthesis", "rust",
    "salt", "the equator", "the moon", "the tide", "topsoil", "trade", "wool",
)  # fmt: skip
_PLACES = (
    "Lisbon", "Nairobi", "Osaka", "Quito", "Tallinn", "Tunis", "Vancouver", "Zagreb", "a village",
    "the harbour", "the north", "the valley",
)  # fmt: skip
_PEOPLE = (
    "the council",
    "a cooperative",
    "the ministry",
    "a small company",
    "our team",
    "the guild",
)
_DEEDS = (
    "raised the fee", "lowered the rent", "bought a mill", "closed the road", "paid the debt",
    "planted trees", "moved the archive", "repaired the dam", "changed the vote", "sold the boats",
)  # fmt: skip
_STYLES = (
    "", " Answer in one sentence.", " Be brief.", " Explain it to a child.", " Give one example.",
    " Give two reasons.", " Name the most important point first.",
)  # fmt: skip


def question(model: Model, seed: int, max_tokens: int) -> Completion:
    """Return the question of a seed, at temperature 0 with token ids."""
    source = random.Random(seed)  # noqa: S311 - the seed is what must not be guessed, not the generator
    text = source.choice(_FORMS)(source) + source.choice(_STYLES)
    return Completion(
        model=model,
        messages=(Message("user", text),),
        max_tokens=max_tokens,
        seed=source.randrange(1 << 31),
        ids=True,
    )


def _what(source: random.Random) -> str:
    first, second = source.sample(_THINGS, 2)
    return source.choice(
        (
            f"What is {first}?",
            f"How is {first} like {second}?",
            f"What do {first} and {second} have in common?",
            f"Why does {first} matter in {source.choice(_PLACES)}?",
            f"Which came first, {first} or {second}?",
            f"Tell me about {first} and its history in {source.choice(_PLACES)}.",
        )
    )


def _news(source: random.Random) -> str:
    said = " ".join(_sentence(source) for _ in range(source.randint(1, 4)))
    asked = source.choice(
        ("Summarize this:", "What happened here?", "Is this good news?", "Who acted?")
    )
    return f"{asked} {said}"


def _sentence(source: random.Random) -> str:
    year, share = source.randint(1890, 2025), source.randint(2, 97)
    who, deed, place = source.choice(_PEOPLE), source.choice(_DEEDS), source.choice(_PLACES)
    return f"In {year} {who} of {place} {deed} after {share} percent had agreed."


def _sum(source: random.Random) -> str:
    first, second, third = (source.randint(2, 99) for _ in range(3))
    return source.choice(
        (
            f"What is {first} times {second}?",
            f"A train goes {first} km in {second} minutes. How far does it go in {third}?",
            f"I have {first} coins, give away {second % first} and find {third}. How many are left?",
            f"Sort these numbers: {first}, {second}, {third}, {first * second % 100}.",
        )
    )


def _advice(source: random.Random) -> str:
    deed, place = source.choice(_DEEDS), source.choice(_PLACES)
    return source.choice(
        (
            f"Should {source.choice(_PEOPLE)} in {place} have {deed}?",
            f"Write a letter to {source.choice(_PEOPLE)} of {place}, who {deed}.",
            f"List three things to know before one visits {place} to see {source.choice(_THINGS)}.",
            f"Write a line of verse about {source.choice(_THINGS)}.",
        )
    )


_FORMS = (_what, _news, _sum, _advice)
