"""Findings as a person reads them."""

from collections.abc import Iterator, Sequence

from byzantine.judge import GROUPS
from byzantine.questions import TTL
from byzantine.run import Finding
from byzantine.schedules import Schedules

__all__ = ["table"]


def table(findings: Sequence[Finding], schedules: Schedules) -> str:
    """All of it, line by line."""
    return "\n".join([*_lines(findings), *_model(schedules)])


def _model(found: Schedules) -> Iterator[str]:
    if found.count:
        yield (
            f"{found.count:,} schedules of the model: {len(found.wrong)} decided wrongly, "
            f"{len(found.unfinished)} did not end; {found.crashes:,} crashes, at most "
            f"{found.rounds} rounds"
        )
    for seed in (*found.wrong, *found.unfinished):
        yield f"    seed {seed}"


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    yield (
        f"\n{'case':<30}{'asked':>6}{'wrong':>7}{'twice':>7}{'late':>6}{'unsigned':>10}"
        f"{'unasked':>9}{'median':>8}{'99 %':>6}{'longest':>9}{'minutes':>9}"
    )
    for each in findings:
        musts = [each.musts[name] for name in (*GROUPS, "answers that nobody asked for")]
        wrong, twice, late, unsigned, unasked = musts
        spread = [f"{each.latency.get(name, 0)} s" for name in ("median", "99%", "longest")]
        yield (
            f"{each.case.name:<30}{each.asked:>6}{wrong:>7}{twice:>7}{late:>6}{unsigned:>10}"
            f"{unasked:>9}{spread[0]:>8}{spread[1]:>6}{spread[2]:>9}{each.seconds / 60:>9.1f}"
            f"  {_word(each)}"
        )
        yield from (f"    {count} times: {name}" for name, count in each.wrong.items())
    yield f"\nSeconds are from request to settlement; each has {TTL} s until its deadline."
    yield "What was done"
    for each in findings:
        if each.done:
            done = ", ".join(f"{name} {count:,}" for name, count in sorted(each.done.items()))
            yield f"  {each.case.name}: {done}"
    asked = sum(each.asked for each in findings)
    minutes = sum(each.seconds for each in findings) / 60
    yield f"{asked:,} intents in {minutes:.1f} minutes"


def _word(finding: Finding) -> str:
    if finding.case.seeded:
        return "found" if finding.right else "NOT FOUND: the judge is blind"
    return "ok" if finding.right else finding.idle or "NOT as it must be"
