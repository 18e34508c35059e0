"""One table of behaviour, three hubs on their own nodes: what one rejects, all reject, in the same words."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from support.anvil import running_anvil
from support.contracts import RevertError as EvmRevert
from support.hub import members, new_hub
from support.hub_cases import asking, delivering, guarding, rotating, settling, signing
from support.hub_cases.table import Case
from support.hub_cosmos import BOUNDS as COSMOS_BOUNDS
from support.hub_cosmos import new_hub as new_cosmos_hub
from support.hub_solana import LACKS, new_solana_hub
from support.surfpool_chain import running_surfpool_chain
from support.wasmd import RevertError as CosmosRevert
from support.wasmd import running_wasmd

PARTS = [asking, delivering, signing, settling, rotating, guarding]
TABLE: list[Case] = [case for part in PARTS for case in part.CASES]
ANY_WORD = "every word but zero is an address there"
# What cannot be rejected on a chain, and why: it is accepted there, or cannot be written at all.
DIFFERENT: dict[str, dict[str, str]] = {
    "anvil": {},
    "surfpool": LACKS,
    "wasmd": {
        "a payout to a word that is no address of this chain": ANY_WORD,
        "a payout to an address with one byte too many": ANY_WORD,
    },
}
# What the EVM's ABI rejects without a word, and others with one.
SOLANA_BOUNDS = {
    "payload too long",
    "terms too long",
    "output too long",
    "signature length",
    "too many signatures",
    "too many signers",
    "too many payouts",
    "payouts do not sum",
}
BOUNDS = {"anvil": {""}, "surfpool": SOLANA_BOUNDS, "wasmd": COSMOS_BOUNDS}

Hub = Callable[[], AbstractContextManager[Any]]


@contextmanager
def anvil_hubs() -> Iterator[Hub]:
    with running_anvil() as anvil:
        first = new_hub(anvil, members(4), 3, anvil.accounts[1])

        @contextmanager
        def hub() -> Iterator[Any]:
            with anvil.undone():
                yield first

        yield hub


@contextmanager
def surfpool_hubs() -> Iterator[Hub]:
    with running_surfpool_chain() as chain:

        @contextmanager
        def hub() -> Iterator[Any]:
            chain.hubs += 1
            name = f"hub {chain.hubs}"
            yield new_solana_hub(chain, chain.program, members(4), 3, name=name)

        yield hub


@contextmanager
def wasmd_hubs() -> Iterator[Hub]:
    with running_wasmd() as chain:

        @contextmanager
        def hub() -> Iterator[Any]:
            yield new_cosmos_hub(chain, members(4), 3, chain.accounts[1])

        yield hub


NODES = {"anvil": anvil_hubs, "surfpool": surfpool_hubs, "wasmd": wasmd_hubs}


@pytest.fixture(scope="session")
def anvil() -> Iterator[Hub]:
    with anvil_hubs() as hubs:
        yield hubs


@pytest.fixture(scope="session")
def surfpool() -> Iterator[Hub]:
    with surfpool_hubs() as hubs:
        yield hubs


@pytest.fixture(scope="session")
def wasmd() -> Iterator[Hub]:
    with wasmd_hubs() as hubs:
        yield hubs


def rows() -> list[Any]:
    return [
        pytest.param(node, case, id=f"{node}-{case.name}", marks=pytest.mark.xdist_group(node))
        for node in NODES
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
    if reason := DIFFERENT[node].get(case.name):
        record_property("different", reason)
        return
    with request.getfixturevalue(node)() as hub:
        if case.reason is None:
            case.act(hub)
            return
        with pytest.raises((EvmRevert, CosmosRevert)) as caught:
            case.act(hub)
    found: str = caught.value.reason
    assert found in ({case.reason} if case.reason else BOUNDS[node])


def test_what_differs_is_in_the_table() -> None:
    names = {case.name for case in TABLE}
    assert all(set(different) <= names for different in DIFFERENT.values())
