"""What is wrong with the end of each question, by what the chains say and nothing else."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from byzantine.books import Books, Intent
from byzantine.questions import Question

__all__ = ["GROUPS", "faults_of", "grouped", "latencies"]

FULFILLED = 0
# What a case must have none of, and the faults that count as it.
GROUPS = {
    "wrong answers": ("wrong answer", "delivered elsewhere", "settled as another outcome"),
    "delivered or settled twice": ("delivered twice", "settled twice", "asked twice"),
    "not ended in time": (
        *("never asked on chain", "not delivered", "delivered late"),
        *("not settled", "settled late", "refunded"),
    ),
    "not signed by a quorum": ("too few members signed", "a stranger signed"),
}


def faults_of(
    question: Question, books: Books, members: Collection[str], threshold: int
) -> Counter[str]:
    """What is wrong with a question's end; nothing, if all is well."""
    intents = books.of(question)
    if not intents:
        return Counter(["never asked on chain"])
    wrong = Counter[str]({"asked twice": len(intents) - 1})
    for intent in intents:
        wrong.update(_of_deliveries(question, intent))
        wrong.update(_of_signers(intent, members, threshold))
        wrong.update(_of_settlements(intent))
    return +wrong


def grouped(wrong: Counter[str], strangers: int) -> dict[str, int]:
    """How much there is of what must be 0; `strangers` are intents that nobody asked, and that ended."""
    found = {name: sum(wrong[each] for each in kinds) for name, kinds in GROUPS.items()}
    return found | {"answers that nobody asked for": strangers}


def latencies(questions: Sequence[Question], books: Books) -> list[int]:
    """Seconds of chain time from request to settlement, ascending."""
    return sorted(
        intent.settled[0].time - intent.asked.time
        for each in questions
        for intent in books.of(each)
        if intent.settled
    )


def _of_deliveries(question: Question, intent: Intent) -> Iterator[str]:
    if not intent.delivered:
        yield "not delivered"
    if len(intent.delivered) > 1:
        yield "delivered twice"
    for chain, delivery in intent.delivered:
        if chain != question.dest:
            yield "delivered elsewhere"
        if (delivery.status, delivery.output) != (FULFILLED, question.output):
            yield "wrong answer"
        if delivery.time > intent.asked.deadline:
            yield "delivered late"


def _of_signers(intent: Intent, members: Collection[str], threshold: int) -> Iterator[str]:
    for _, delivery in intent.delivered:
        signers = set(delivery.signers)
        if len(signers.intersection(members)) < threshold:
            yield "too few members signed"
        if not signers.issubset(members):
            yield "a stranger signed"


def _of_settlements(intent: Intent) -> Iterator[str]:
    if not intent.settled:
        yield "not settled"
    if len(intent.settled) > 1:
        yield "settled twice"
    for each in intent.settled:
        if each.status is None:
            yield "refunded"
        elif each.status != FULFILLED:
            yield "settled as another outcome"
        if each.time > intent.asked.deadline:
            yield "settled late"
