"""What the demo makes of sellers that broke: each end that is not as it should be is said."""

from typing import Any

import pytest

from vagus.daemon.demo.cases import Case
from vagus.daemon.demo.rerouted import faults, still_asked

PRICE = {"input": "20", "output": "40"}


def case(title: str, broken: str) -> Case:
    return Case(title, 0, "eip155:1:0x00", None, 1, broken=broken)  # type: ignore[arg-type]


CASES = [case("usual", ""), case("gone", "akash"), case("lies", "gpunet")]


def rows(**changes: dict[str, Any]) -> list[dict[str, Any]]:
    usual: dict[str, dict[str, Any]] = {
        "akash": {
            "served": 0,
            "failed": 1,
            "cost": "0",
            "state": "open",
            "score": 0.0,
            "verified": 1.0,
        },
        "gpunet": {
            "served": 3,
            "failed": 0,
            "cost": "90",
            "state": "quarantined",
            "score": 0.0,
            "verified": 0.3,
        },
        "local": {
            "served": 2,
            "failed": 0,
            "cost": "50",
            "state": "closed",
            "score": 0.2,
            "verified": 1.0,
        },
    }
    return [
        {"node": 1, "backend": name, "price": PRICE, **row, **changes.get(name, {})}
        for name, row in usual.items()
    ]


def found(*by: str, **changes: dict[str, Any]) -> list[str]:
    """Faults where the intents after the break were answered by these."""
    intents = [{"calls": [{"backend": "gpunet"}]}]
    intents += [{"calls": [{"backend": name}] if name else []} for name in by]
    return faults(rows(**changes), CASES, intents)


def test_where_all_were_left_and_paid_for_nothing_is_wrong() -> None:
    assert found("local", "local") == []


@pytest.mark.parametrize(
    ("by", "changes", "why"),
    [
        (("akash", "local"), {}, "gone: answered by akash"),
        (("local", "gpunet"), {}, "lies: answered by gpunet"),
        (("", "local"), {}, "gone: answered by nobody"),
        (
            ("local", "local"),
            {"gpunet": {"state": "closed", "score": 0.3}},
            "closed, not quarantined",
        ),
        (("local", "local"), {"akash": {"failed": 0, "state": "closed"}}, "was not asked since"),
        (("local", "local"), {"akash": {"backend": "other"}}, "no node knows akash"),
        (("local", "local"), {"local": {"price": None}}, "local served has no price or cost"),
        (("local", "local"), {"local": {"cost": "0"}}, "local served has no price or cost"),
    ],
)
def test_what_is_not_as_it_should_be_is_said(
    by: tuple[str, ...], changes: dict[str, dict[str, Any]], why: str
) -> None:
    [said] = found(*by, **changes)
    assert why in said


def test_a_lease_that_is_gone_needs_no_failed_call() -> None:
    gone = {"node": 1, "backend": "akash", "state": "out", "reason": "who answers: nobody"}
    others = [row for row in rows() if row["backend"] != "akash"]
    intents: list[dict[str, Any]] = [{"calls": [{"backend": "local"}]}] * 3
    assert faults([gone, *others], CASES, intents) == []


def test_a_liar_is_asked_until_every_node_that_buys_of_it_has_left_it() -> None:
    assert not still_asked("gpunet", rows())
    # Outvoted, and under the node's own model since; or dearer to it for another reason alone.
    assert not still_asked("gpunet", rows(gpunet={"state": "closed"}))
    assert still_asked("gpunet", rows(gpunet={"state": "closed", "score": 0.3}))
    assert still_asked("gpunet", rows(gpunet={"state": "closed", "verified": 1.0}))
    assert not still_asked("gpunet", [row for row in rows() if row["backend"] != "gpunet"])
