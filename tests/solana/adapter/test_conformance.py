"""The adapters' conformance kit against LiteSVM's devnet."""

import pytest

from support.solana_harness import LACKS
from vagus.adapters.conformance import AdapterConformance

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("solana_conformance"),
]


class TestSolana(AdapterConformance):
    """The Solana adapter."""

    lacks = LACKS
