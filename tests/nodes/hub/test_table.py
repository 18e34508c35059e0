"""One table of behaviour, three hubs on their own nodes: what one rejects, all reject, in the same words."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from support.anvil import running_anvil
from support.hub import members
from support.hub_cases import on_cosmos, on_evm, on_solana
from support.hub_cases.table import Case, judge
from support.hub_cases.whole import TABLE, reasons
from support.surfpool_chain import running_surfpool_chain
from support.wasmd import running_wasmd

DIALECTS = {
    "anvil": on_evm.DIALECT,
    "surfpool": on_solana.DIALECT,
    "wasmd": on_cosmos.DIALECT,
}

Hub = Callable[[], AbstractContextManager[Any]]


@pytest.fixture(scope="session")
def anvil() -> Iterator[Hub]:
    with running_anvil() as chain:
        first = on_evm.on_evm(chain, members(4), 3)

        @contextmanager
        def hub() -> Iterator[Any]:
            with chain.undone():
                yield first

        yield hub


@pytest.fixture(scope="session")
def surfpool() -> Iterator[Hub]:
    with running_surfpool_chain() as chain:

        @contextmanager
        def hub() -> Iterator[Any]:
            yield on_solana.on_solana(chain, members(4), 3)

        yield hub


@pytest.fixture(scope="session")
def wasmd() -> Iterator[Hub]:
    with running_wasmd() as chain:

        @contextmanager
        def hub() -> Iterator[Any]:
            yield on_cosmos.on_cosmos(chain, members(4), 3)

        yield hub


def rows() -> list[Any]:
    return [
        pytest.param(node, case, id=f"{node}-{case.name}", marks=pytest.mark.xdist_group(node))
        for node in DIALECTS
        for case in TABLE
    ]


@pytest.mark.parametrize(("node", "case"), rows())
def test_rule(
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
    node: str,
    case: Case,
) -> None:
    record_property("case", case.name)
    record_property("node", node)
    dialect = DIALECTS[node]
    if why := dialect.absent.get(case.name):
        record_property("absent", why)
        return
    if difference := dialect.different.get(case.name):
        record_property("different", difference.why)
    with request.getfixturevalue(node)() as hub:
        judge(case, hub, dialect)


def test_every_reason_of_the_hub_has_a_row() -> None:
    """Of the hub whose words the table has. Those that another hub alone has are in its own tests."""
    assert reasons() == {case.reason for case in TABLE if case.reason}


def test_what_is_accepted_is_found_in_the_hubs_views() -> None:
    """On every chain, and so what only one of them accepts."""
    somewhere = {
        name
        for dialect in DIALECTS.values()
        for name, difference in dialect.different.items()
        if difference.reason is None
    }
    accepted = [case for case in TABLE if case.reason is None or case.name in somewhere]
    assert [case.name for case in accepted if case.then is None] == []


@pytest.mark.parametrize("node", DIALECTS)
def test_a_dialect_speaks_of_rows_and_says_something_else_than_they_do(node: str) -> None:
    dialect = DIALECTS[node]
    by_name = {case.name: case for case in TABLE}
    for name, difference in dialect.different.items():
        # `judge` runs the row and finds that it is so.
        assert by_name[name].reason != difference.reason
        assert difference.why
    assert all(by_name[name].reason == "" and said for name, said in dialect.bounds.items())
    assert all(by_name[name] and why for name, why in dialect.absent.items())
    silent = {case.name for case in TABLE if case.reason == ""}
    assert node == "anvil" or dialect.bounds.keys() == silent
